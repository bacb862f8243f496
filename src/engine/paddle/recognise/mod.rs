//! Text of lines: PP-OCR recognition, batched by width. A line that is not plain (standing, light
//! on dark) is read in other ways too, and the surest reading is kept.

mod alphabet;
mod batch;
mod confused;
mod decode;
mod ink;
mod script;
mod space;
mod way;

use std::sync::Mutex;
use std::sync::PoisonError;

pub use self::alphabet::Alphabet;
use self::batch::{Crop, batches, columns, parallel};
use self::decode::{Decoded, decode};
use self::ink::Ink;
use self::way::Way;
use super::line::{Line, Source};
use super::pixels::{Order, Pixels, Slanted, cut, planes};
use crate::engine::session::{Graph, RunError, View};

/// Rows of a line's image.
const HEIGHT: u32 = 48;
/// Widest image; a wider line is read in parts. PP-OCR's training went to 3,200.
const MAX_WIDTH: u32 = 3200;
/// Parts of a line at most; a longer one is squeezed into so many.
const PARTS: u32 = 8;
/// A line whose mean score is below this is taken as no text (RapidOCR's `text_score`).
const SCORE: f32 = 0.5;
pub struct Recognise {
    /// Each runs on one thread; several run side by side.
    graphs: Vec<Mutex<Box<dyn Graph>>>,
    alphabet: Alphabet,
}

/// What was read of a part of a line.
struct Part {
    line: usize,
    part: [f32; 2],
    decoded: Decoded,
    dark: bool,
}

/// What was read of a line, and as what.
#[derive(Default)]
struct Read {
    decoded: Decoded,
    at: Option<Slanted>,
    dark: bool,
}

impl Read {
    /// The line, where it says something.
    fn line(self) -> Option<Line> {
        let Decoded {
            text,
            score,
            extents,
        } = self.decoded;
        (score >= SCORE && !text.is_empty()).then_some(Line {
            at: self.at?,
            text,
            score,
            extents,
            source: Source::Image,
        })
    }
}

impl Recognise {
    pub fn new(graphs: Vec<Box<dyn Graph>>, alphabet: Alphabet) -> Self {
        Self {
            graphs: graphs.into_iter().map(Mutex::new).collect(),
            alphabet,
        }
    }

    /// Reads the lines; those without text are left out, the order is kept.
    pub fn of(&mut self, page: &Pixels<'_>, lines: &[Slanted]) -> Result<Vec<Line>, RunError> {
        let first: Vec<(usize, Way)> = (0..lines.len()).map(|i| (i, Way::Along)).collect();
        let mut read = self.ways(page, lines, &first)?;
        let more: Vec<(usize, Way)> = read
            .iter()
            .enumerate()
            .flat_map(|(i, r)| {
                Way::others(&lines[i], r.decoded.score, r.dark)
                    .into_iter()
                    .map(move |way| (i, way))
            })
            .collect();
        let again = self.ways(page, lines, &more)?;
        for ((line, _), other) in more.into_iter().zip(again) {
            if other.decoded.score > read[line].decoded.score {
                read[line] = other;
            }
        }
        if mostly_latin(&read) {
            for r in &mut read {
                if let Some(plain) = script::as_latin(&r.decoded.text) {
                    r.decoded.text = plain;
                }
            }
        }
        Ok(read.into_iter().filter_map(Read::line).collect())
    }

    /// Reads each line along its box only; `None` where it says nothing.
    pub fn along(
        &mut self,
        page: &Pixels<'_>,
        lines: &[Slanted],
    ) -> Result<Vec<Option<Line>>, RunError> {
        let wanted: Vec<(usize, Way)> = (0..lines.len()).map(|i| (i, Way::Along)).collect();
        let read = self.ways(page, lines, &wanted)?;
        Ok(read.into_iter().map(Read::line).collect())
    }

    /// Reads lines, each in a way; in order.
    fn ways(
        &self,
        page: &Pixels<'_>,
        lines: &[Slanted],
        wanted: &[(usize, Way)],
    ) -> Result<Vec<Read>, RunError> {
        let crops = parallel(self.graphs.len(), wanted.len(), |i| {
            let (line, way) = wanted[i];
            Ok(crops(page, &way.at(&lines[line]), way, i))
        })?;
        let batches = batches(crops.into_iter().flatten().collect());
        let mut parts: Vec<Part> = self.run(&batches)?.into_iter().flatten().collect();
        parts.sort_by(|a, b| (a.line.cmp(&b.line)).then(a.part[0].total_cmp(&b.part[0])));
        let mut parts = parts.into_iter().peekable();
        Ok(wanted
            .iter()
            .enumerate()
            .map(|(i, &(line, way))| {
                let mut dark = false;
                let mut of_line = Vec::new();
                while let Some(part) = parts.next_if(|p| p.line == i) {
                    dark |= part.dark;
                    of_line.push((part.part, part.decoded));
                }
                Read {
                    decoded: Decoded::joined(of_line),
                    at: Some(way.at(&lines[line])),
                    dark,
                }
            })
            .collect())
    }

    fn run(&self, batches: &[Vec<Crop>]) -> Result<Vec<Vec<Part>>, RunError> {
        parallel(self.graphs.len(), batches.len(), |i| {
            let batch = &batches[i];
            let columns = columns(batch.iter().map(|c| c.image.width).max().unwrap_or(1));
            let mut data = Vec::with_capacity(batch.len() * 3 * HEIGHT as usize * columns);
            for crop in batch {
                planes(
                    &crop.image,
                    Order::Bgr,
                    [0.5; 3],
                    [0.5; 3],
                    columns,
                    &mut data,
                );
            }
            let shape = [batch.len() as i64, 3, i64::from(HEIGHT), columns as i64];
            let mut read = Vec::with_capacity(batch.len());
            let mut graph = self.free();
            graph.run(&[("x", View::new(&shape, &data))], &[], &mut |out| {
                let Some((&[_, steps, classes], data)) = out.first().map(|v| (v.shape, v.f32()))
                else {
                    return;
                };
                let (steps, classes) = (steps as usize, classes as usize);
                if classes != self.alphabet.classes() {
                    return;
                }
                for (crop, scores) in batch
                    .iter()
                    .zip(data.chunks_exact((steps * classes).max(1)))
                {
                    // The padding has nothing to say.
                    let used = (crop.image.width as usize * steps)
                        .div_ceil(columns)
                        .min(steps);
                    let ink = Ink::of(&crop.image, used);
                    read.push(Part {
                        line: crop.line,
                        part: crop.part,
                        decoded: decode(&scores[..used * classes], classes, &self.alphabet, &ink),
                        dark: ink.dark,
                    });
                }
            })?;
            if read.len() != batch.len() {
                return Err(RunError(
                    "the recognition model's output has an unexpected shape".into(),
                ));
            }
            Ok(read)
        })
    }

    /// A graph that nobody uses, or the first that becomes free.
    fn free(&self) -> std::sync::MutexGuard<'_, Box<dyn Graph>> {
        for graph in &self.graphs {
            if let Ok(guard) = graph.try_lock() {
                return guard;
            }
        }
        self.graphs[0]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The images of a line: one, or the parts of a very wide one, cut where it has gaps.
fn crops(page: &Pixels<'_>, line: &Slanted, way: Way, number: usize) -> Vec<Crop> {
    let mut image = cut(page, line, HEIGHT, PARTS * MAX_WIDTH);
    if way == Way::Inverted {
        for value in image.rgb.to_mut() {
            *value = 255 - *value;
        }
    }
    if image.width <= MAX_WIDTH {
        return vec![Crop {
            line: number,
            part: [0.0, 1.0],
            image,
        }];
    }
    let whole = image.width as usize;
    let mut from = 0;
    Ink::of(&image, 1)
        .cuts(MAX_WIDTH as usize)
        .into_iter()
        .map(|to| {
            let rgb: Vec<u8> = image
                .rgb
                .chunks_exact(whole * 3)
                .flat_map(|row| &row[from * 3..to * 3])
                .copied()
                .collect();
            let crop = Crop {
                line: number,
                part: [from, to].map(|x| x as f32 / whole as f32),
                image: Pixels {
                    width: (to - from) as u32,
                    height: HEIGHT,
                    rgb: rgb.into(),
                },
            };
            from = to;
            crop
        })
        .collect()
}

/// Latin letters of a text, and characters of Chinese or Japanese.
fn weights(text: &str) -> (usize, usize) {
    let count = |script| {
        text.chars()
            .filter(|&c| alphabet::script(c) == script)
            .count()
    };
    (count(alphabet::Script::Latin), count(alphabet::Script::Cjk))
}

/// Whether the lines of a page are Latin but for one in twenty characters.
fn mostly_latin(read: &[Read]) -> bool {
    let (latin, cjk) = read
        .iter()
        .filter(|r| r.decoded.score >= SCORE)
        .map(|r| weights(&r.decoded.text))
        .fold((0, 0), |sum, w| (sum.0 + w.0, sum.1 + w.1));
    latin > 20 * cjk
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Reads `a` where the first row of an image is light at its left end, `b` where it is dark,
    /// with a score that falls with its darkness; a step for every 8 columns.
    struct Shade(Arc<AtomicUsize>);

    impl Graph for Shade {
        fn run(
            &mut self,
            inputs: &[(&str, View<'_>)],
            _: &[&str],
            take: &mut dyn FnMut(&[View<'_>]),
        ) -> Result<(), RunError> {
            let &[n, _, rows, columns] = inputs[0].1.shape else {
                return Err(RunError("shape".into()));
            };
            let (n, image) = (n as usize, 3 * (rows * columns) as usize);
            let steps = columns as usize / 8;
            let mut scores = Vec::new();
            for i in 0..n {
                let light = (inputs[0].1.f32()[i * image] + 1.0) / 2.0;
                for step in 0..steps {
                    let mut row = [0.0f32; 4]; // blank, a, b, space
                    match step {
                        0 if light > 0.5 => row[1] = light,
                        0 => row[2] = 0.6,
                        _ => row[0] = 1.0,
                    }
                    scores.extend(row);
                }
            }
            self.0.fetch_add(n, Ordering::Relaxed);
            take(&[View::new(&[n as i64, steps as i64, 4], &scores)]);
            Ok(())
        }
    }

    fn recognise() -> (Recognise, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let graph = Box::new(Shade(read.clone()));
        (Recognise::new(vec![graph], Alphabet::new("a\nb")), read)
    }

    fn page(level: u8) -> Pixels<'static> {
        Pixels {
            width: 200,
            height: 200,
            rgb: vec![level; 200 * 200 * 3].into(),
        }
    }

    fn level(width: f32, height: f32) -> Slanted {
        Slanted {
            cx: 100.0,
            cy: 100.0,
            width,
            height,
            angle: 0.0,
        }
    }

    #[test]
    fn light_lines_are_read_once_and_dark_ones_inverted_too() {
        let (mut recognise, read) = recognise();
        let lines = recognise.of(&page(250), &[level(80.0, 20.0)]).unwrap();
        assert_eq!(
            (lines[0].text.as_str(), read.load(Ordering::Relaxed)),
            ("a", 1)
        );
        let lines = recognise.of(&page(10), &[level(80.0, 20.0)]).unwrap();
        assert_eq!(
            (lines[0].text.as_str(), read.load(Ordering::Relaxed)),
            ("a", 3)
        );
        assert!(lines[0].score > 0.9);
    }

    #[test]
    fn a_standing_line_is_read_both_ways() {
        use std::f32::consts::FRAC_PI_2;
        let standing = |width| Slanted {
            angle: FRAC_PI_2,
            ..level(width, 20.0)
        };
        // The upper part is dark: only upwards is it light at the line's beginning.
        let mut page = page(250);
        page.rgb.to_mut()[..200 * 80 * 3].fill(0);
        let (mut recognise, _) = recognise();
        let lines = recognise.of(&page, &[standing(100.0)]).unwrap();
        assert_eq!(lines[0].text, "a");
        assert!((lines[0].at.angle + FRAC_PI_2).abs() < 1e-5);
    }

    #[test]
    fn a_very_wide_line_is_read_in_parts() {
        let (mut recognise, read) = recognise();
        let page = Pixels {
            width: 1000,
            height: 20,
            rgb: vec![250; 60_000].into(),
        };
        let line = Slanted {
            cx: 500.0,
            cy: 10.0,
            width: 1000.0,
            height: 10.0,
            angle: 0.0,
        };
        let lines = recognise.of(&page, &[line]).unwrap();
        assert_eq!(
            (lines[0].text.as_str(), read.load(Ordering::Relaxed)),
            ("a a", 2)
        );
        assert_eq!(lines[0].extents.len(), 3);
        assert!(lines[0].extents[2][0] > 0.4);
    }
}
