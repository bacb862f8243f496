//! A page before it is read: turned upright by quarters and by its skew, with the boxes of its
//! lines. Where the orientation model is unsure, or a page has few lines to tell by, the lines
//! themselves are asked: those of a page on its head are read badly.

use super::Paddle;
use super::deskew::{Pose, skew};
use super::detect::along;
use super::line::Line;
use super::pixels::{Pixels, Slanted, upright};
use super::recognise::Recognise;
use crate::engine::session::RunError;
use crate::page::Rotation;

/// A page ready to be read.
pub struct Settled<'a> {
    pub page: Pixels<'a>,
    pub pose: Pose,
    /// Lines, pixels of `page`.
    pub boxes: Vec<Slanted>,
}

/// A page with fewer lines is doubted although the orientation model is sure.
const FEW: usize = 4;
/// Lines that are asked.
const ASKED: usize = 8;
/// Mean score of lines above which they are not doubted: upright lines score 0.95 and more.
const GOOD: f32 = 0.9;
/// By how much lines must score better the other way.
const BETTER: f32 = 0.08;
/// Part of the lines' length that stands on a page that lies on its side.
const STANDING: f32 = 0.6;
/// Boxes this many times as long as high tell which way they stand.
const LONG: f32 = 2.5;

impl Paddle {
    /// Turns a page upright and finds its lines. `dpi` are its pixels per inch.
    pub(super) fn settle<'a>(
        &mut self,
        displayed: Pixels<'a>,
        dpi: f32,
    ) -> Result<Settled<'a>, RunError> {
        let guess = self.orientation.guess(&displayed)?;
        let mut rotation = guess.unwrap_or_default();
        let mut page = upright(displayed, rotation);
        let mut boxes = self.detect.of(&page, dpi)?;
        if (guess.is_none() || boxes.len() < FEW)
            && let Some(more) = turn(&mut self.recognise, &page, &boxes)?
        {
            boxes = boxes
                .iter()
                .map(|l| turned(l, more, page.width as f32, page.height as f32))
                .collect();
            page = upright(page, more);
            rotation = sum(rotation, more);
        }
        let mut pose = Pose::upright(rotation, page.width, page.height);
        if let Some(skew) = skew(&boxes) {
            pose = pose.skewed(skew);
            boxes = boxes.iter().map(|l| pose.line(l)).collect();
            page = pose.level(page);
        }
        Ok(Settled { page, pose, boxes })
    }
}

/// How a page's content is turned by what its longest lines say; `None` where it is upright, as far
/// as they tell.
fn turn(
    recognise: &mut Recognise,
    page: &Pixels<'_>,
    boxes: &[Slanted],
) -> Result<Option<Rotation>, RunError> {
    let mut asked: Vec<Slanted> = boxes
        .iter()
        .filter(|l| l.width >= LONG * l.height)
        .copied()
        .collect();
    let length = |lines: &[Slanted]| lines.iter().map(|l| l.width).sum::<f32>();
    let standing: Vec<Slanted> = asked.iter().filter(|l| stands(l)).copied().collect();
    let on_side = length(&standing) > STANDING * length(&asked);
    if on_side {
        asked = standing;
    } else {
        asked.retain(|l| !stands(l));
    }
    asked.sort_by(|a, b| b.width.total_cmp(&a.width));
    asked.truncate(ASKED);
    if asked.is_empty() {
        return Ok(None);
    }
    // A box along which text runs downwards is a line of a page turned clockwise.
    let forward = Score::of(&recognise.along(page, &asked)?);
    if !on_side && forward.mean >= GOOD {
        return Ok(None);
    }
    let turned: Vec<Slanted> = asked
        .iter()
        .map(|l| Slanted {
            angle: l.angle - std::f32::consts::PI,
            ..*l
        })
        .collect();
    let backward = Score::of(&recognise.along(page, &turned)?);
    Ok(decide(on_side, &forward, &backward))
}

/// What lines say, read one way.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    /// Of their characters; lines that say nothing count as 0.
    mean: f32,
    /// Chinese or Japanese, mostly.
    cjk: bool,
}

impl Score {
    fn of(lines: &[Option<Line>]) -> Self {
        let (mut sum, mut weight, mut latin, mut cjk) = (0.0, 0.0, 0usize, 0usize);
        for line in lines {
            let count = line.as_ref().map_or(1, |l| l.text.chars().count());
            weight += count as f32;
            let Some(line) = line else { continue };
            sum += line.score * count as f32;
            let (a, b) = super::recognise::weights(&line.text);
            latin += a;
            cjk += b;
        }
        Self {
            mean: if weight > 0.0 { sum / weight } else { 0.0 },
            cjk: cjk > latin,
        }
    }
}

fn decide(on_side: bool, forward: &Score, backward: &Score) -> Option<Rotation> {
    if !on_side {
        return (backward.mean > forward.mean + BETTER).then_some(Rotation::Half);
    }
    let (best, rotation) = if backward.mean > forward.mean {
        (backward, Rotation::ThreeQuarter)
    } else {
        (forward, Rotation::Quarter)
    };
    // Characters of vertical text lie on their side in a line that is read along: they are read,
    // but not well.
    let least = if best.cjk { GOOD } else { GOOD - BETTER };
    (best.mean >= least).then_some(rotation)
}

fn stands(line: &Slanted) -> bool {
    line.angle.abs() > std::f32::consts::FRAC_PI_4 + 1e-3
}

/// A line of a page of `width` by `height`, on the page after [`upright`] with `rotation`.
fn turned(line: &Slanted, rotation: Rotation, width: f32, height: f32) -> Slanted {
    use std::f32::consts::FRAC_PI_2;
    let (cx, cy, angle) = match rotation {
        Rotation::None => (line.cx, line.cy, line.angle),
        Rotation::Quarter => (line.cy, width - line.cx, line.angle - FRAC_PI_2),
        Rotation::Half => (width - line.cx, height - line.cy, line.angle),
        Rotation::ThreeQuarter => (height - line.cy, line.cx, line.angle + FRAC_PI_2),
    };
    along(Slanted {
        cx,
        cy,
        angle,
        ..*line
    })
}

fn sum(a: Rotation, b: Rotation) -> Rotation {
    Rotation::from_degrees((a.degrees() + b.degrees()) % 360).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_turn_with_their_page() {
        let (w, h) = (300u32, 200u32);
        // A bar to the right of a page's upper left corner.
        let bar = Slanted {
            cx: 80.0,
            cy: 30.0,
            width: 100.0,
            height: 10.0,
            angle: 0.0,
        };
        let mut rgb = vec![255u8; (w * h * 3) as usize];
        for y in 25..35 {
            let at = ((y * w + 30) * 3) as usize;
            rgb[at..at + 300].fill(0);
        }
        for rotation in [Rotation::Quarter, Rotation::Half, Rotation::ThreeQuarter] {
            let page = Pixels {
                width: w,
                height: h,
                rgb: rgb.clone().into(),
            };
            let page = upright(page, rotation);
            let line = turned(&bar, rotation, w as f32, h as f32);
            let [x1, y1, x2, y2] = line.bounds().map(|v| v.round() as u32);
            let dark = |x: u32, y: u32| page.rgb[((y * page.width + x) * 3) as usize] == 0;
            assert!(
                dark(x1, y1) && dark(x2 - 1, y2 - 1),
                "{rotation:?} {line:?}"
            );
            assert!(
                !dark(x1 - 1, y1 - 1) && !dark(x2, y2),
                "{rotation:?} {line:?}"
            );
        }
    }

    #[test]
    fn the_better_way_decides() {
        let score = |mean, cjk| Score { mean, cjk };
        let decided = |side, a, b| decide(side, &score(a, false), &score(b, false));
        assert_eq!(decided(false, 0.7, 0.96), Some(Rotation::Half));
        assert_eq!(decided(false, 0.85, 0.88), None);
        assert_eq!(decided(true, 0.95, 0.6), Some(Rotation::Quarter));
        assert_eq!(decided(true, 0.6, 0.95), Some(Rotation::ThreeQuarter));
        assert_eq!(decided(true, 0.6, 0.7), None);
        let vertical = decide(true, &score(0.85, true), &score(0.5, true));
        assert_eq!(vertical, None, "vertical text");
        assert_eq!(
            sum(Rotation::ThreeQuarter, Rotation::Half),
            Rotation::Quarter
        );
    }
}
