//! Text of lines: PP-OCR recognition, batched by width, decoded by CTC's best path (Graves et
//! al. 2006).

use std::sync::Mutex;
use std::sync::PoisonError;

use super::line::{Line, Source};
use super::pixels::{Order, Pixels, Slanted, cut, planes};
use crate::engine::session::{Graph, RunError, View};

/// Rows of a line's image.
const HEIGHT: u32 = 48;
/// Widest line; a wider one is squeezed. PP-OCR's training went to 3,200.
const MAX_WIDTH: u32 = 3200;
/// Narrowest input.
const MIN_WIDTH: usize = 32;
/// Widths are rounded up to this, so that few shapes occur.
const WIDTH_STEP: usize = 32;
/// Columns of a batch, all lines together: bounds the memory of a run.
const BATCH_COLUMNS: usize = 4096;
/// A line whose mean score is below this is taken as no text (RapidOCR's `text_score`).
const SCORE: f32 = 0.5;

/// The dictionary of a recognition model: class 0 is CTC's blank.
pub struct Alphabet(Vec<String>);

impl Alphabet {
    /// From the lines of the model's metadata `character`; a space follows them.
    pub fn new(characters: &str) -> Self {
        let mut all = vec![String::new()];
        all.extend(characters.lines().map(str::to_owned));
        all.push(" ".into());
        Self(all)
    }

    pub fn classes(&self) -> usize {
        self.0.len()
    }
}

pub struct Recognise {
    /// Each runs on one thread; several run side by side.
    graphs: Vec<Mutex<Box<dyn Graph>>>,
    alphabet: Alphabet,
}

/// Number of a line, and what was read there.
type Read = (usize, Decoded);

/// What the scores of a line's steps say.
#[derive(Clone, Debug, Default, PartialEq)]
struct Decoded {
    text: String,
    /// Mean of the characters' probabilities; 0 without characters.
    score: f32,
    /// By character of `text`: where it begins and ends, fractions of the line's width.
    extents: Vec<[f32; 2]>,
}

struct Crop {
    line: usize,
    image: Pixels<'static>,
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
        let crops = parallel(self.graphs.len(), lines.len(), |i| {
            Ok(Crop {
                line: i,
                image: cut(page, &lines[i], HEIGHT, MAX_WIDTH),
            })
        })?;
        let batches = batches(crops);
        let read = self.run(&batches)?;
        let mut out: Vec<Option<Line>> = lines.iter().map(|_| None).collect();
        for (line, decoded) in read.into_iter().flatten() {
            if decoded.score >= SCORE && !decoded.text.is_empty() {
                out[line] = Some(Line {
                    at: lines[line],
                    text: decoded.text,
                    score: decoded.score,
                    extents: decoded.extents,
                    source: Source::Image,
                });
            }
        }
        Ok(out.into_iter().flatten().collect())
    }

    fn run(&self, batches: &[Vec<Crop>]) -> Result<Vec<Vec<Read>>, RunError> {
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
                    let decoded = decode(
                        &scores[..used * classes],
                        classes,
                        &self.alphabet,
                        &Ink::of(&crop.image, used),
                    );
                    read.push((crop.line, decoded));
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

fn columns(width: u32) -> usize {
    (width as usize)
        .div_ceil(WIDTH_STEP)
        .max(MIN_WIDTH / WIDTH_STEP)
        * WIDTH_STEP
}

/// Groups of similar width, widest first, so that padding costs little.
fn batches(mut crops: Vec<Crop>) -> Vec<Vec<Crop>> {
    crops.sort_by_key(|c| std::cmp::Reverse(c.image.width));
    let mut out: Vec<Vec<Crop>> = Vec::new();
    let mut widest = 0;
    for crop in crops {
        match out.last_mut() {
            Some(batch)
                if (batch.len() + 1) * widest <= BATCH_COLUMNS
                    && columns(crop.image.width) * 10 >= widest * 9 =>
            {
                batch.push(crop);
            }
            _ => {
                widest = columns(crop.image.width);
                out.push(vec![crop]);
            }
        }
    }
    out
}

/// Runs `work` for 0..count on up to `threads` threads; results in order.
fn parallel<T: Send>(
    threads: usize,
    count: usize,
    work: impl Fn(usize) -> Result<T, RunError> + Sync,
) -> Result<Vec<T>, RunError> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return Ok(done);
            }
            done.push((i, work(i)?));
        }
    };
    let mut all: Vec<(usize, T)> = if threads < 2 || count < 2 {
        run()?
    } else {
        std::thread::scope(|scope| {
            let handles: Vec<_> = (1..threads.min(count)).map(|_| scope.spawn(run)).collect();
            let mut all = run();
            for handle in handles {
                let part = handle
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                all = all.and_then(|mut all| {
                    all.extend(part?);
                    Ok(all)
                });
            }
            all
        })?
    };
    all.sort_by_key(|(i, _)| *i);
    Ok(all.into_iter().map(|(_, t)| t).collect())
}

/// Where a line's image has ink, per CTC step.
struct Ink {
    /// For each image column, whether it has ink.
    columns: Vec<bool>,
    steps: usize,
}

impl Ink {
    fn of(image: &Pixels<'_>, steps: usize) -> Self {
        let (w, h) = (image.width as usize, image.height as usize);
        let gray = |i: usize| {
            let p = &image.rgb[i * 3..i * 3 + 3];
            (u32::from(p[0]) * 2 + u32::from(p[1]) * 5 + u32::from(p[2])) / 8
        };
        // Background: the most common of 16 levels.
        let mut levels = [0u32; 16];
        for i in 0..w * h {
            levels[(gray(i) / 16) as usize] += 1;
        }
        let paper = levels
            .iter()
            .enumerate()
            .max_by_key(|(_, n)| **n)
            .map_or(15, |(l, _)| l as u32)
            * 16
            + 8;
        // The rows at the border may hold parts of other lines.
        let rows = h / 8..h - h / 8;
        let columns = (0..w)
            .map(|x| rows.clone().any(|y| gray(y * w + x).abs_diff(paper) > 64))
            .collect();
        Self { columns, steps }
    }

    /// Longest run of columns without ink between two CTC steps, in pixels of the line's image.
    fn gap(&self, from: usize, to: usize) -> usize {
        let at =
            |step: usize| (step * self.columns.len() / self.steps.max(1)).min(self.columns.len());
        let (mut longest, mut run) = (0, 0);
        // From the middle of one character to the middle of the next.
        for &ink in &self.columns[at(from)..at(to + 1)] {
            run = if ink { 0 } else { run + 1 };
            longest = longest.max(run);
        }
        longest
    }
}

/// Best path: the likeliest class of each step, repeats merged, blanks left out; and the mean
/// probability of what is left. Where the model names no space but the image shows a gap between
/// two characters of Latin script, a space is put in.
fn decode(scores: &[f32], classes: usize, alphabet: &Alphabet, ink: &Ink) -> Decoded {
    let mut marks: Vec<(usize, usize)> = Vec::new(); // step, class
    let (mut sum, mut last) = (0.0, 0);
    for (step, row) in scores.chunks_exact(classes).enumerate() {
        let (class, score) = best(row);
        if class != 0 && class != last {
            marks.push((step, class));
            sum += score;
        }
        last = class;
    }
    let mut read = Decoded::default();
    let gaps: Vec<usize> = marks.windows(2).map(|p| ink.gap(p[0].0, p[1].0)).collect();
    let limit = word_gap(&gaps);
    // A character reaches half way to its neighbours, and at the ends half a step.
    let middle = |step: usize| (step as f32 + 0.5) / ink.steps.max(1) as f32;
    let border = |i: usize| match (i.checked_sub(1), marks.get(i)) {
        (Some(before), Some(&(step, _))) => (middle(marks[before].0) + middle(step)) / 2.0,
        (None, Some(&(step, _))) => (middle(step) - middle(0)).max(0.0),
        (_, None) => marks
            .last()
            .map_or(0.0, |m| (middle(m.0) + middle(0)).min(1.0)),
    };
    for (i, &(_, class)) in marks.iter().enumerate() {
        let mark = alphabet.0.get(class).map_or("", String::as_str);
        let text = &mut read.text;
        // A narrow 1 has much room around it: digits stand further apart before they are two numbers.
        let digits = text.ends_with(|c: char| c.is_ascii_digit())
            && mark.starts_with(|c: char| c.is_ascii_digit());
        let limit = if digits { 2 * limit } else { limit };
        let extent = [border(i), border(i + 1)];
        if i > 0 && gaps[i - 1] >= limit && spaced(text) && spaced(mark) && !clings(text, mark) {
            text.push(' ');
            read.extents.push([extent[0]; 2]);
        }
        text.push_str(mark);
        read.extents.extend(mark.chars().map(|_| extent));
    }
    if !marks.is_empty() {
        read.score = sum / marks.len() as f32;
    }
    read.trim();
    read
}

impl Decoded {
    /// Takes the spaces at both ends away.
    fn trim(&mut self) {
        let end = self.text.trim_end().chars().count();
        self.extents.truncate(end);
        let start = self.text.chars().take_while(|c| c.is_whitespace()).count();
        self.extents.drain(..start.min(end));
        self.text = self.text.trim().to_owned();
    }
}

/// Width of a gap that separates words, in pixels of 48 rows.
fn word_gap(gaps: &[usize]) -> usize {
    // Text fills about two thirds of the rows, an em is then about 32 pixels, a space a quarter of
    // it; letter-spaced lines (headings) have gaps everywhere, so the median is taken off.
    let mut sorted = gaps.to_vec();
    sorted.sort_unstable();
    let median = sorted
        .get(sorted.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(0);
    8.max(median * 2 + 3)
}

/// Whether a gap beside this text means a space: scripts with spaces between words.
fn spaced(text: &str) -> bool {
    text.chars().next_back().is_some_and(|c| {
        c.is_ascii_graphic()
            || ('\u{a1}'..='\u{52f}').contains(&c)
            || ('\u{2010}'..='\u{2027}').contains(&c)
    })
}

/// Whether no space belongs between the two whatever the gap: before closing marks, after opening
/// ones.
fn clings(text: &str, mark: &str) -> bool {
    const CLOSING: &str = ".,;:!?)]}%\u{2019}\u{201d}\u{bb}'\"";
    const OPENING: &str = "([{\u{2018}\u{201c}\u{ab}";
    text.chars()
        .next_back()
        .is_some_and(|c| OPENING.contains(c))
        || mark.chars().next().is_some_and(|c| CLOSING.contains(c))
}

/// Index and value of the largest; the first of equals.
fn best(row: &[f32]) -> (usize, f32) {
    const LANES: usize = 16;
    let mut lanes = [f32::MIN; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane = if v > *lane { v } else { *lane };
        }
    }
    let max = lanes.iter().chain(rest).copied().fold(f32::MIN, f32::max);
    (row.iter().position(|&v| v == max).unwrap_or(0), max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(classes: usize, steps: &[usize]) -> Vec<f32> {
        steps
            .iter()
            .flat_map(|&s| (0..classes).map(move |c| if c == s { 0.8 } else { 0.01 }))
            .collect()
    }

    fn all_ink(steps: usize) -> Ink {
        Ink {
            columns: vec![true; steps * 8],
            steps,
        }
    }

    #[test]
    fn the_best_path_merges_repeats_and_leaves_out_blanks() {
        let alphabet = Alphabet::new("a\nb\nc");
        assert_eq!(alphabet.classes(), 5);
        let scores = path(5, &[0, 1, 1, 0, 1, 2, 4, 3, 3]);
        let read = decode(&scores, 5, &alphabet, &all_ink(9));
        assert_eq!(read.text, "aab c");
        assert!((read.score - 0.8).abs() < 1e-6);
        let ends: Vec<_> = read.extents.iter().map(|e| e.map(|v| v * 18.0)).collect();
        // Steps 1, 4, 5, 6, 7 of 9.
        let expected = [
            [2.0, 6.0],
            [6.0, 10.0],
            [10.0, 12.0],
            [12.0, 14.0],
            [14.0, 16.0],
        ];
        for (a, b) in ends.iter().flatten().zip(expected.iter().flatten()) {
            assert!((a - b).abs() < 1e-4, "{ends:?}");
        }
        assert_eq!(
            decode(&path(5, &[0, 0]), 5, &alphabet, &all_ink(2)),
            Decoded::default()
        );
    }

    #[test]
    fn a_gap_in_the_image_becomes_a_space_once() {
        let alphabet = Alphabet::new("a\nb\n\u{4e00}");
        let mut ink = all_ink(6);
        ink.columns[20..32].fill(false); // between steps 2 and 4
        let decode = |steps: &[usize]| decode(&path(5, steps), 5, &alphabet, &ink).text;
        assert_eq!(decode(&[1, 2, 1, 0, 2, 1]), "aba ba");
        assert_eq!(
            decode(&[1, 2, 1, 4, 2, 1]),
            "aba ba",
            "the model's own space"
        );
        assert_eq!(
            decode(&[3, 0, 3, 0, 3, 3]),
            "\u{4e00}\u{4e00}\u{4e00}",
            "no spaces in Chinese"
        );
    }

    #[test]
    fn a_narrow_digit_is_not_a_number_of_its_own() {
        let alphabet = Alphabet::new("1\na");
        let mut ink = all_ink(6);
        ink.columns[23..33].fill(false); // between steps 2 and 4
        assert_eq!(
            decode(&path(4, &[1, 0, 1, 0, 1, 0]), 4, &alphabet, &ink).text,
            "111"
        );
        assert_eq!(
            decode(&path(4, &[2, 0, 2, 0, 2, 0]), 4, &alphabet, &ink).text,
            "aa a"
        );
    }

    #[test]
    fn batches_hold_similar_widths_within_the_bound() {
        let crops = [40, 3000, 44, 2990, 900, 45, 2980]
            .iter()
            .enumerate()
            .map(|(line, &w)| Crop {
                line,
                image: Pixels {
                    width: w,
                    height: 48,
                    rgb: vec![0; w as usize * 144].into(),
                },
            })
            .collect();
        let batches = batches(crops);
        assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), 7);
        for batch in &batches {
            let widest = columns(batch[0].image.width);
            assert!(batch.len() == 1 || batch.len() * widest <= BATCH_COLUMNS);
        }
        assert_eq!(batches.last().map(Vec::len), Some(3));
    }

    #[test]
    fn parallel_keeps_the_order_and_the_error() {
        assert_eq!(
            parallel(3, 50, |i| Ok(i * 2)).unwrap(),
            (0..50).map(|i| i * 2).collect::<Vec<_>>()
        );
        assert!(
            parallel(3, 50, |i| if i == 40 {
                Err(RunError("x".into()))
            } else {
                Ok(i)
            })
            .is_err()
        );
    }

    #[test]
    fn best_is_the_first_of_equals() {
        let mut row = vec![0.0; 40];
        row[7] = 2.0;
        row[33] = 2.0;
        assert_eq!(best(&row), (7, 2.0));
    }
}
