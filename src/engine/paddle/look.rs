//! From a page image to lines and regions: by the PDF's own characters alone where they account for
//! all text, else by detection and recognition.

use super::deskew::Pose;
use super::detect::Detect;
use super::layer;
use super::layout::Region;
use super::line::Line;
use super::pixels::{Pixels, Slanted, resize, upright};
use super::settle::{Settled, is_dark};
use super::{IMAGE, Laps, Paddle, compose};
use crate::engine::session::RunError;
use crate::page::{PageChars, PageText};

/// Margins an inch of a part that is cut out for detection: a quarter of an inch each.
const MARGINS: f32 = 4.0;

/// A page that was looked at.
pub struct Seen<'a> {
    /// Upright.
    pub page: Pixels<'a>,
    pub pose: Pose,
    /// In reading order.
    pub regions: Vec<Region>,
    pub lines: Vec<Line>,
    pub text: PageText,
}

impl Paddle {
    /// `chars` are the PDF's own, `None` where they are not to be used. `dpi`: pixels an inch.
    pub(super) fn look<'a>(
        &mut self,
        displayed: Pixels<'a>,
        dpi: f32,
        chars: Option<&PageChars>,
        laps: &mut Laps,
    ) -> Result<Seen<'a>, RunError> {
        let mut known = None;
        if let Some(chars) = chars
            && let Some(seen) = self.drawn(&displayed, dpi, chars, &mut known, laps)?
        {
            return Ok(seen);
        }
        let Settled { page, pose, boxes } = self.settle(displayed, dpi)?;
        laps.lap("detection");
        let regions = match known.filter(|(p, _)| *p == pose) {
            Some((_, regions)) => regions,
            None => self.layout.of(&page)?,
        };
        laps.lap("layout");
        let boxes = compose::split(&boxes, &regions, page.width as f32, page.height as f32);
        let mut recognise = |boxes: &[_]| self.recognise.of(&page, boxes);
        let (lines, text) = match chars {
            Some(chars) => layer::Page {
                image: &page,
                chars,
                pose: &pose,
                regions: &regions,
                boxes: &boxes,
            }
            .read(&self.known, recognise)?,
            None => (recognise(&boxes)?, IMAGE),
        };
        laps.lap("recognition");
        Ok(Seen {
            page,
            pose,
            regions,
            lines,
            text,
        })
    }

    /// A page that a program has written: its orientation is plain, and its characters are all that
    /// there is to read. `None` where that is not so; `known` are then the regions that were found.
    fn drawn<'a>(
        &mut self,
        displayed: &Pixels<'a>,
        dpi: f32,
        chars: &PageChars,
        known: &mut Option<(Pose, Vec<Region>)>,
        laps: &mut Laps,
    ) -> Result<Option<Seen<'a>>, RunError> {
        if !chars.is_all_drawn() || is_dark(displayed) {
            return Ok(None);
        }
        let Some(rotation) = self.orientation.guess(displayed)? else {
            return Ok(None);
        };
        let page = upright(displayed.clone(), rotation);
        let pose = Pose::upright(rotation, page.width, page.height);
        let regions = self.layout.of(&page)?;
        laps.lap("layout");
        let read = layer::Page {
            image: &page,
            chars,
            pose: &pose,
            regions: &regions,
            boxes: &[],
        }
        .read_drawn(
            &self.known,
            dpi,
            |at| within(&mut self.detect, &page, at, dpi),
            |boxes| self.recognise.of(&page, boxes),
        )?;
        laps.lap("characters");
        let Some((lines, text)) = read else {
            *known = Some((pose, regions));
            return Ok(None);
        };
        Ok(Some(Seen {
            page,
            pose,
            regions,
            lines,
            text,
        }))
    }
}

/// Lines of a part of a page, x1, y1, x2, y2 in pixels, with a margin that detection is used to.
fn within(
    detect: &mut Detect,
    page: &Pixels<'_>,
    at: [f32; 4],
    dpi: f32,
) -> Result<Vec<Slanted>, RunError> {
    let margin = (dpi / MARGINS).round();
    let (width, height) = (page.width as f32, page.height as f32);
    let [x1, y1] = [at[0], at[1]].map(|v| (v - margin).max(0.0).floor());
    let [x2, y2] = [(at[2], width), (at[3], height)].map(|(v, most)| (v + margin).min(most));
    let (w, h) = ((x2 - x1).ceil(), (y2 - y1).ceil());
    let part = [x1, y1, w, h].map(f64::from);
    let cut = resize(page, Some(part), w as u32, h as u32);
    let mut boxes = detect.of(&cut, dpi)?;
    for line in &mut boxes {
        line.cx += x1;
        line.cy += y1;
    }
    Ok(boxes)
}
