//! From the scores of a line's steps to its text: CTC's best path (Graves et al. 2006), one script
//! a line, spaces where the image has them.

use super::alphabet::Alphabet;
use super::ink::Ink;
use super::space::{Gap, Spaces};
use super::{confused, script};

/// What the scores of a line's steps say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    pub text: String,
    /// Mean of the characters' probabilities; 0 without characters.
    pub score: f32,
    /// By character of `text`: where it begins and ends, fractions of the line's width.
    pub extents: Vec<[f32; 2]>,
}

/// A character on the best path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    pub class: usize,
    /// First step of its run.
    pub step: usize,
    /// Steps of its run.
    pub length: usize,
    /// Probability at its first step.
    pub score: f32,
}

/// The likeliest class of each step, repeats merged, blanks left out. `scores` has `classes`
/// probabilities for each step.
pub fn best_path(scores: &[f32], classes: usize) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    let mut last = 0;
    for (step, row) in scores.chunks_exact(classes).enumerate() {
        let (class, score) = best(row);
        match marks.last_mut() {
            Some(mark) if class != 0 && class == last => mark.length += 1,
            _ if class != 0 => marks.push(Mark {
                class,
                step,
                length: 1,
                score,
            }),
            _ => {}
        }
        last = class;
    }
    marks
}

/// The text of a line. Where the model names no space but the image shows a gap between two
/// characters of a script with spaces, one is put in.
pub fn decode(scores: &[f32], classes: usize, alphabet: &Alphabet, ink: &Ink) -> Decoded {
    let mut marks = best_path(scores, classes);
    script::settle(&mut marks, scores, classes, alphabet);
    confused::settle(&mut marks, scores, classes, alphabet);
    let mut read = Decoded::default();
    // Gaps before each letter, and whether the model names a space there.
    let blank = |mark: &Mark| alphabet.mark(mark.class).trim().is_empty();
    let letters: Vec<usize> = (0..marks.len()).filter(|&i| !blank(&marks[i])).collect();
    let gaps: Vec<Gap> = letters
        .windows(2)
        .map(|pair| Gap {
            width: ink.gap(marks[pair[0]].step, marks[pair[1]].step),
            named: pair[1] > pair[0] + 1,
        })
        .collect();
    let spaces = Spaces::of(&gaps);
    // A character reaches half way to its neighbours, and at the ends half a step.
    let middle = |step: usize| (step as f32 + 0.5) / ink.steps.max(1) as f32;
    let border = |i: usize| match (i.checked_sub(1), marks.get(i)) {
        (Some(before), Some(mark)) => (middle(marks[before].step) + middle(mark.step)) / 2.0,
        (None, Some(mark)) => (middle(mark.step) - middle(0)).max(0.0),
        (_, None) => marks
            .last()
            .map_or(0.0, |m| (middle(m.step) + middle(0)).min(1.0)),
    };
    let mut letter = 0usize;
    for (i, mark) in marks.iter().enumerate() {
        let extent = [border(i), border(i + 1)];
        let sign = alphabet.mark(mark.class);
        if !blank(mark) {
            if let Some(gap) = letter.checked_sub(1).map(|l| gaps[l])
                && !gap.named
                && spaces.between(&read.text, sign, gap.width)
            {
                read.text.push(' ');
                read.extents.push([extent[0]; 2]);
            }
            letter += 1;
        }
        // Latin text has one kind of space, and never two of them.
        let sign = if blank(mark) { " " } else { sign };
        let narrow = gaps.get(letter.wrapping_sub(1)).map(|g| g.width);
        if sign == " "
            && (read.text.ends_with(' ')
                || narrow.is_some_and(|width| spaces.none(&read.text, width)))
        {
            continue;
        }
        read.text.push_str(sign);
        read.extents.extend(sign.chars().map(|_| extent));
    }
    if !marks.is_empty() {
        read.score = marks.iter().map(|m| m.score).sum::<f32>() / marks.len() as f32;
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

    /// Lays parts of one line together; each stands between two fractions of the line's width.
    pub fn joined(parts: Vec<([f32; 2], Self)>) -> Self {
        if parts.len() == 1 {
            return parts.into_iter().next().map(|p| p.1).unwrap_or_default();
        }
        let mut whole = Self::default();
        let (mut sum, mut count) = (0.0, 0);
        for ([from, to], part) in parts {
            if part.text.is_empty() {
                continue;
            }
            let seam = whole.text.chars().next_back().zip(part.text.chars().next());
            if seam.is_some_and(|(a, b)| super::space::spaced(a) && super::space::spaced(b)) {
                whole.text.push(' ');
                whole.extents.push([from; 2]);
            }
            sum += part.score * part.extents.len() as f32;
            count += part.extents.len();
            whole.text.push_str(&part.text);
            whole.extents.extend(
                part.extents
                    .iter()
                    .map(|e| e.map(|v| from + v * (to - from))),
            );
        }
        whole.score = sum / count.max(1) as f32;
        whole
    }
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
            dark: false,
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
    fn parts_of_a_line_come_together_where_they_stand() {
        let part = |text: &str, score| Decoded {
            text: text.into(),
            score,
            extents: vec![[0.0, 0.5], [0.5, 1.0]],
        };
        let whole = Decoded::joined(vec![
            ([0.0, 0.6], part("ab", 0.9)),
            ([0.6, 0.8], Decoded::default()),
            ([0.8, 1.0], part("cd", 0.7)),
        ]);
        assert_eq!(whole.text, "ab cd");
        assert_eq!(whole.extents.len(), 5);
        assert!((whole.extents[3][1] - 0.9).abs() < 1e-6);
        assert!((whole.score - 0.8).abs() < 1e-6);
        let han = Decoded::joined(vec![
            ([0.0, 0.5], part("\u{4e00}\u{4e00}", 0.9)),
            ([0.5, 1.0], part("\u{4e8c}\u{4e8c}", 0.9)),
        ]);
        assert_eq!(han.text, "\u{4e00}\u{4e00}\u{4e8c}\u{4e8c}");
    }

    #[test]
    fn best_is_the_first_of_equals() {
        let mut row = vec![0.0; 40];
        row[7] = 2.0;
        row[33] = 2.0;
        assert_eq!(best(&row), (7, 2.0));
    }
}
