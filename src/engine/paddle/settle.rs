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
        let mut page = upright(on_paper(displayed), rotation);
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

/// Level up to which a page's ground is dark.
const DARK: u8 = 96;

/// A light page as it is, one that is dark by more than half inverted: layout, detection and
/// recognition were trained on dark text on light paper, and find less and other things on the
/// negative.
fn on_paper(page: Pixels<'_>) -> Pixels<'_> {
    if !is_dark(&page) {
        return page;
    }
    let rgb: Vec<u8> = page.rgb.iter().map(|v| 255 - v).collect();
    Pixels {
        rgb: rgb.into(),
        ..page
    }
}

/// Whether a page is dark by more than half.
pub fn is_dark(page: &Pixels<'_>) -> bool {
    // One pixel in 61 is enough to tell; a prime, so that no column repeats.
    let told = page.rgb.chunks_exact(3).step_by(61);
    let count = told.len();
    let dark = told.filter(|p| p.iter().all(|&v| v <= DARK)).count();
    dark * 2 > count
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
    let forward = mean(&recognise.along(page, &asked)?);
    if !on_side && forward >= GOOD {
        return Ok(None);
    }
    let turned: Vec<Slanted> = asked
        .iter()
        .map(|l| Slanted {
            angle: l.angle - std::f32::consts::PI,
            ..*l
        })
        .collect();
    let backward = mean(&recognise.along(page, &turned)?);
    Ok(decide(on_side, forward, backward))
}

/// Mean score of the characters of lines read one way; a line that says nothing counts as one
/// character of score 0.
fn mean(lines: &[Option<Line>]) -> f32 {
    let (mut sum, mut weight) = (0.0, 0.0);
    for line in lines {
        let count = line.as_ref().map_or(1, |l| l.text.chars().count()) as f32;
        sum += line.as_ref().map_or(0.0, |l| l.score) * count;
        weight += count;
    }
    if weight > 0.0 { sum / weight } else { 0.0 }
}

/// How a page is turned whose lines have these scores read along their boxes and against them.
/// Vertical text of a page that is not turned reads well along its boxes too: such a page is read
/// from its side, which puts its lines in order.
fn decide(on_side: bool, along: f32, against: f32) -> Option<Rotation> {
    if !on_side {
        return (against > along + BETTER).then_some(Rotation::Half);
    }
    let (best, rotation) = if against > along {
        (against, Rotation::ThreeQuarter)
    } else {
        (along, Rotation::Quarter)
    };
    (best >= GOOD - BETTER).then_some(rotation)
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
    fn a_dark_page_is_put_on_paper() {
        let page = |level: u8, part: usize| {
            let mut rgb = vec![250u8; 90 * 90 * 3];
            rgb[..90 * part * 3].fill(level);
            Pixels {
                width: 90,
                height: 90,
                rgb: rgb.into(),
            }
        };
        assert_eq!(
            on_paper(page(10, 40)).rgb[0],
            10,
            "a dark picture on a page"
        );
        assert_eq!(on_paper(page(10, 70)).rgb[0], 245);
        assert_eq!(on_paper(page(150, 90)).rgb[0], 150, "grey paper");
    }

    #[test]
    fn the_better_way_decides() {
        assert_eq!(decide(false, 0.7, 0.96), Some(Rotation::Half));
        assert_eq!(decide(false, 0.85, 0.88), None);
        assert_eq!(decide(true, 0.95, 0.6), Some(Rotation::Quarter));
        assert_eq!(decide(true, 0.6, 0.95), Some(Rotation::ThreeQuarter));
        assert_eq!(decide(true, 0.6, 0.7), None);
        assert_eq!(
            sum(Rotation::ThreeQuarter, Rotation::Half),
            Rotation::Quarter
        );
    }
}
