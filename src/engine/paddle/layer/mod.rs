//! The PDF's own text: lines made of its characters, judged against the page image, put in the
//! place of detected lines.
//!
//! What is drawn and what is not (somebody's OCR) are two layers, judged apart. Of a layer that is
//! trusted, the lines that the image shows are taken; detected lines, or parts of them, where no
//! such line stands are read from the image.

mod bidi;
mod cover;
mod explained;
mod frame;
mod glyphs;
mod lines;
mod scripts;
mod text;
mod trust;

pub use self::frame::Page as Upright;
use self::lines::Found;
pub use self::scripts::{Level, is_unmapped};
pub use self::trust::Known;
use self::trust::Verdict;
use super::compose;
use super::deskew::{self, Pose};
use super::layout::{Region, area};
use super::line::{Line, Source};
use super::pixels::{Pixels, Slanted};
use crate::engine::session::RunError;
use crate::page::{PageChars, PageText, Role, TextSource};

/// Difference of brightness (0 to 255) within a line from which on it shows something.
const CONTRAST: u8 = 40;
/// Points of a line that are looked at, along and across.
const POINTS: [u32; 2] = [256, 16];
/// Share of a line that must stand on detected lines to count as placed; of a line that is not
/// drawn, that must not be covered by drawn ones.
const ON: f32 = 0.5;

/// Part of a page from which on lines are detected on all of it, where they are on some.
const MUCH: f32 = 0.4;

/// Lines of a layer at most; a newspaper's page has some 3,000.
const MAX_LINES: usize = 8_000;
/// Slant up to which a line is level, radians.
const LEVEL: f32 = 0.1;

/// A page whose lines were detected.
pub struct Page<'a> {
    pub image: &'a Pixels<'a>,
    pub chars: &'a PageChars,
    /// How the image lies in the displayed page.
    pub pose: &'a Pose,
    pub regions: &'a [Region],
    /// Detected lines, pixels of the upright page image.
    pub boxes: &'a [Slanted],
}

impl Page<'_> {
    /// The page's lines: the PDF's own where they are trusted, else read by `recognise`, which gives
    /// back the lines it was given without those that hold no text.
    pub fn read(
        &self,
        known: &Known,
        mut recognise: impl FnMut(&[Slanted]) -> Result<Vec<Line>, RunError>,
    ) -> Result<(Vec<Line>, PageText), RunError> {
        let upright = self.pose.upright_size();
        let mut notes = Vec::new();
        let mut own: Vec<Line> = Vec::new();
        // What was read for comparison is not read again.
        let mut read: Vec<Line> = Vec::new();
        let mut seen: Vec<Slanted> = Vec::new();
        let mut all = lines::lines(self.chars, self.pose.rotation, upright[0], upright[1]);
        if all.len() > MAX_LINES {
            notes.push(format!("text layer refused: it has {} lines", all.len()));
            all.clear();
        }
        let (invisible, drawn): (Vec<Found>, Vec<Found>) = all
            .into_iter()
            .map(|mut found| {
                found.line.at = self.pose.line(&found.line.at);
                found
            })
            .filter_map(|f| self.visible(f))
            .partition(|f| f.invisible);
        for layer in [drawn, invisible] {
            let layer: Vec<Found> = layer.into_iter().flat_map(|f| self.divided(f)).collect();
            let layer: Vec<Found> = layer.into_iter().map(|f| self.of_formula(f)).collect();
            // Scans are often printed over: what is drawn there goes first.
            let layer: Vec<&Found> = layer
                .iter()
                .filter(|f| cover::share(&f.line.at, own.iter().map(|l| &l.at)) < ON)
                .collect();
            if layer.is_empty() {
                continue;
            }
            let sample = trust::sample(&layer, known);
            let places: Vec<Slanted> = sample
                .iter()
                .map(|&i| {
                    let at = layer[i].line.at;
                    trust::counterpart(&at, self.boxes).unwrap_or(at)
                })
                .collect();
            let found = recognise(&places)?;
            let compared = compared(&layer, &sample, &places, &found);
            for (own, image) in &compared {
                tracing::trace!("layer: {own:?}, image: {image:?}");
            }
            match trust::verdict(&layer, self.placed(&layer), &compared) {
                Verdict::Refused(why) => {
                    notes.push(format!("text layer refused: {why}"));
                    seen.extend(places.iter().filter(|p| self.boxes.contains(p)));
                    for line in found {
                        if self.boxes.iter().any(|b| is_same(b, &line.at))
                            && !read.iter().any(|r| is_same(&r.at, &line.at))
                        {
                            read.push(line);
                        }
                    }
                    continue;
                }
                Verdict::Unchecked => notes.push(
                    "text layer taken unchecked: its script cannot be read from the image".into(),
                ),
                Verdict::Taken => {}
            }
            let mapped = layer.iter().filter(|f| trust::is_mapped(f));
            own.extend(mapped.map(|f| f.line.clone()));
        }
        let mut rest: Vec<Slanted> = Vec::new();
        for at in self.boxes.iter().filter(|b| !seen.contains(b)) {
            match cover::rest(at, own.iter().map(|l| &l.at)) {
                None => rest.push(*at),
                Some(parts) => rest.extend(parts.into_iter().filter(|p| self.shows(p))),
            }
        }
        read.retain(|l| cover::share(&l.at, own.iter().map(|o| &o.at)) < ON);
        let mut lines = own;
        lines.append(&mut read);
        lines.extend(recognise(&rest)?);
        let text = text_source(&lines, &notes);
        Ok((lines, text))
    }

    /// The same of a page whose drawn characters are trusted and account for nearly all text that
    /// the image shows: `boxes` is empty, and `detect` is asked for the lines of a part of the image
    /// (x1, y1, x2, y2 in pixels) where there is something else. `None` where that is much, or where
    /// somebody's OCR stands beside what is drawn. `dpi`: pixels an inch of the image.
    pub fn read_drawn(
        &self,
        known: &Known,
        dpi: f32,
        detect: impl FnOnce([f32; 4]) -> Result<Vec<Slanted>, RunError>,
        mut recognise: impl FnMut(&[Slanted]) -> Result<Vec<Line>, RunError>,
    ) -> Result<Option<(Vec<Line>, PageText)>, RunError> {
        let [width, height] = self.pose.upright_size();
        let all = lines::lines(self.chars, self.pose.rotation, width, height);
        if all.len() > MAX_LINES {
            return Ok(None);
        }
        let found: Vec<Found> = all
            .into_iter()
            .filter_map(|f| self.visible(f))
            .flat_map(|f| self.divided(f))
            .map(|f| self.of_formula(f))
            .collect();
        if found.is_empty() || found.iter().any(|f| f.invisible || !trust::is_mapped(f)) {
            return Ok(None);
        }
        let places: Vec<Slanted> = found.iter().map(|f| f.line.at).collect();
        // A page that lies askew or is turned by other than what it seems is looked at closer.
        let length =
            |lines: &mut dyn Iterator<Item = &Slanted>| lines.map(|l| l.width).sum::<f32>();
        let level = length(&mut places.iter().filter(|l| l.angle.abs() < LEVEL));
        if deskew::skew(&places).is_some() || level < 0.5 * length(&mut places.iter()) {
            return Ok(None);
        }
        // Operators and brackets of a formula reach over its lines.
        let formulas = self.formulas().filter(|at| {
            let inside = |l: &Slanted| contains(*at, l);
            places.iter().any(inside)
        });
        let formulas: Vec<[f32; 4]> = formulas.collect();
        let left = explained::unexplained(self.image, dpi, &places, &formulas, self.regions);
        let whole = self.image.width as f32 * self.image.height as f32;
        if left.is_some_and(|at| area(at) > MUCH * whole) {
            return Ok(None);
        }
        let layer: Vec<&Found> = found.iter().collect();
        let sample = trust::sample(&layer, known);
        let places: Vec<Slanted> = sample.iter().map(|&i| layer[i].line.at).collect();
        let read = recognise(&places)?;
        let compared = compared(&layer, &sample, &places, &read);
        // What cannot be compared must stand where lines are detected.
        if trust::verdict(&layer, 1.0, &compared) != Verdict::Taken {
            return Ok(None);
        }
        let mut lines: Vec<Line> = found.into_iter().map(|f| f.line).collect();
        if let Some(at) = left {
            let (width, height) = (self.image.width as f32, self.image.height as f32);
            let boxes = compose::split(&detect(at)?, self.regions, width, height);
            let rest: Vec<Slanted> = boxes
                .iter()
                .flat_map(|b| {
                    cover::rest(b, lines.iter().map(|l| &l.at)).unwrap_or_else(|| vec![*b])
                })
                .filter(|part| self.shows(part))
                .collect();
            lines.extend(recognise(&rest)?);
        }
        let text = text_source(&lines, &[]);
        Ok(Some((lines, text)))
    }

    /// Where formulas stand: x1, y1, x2, y2 in pixels.
    fn formulas(&self) -> impl Iterator<Item = [f32; 4]> {
        let (width, height) = (self.image.width as f32, self.image.height as f32);
        let all = self.regions.iter();
        all.filter(|r| Role::of(r.label) == Role::Formula)
            .map(move |r| r.pixels(width, height))
    }

    /// A line of a formula is known as one: accents there stand over letters of their own.
    fn of_formula(&self, found: Found) -> Found {
        let formula = self.formulas().any(|at| contains(at, &found.line.at));
        Found {
            formula,
            unmapped: found.unmapped - if formula { found.piled } else { 0 },
            ..found
        }
    }

    /// A line cut where it runs over the gap between two regions side by side.
    fn divided(&self, found: Found) -> Vec<Found> {
        let (width, height) = (self.image.width as f32, self.image.height as f32);
        let cuts = compose::split(&[found.line.at], self.regions, width, height);
        if cuts.len() < 2 {
            return vec![found];
        }
        let pieces = cover::divided(&found.line, &cuts);
        pieces
            .into_iter()
            .map(|line| Found {
                glyphs: line.text.chars().filter(|c| !c.is_whitespace()).count(),
                unmapped: usize::from(!trust::is_mapped(&found)) * found.unmapped,
                piled: usize::from(!trust::is_mapped(&found)) * found.piled,
                line,
                ..found
            })
            .collect()
    }

    /// Share of a layer's lines, by width, that stand on detected lines.
    fn placed(&self, layer: &[&Found]) -> f32 {
        let (mut on, mut all) = (0.0, 0.0);
        for found in layer {
            let at = &found.line.at;
            all += at.width;
            if cover::share(at, self.boxes.iter()) >= ON {
                on += at.width;
            }
        }
        on / f32::max(all, 1e-3)
    }

    /// The words of a line that the image shows: not those under a bar, nor white ones on white.
    fn visible(&self, mut found: Found) -> Option<Found> {
        let line = &found.line;
        let chars: Vec<(char, [f32; 2])> = line
            .text
            .chars()
            .zip(line.extents.iter().copied())
            .collect();
        let mut kept: Vec<(char, [f32; 2])> = Vec::with_capacity(chars.len());
        for word in chars.split_inclusive(|(c, _)| c.is_whitespace()) {
            let shown = word.iter().filter(|(c, _)| !c.is_whitespace());
            let [from, to] = shown.fold([f32::MAX, f32::MIN], |[from, to], (_, e)| {
                [from.min(e[0]), to.max(e[1])]
            });
            if from < to && self.shows(&line.part([from, to])) {
                kept.extend_from_slice(word);
            }
        }
        while kept.last().is_some_and(|(c, _)| c.is_whitespace()) {
            kept.pop();
        }
        if kept.is_empty() {
            return None;
        }
        (found.line.text, found.line.extents) = kept.into_iter().unzip();
        Some(found)
    }

    /// Whether the image shows anything at a line: no ground without marks.
    fn shows(&self, at: &Slanted) -> bool {
        let (s, c) = at.angle.sin_cos();
        let (mut least, mut most) = (u8::MAX, u8::MIN);
        for i in 0..POINTS[0] {
            let du = ((i as f32 + 0.5) / POINTS[0] as f32 - 0.5) * at.width;
            for j in 0..POINTS[1] {
                // Not the borders, where other lines may reach.
                let dv = ((j as f32 + 0.5) / POINTS[1] as f32 - 0.5) * 0.8 * at.height;
                let (x, y) = (at.cx + du * c - dv * s, at.cy + du * s + dv * c);
                if x < 0.0 || y < 0.0 {
                    continue;
                }
                let (x, y) = (x as usize, y as usize);
                if x >= self.image.width as usize || y >= self.image.height as usize {
                    continue;
                }
                let p = (y * self.image.width as usize + x) * 3;
                let Some(&[r, g, b]) = self.image.rgb.get(p..p + 3) else {
                    continue;
                };
                let gray = ((u32::from(r) * 2 + u32::from(g) * 5 + u32::from(b)) / 8) as u8;
                (least, most) = (least.min(gray), most.max(gray));
            }
        }
        most.saturating_sub(least) >= CONTRAST
    }
}

/// Whether a line's middle stands inside x1, y1, x2, y2.
fn contains([x1, y1, x2, y2]: [f32; 4], line: &Slanted) -> bool {
    (x1..=x2).contains(&line.cx) && (y1..=y2).contains(&line.cy)
}

/// What lines of a layer say, and what was read at their places.
fn compared(
    layer: &[&Found],
    sample: &[usize],
    places: &[Slanted],
    read: &[Line],
) -> Vec<(String, String)> {
    let pair = |(&i, at): (&usize, &Slanted)| {
        let text = read.iter().find(|l| is_same(&l.at, at));
        let text = text.map(|l| l.text.clone()).unwrap_or_default();
        (layer[i].line.text.clone(), text)
    };
    sample.iter().zip(places).map(pair).collect()
}

/// Whether a line was read at this place; recognition may turn it there.
fn is_same(a: &Slanted, b: &Slanted) -> bool {
    (a.cx, a.cy) == (b.cx, b.cy)
}

fn text_source(lines: &[Line], notes: &[String]) -> PageText {
    let own = lines.iter().any(|l| l.source == Source::Layer);
    let read = lines.iter().any(|l| l.source == Source::Image);
    PageText {
        source: match (own, read) {
            (true, true) => TextSource::Both,
            (true, false) => TextSource::Layer,
            (false, _) => TextSource::Image,
        },
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    }
}

#[cfg(test)]
mod tests;
