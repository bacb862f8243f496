//! From a page image to lines and regions: by the PDF's own characters alone where they account for
//! all text, else by detection and recognition.

use super::deskew::Pose;
use super::layer;
use super::layout::Region;
use super::line::Line;
use super::pixels::{Pixels, upright};
use super::settle::{Settled, is_dark};
use super::{IMAGE, Laps, Paddle, compose};
use crate::engine::session::RunError;
use crate::page::{PageChars, PageText};

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
        .read_drawn(&self.known, dpi, |boxes| self.recognise.of(&page, boxes))?;
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
