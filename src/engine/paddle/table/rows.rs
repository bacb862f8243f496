//! Words to rows of text, rows to phrases: what stands together on one baseline. Pure.

use super::amount;
use super::words::Piece;
use crate::engine::paddle::layout::union;

/// Words that stand together in one row of text.
#[derive(Clone, Debug, PartialEq)]
pub struct Phrase {
    /// Numbers of its words, from left to right.
    pub words: Vec<usize>,
    pub at: [f32; 4],
    /// Number of its row of text.
    pub row: usize,
}

/// The rows of text of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Middles of the rows, from top to bottom.
    pub middles: Vec<f32>,
    pub phrases: Vec<Phrase>,
    /// Least usual distance of lines below each other.
    pub pitch: f32,
    /// Mean width of a character.
    pub character: f32,
}

/// Part of the pitch within which lines beside each other are one row: those of a subscript or of
/// another size stand a quarter off, those of a cell with one line more stand half off.
const SAME_ROW: f32 = 0.35;
/// Gap between words of a line, in characters, above which they are two phrases: a space has half
/// a character, in justified text up to one and a half.
const PHRASE_GAP: f32 = 1.5;
/// The same between words of two lines, which detection has told apart already.
const LINE_GAP: f32 = 0.6;
/// The same between two amounts, of which a cell seldom has two.
const AMOUNT_GAP: f32 = 0.9;
/// Farthest that a sign stands before its amount, in characters: a column of amounts.
const LEAD_GAP: f32 = 16.0;
/// Farthest that a sign stands behind its amount.
const TRAIL_GAP: f32 = 3.0;

impl Rows {
    pub fn of(words: &[Piece]) -> Self {
        let lines = lines(words);
        if lines.is_empty() {
            return Self::default();
        }
        let pitch = pitch(&lines);
        let mut rows: Vec<(f32, Vec<&Row>)> = Vec::new();
        let mut sorted: Vec<&Row> = lines.iter().collect();
        sorted.sort_by(|a, b| a.middle.total_cmp(&b.middle));
        for line in sorted {
            let near = rows.last_mut().filter(|(middle, held)| {
                line.middle - *middle < SAME_ROW * pitch
                    && held.iter().all(|other| overlap(other, line) < 0.3)
            });
            match near {
                Some((middle, held)) => {
                    held.push(line);
                    let sum: f32 = held.iter().map(|l| l.middle).sum();
                    *middle = sum / held.len() as f32;
                }
                None => rows.push((line.middle, vec![line])),
            }
        }
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let character = character(words);
        let mut phrases = Vec::new();
        for (row, (_, held)) in rows.iter().enumerate() {
            let mut numbers: Vec<usize> = held.iter().flat_map(|l| l.words.clone()).collect();
            numbers.sort_by(|&a, &b| words[a].at[0].total_cmp(&words[b].at[0]));
            phrases.extend(split(words, &numbers, row, character));
        }
        Self {
            middles: rows.iter().map(|r| r.0).collect(),
            phrases,
            pitch,
            character,
        }
    }

    /// The text of a phrase, without spaces between signs and their amounts.
    pub fn text(words: &[Piece], phrase: &Phrase) -> String {
        let mut out = String::new();
        for &w in &phrase.words {
            let text = &words[w].text;
            let glued = words[w].glued || amount::together(last_word(&out), text);
            if !out.is_empty() && !glued {
                out.push(' ');
            }
            out.push_str(text);
        }
        out
    }
}

fn last_word(text: &str) -> &str {
    text.rsplit(' ').next().unwrap_or(text)
}

/// The words of one line.
struct Row {
    words: Vec<usize>,
    middle: f32,
    x: [f32; 2],
}

fn lines(words: &[Piece]) -> Vec<Row> {
    let mut numbered: Vec<(usize, Vec<usize>)> = Vec::new();
    for (i, word) in words.iter().enumerate() {
        if is_leader(&word.text) {
            continue;
        }
        match numbered.last_mut() {
            Some((line, held)) if *line == word.line => held.push(i),
            _ => numbered.push((word.line, vec![i])),
        }
    }
    let row = |held: Vec<usize>| Row {
        middle: held.iter().map(|&w| words[w].middle()).sum::<f32>() / held.len() as f32,
        x: [
            held.iter()
                .map(|&w| words[w].at[0])
                .fold(f32::MAX, f32::min),
            held.iter()
                .map(|&w| words[w].at[2])
                .fold(f32::MIN, f32::max),
        ],
        words: held,
    };
    numbered.into_iter().map(|(_, held)| row(held)).collect()
}

/// Dots that lead from a label to its amount.
fn is_leader(text: &str) -> bool {
    text.chars().count() >= 3 && text.chars().all(|c| matches!(c, '.' | '·' | '…' | '_'))
}

/// Part of the narrower of two lines that the other covers.
fn overlap(a: &Row, b: &Row) -> f32 {
    let common = a.x[1].min(b.x[1]) - a.x[0].max(b.x[0]);
    common / (a.x[1] - a.x[0]).min(b.x[1] - b.x[0]).max(1e-3)
}

/// The least usual distance of a line to the next one below it: the first fifth of all.
fn pitch(lines: &[Row]) -> f32 {
    let mut distances: Vec<f32> = lines
        .iter()
        .filter_map(|line| {
            lines
                .iter()
                .filter(|other| other.middle > line.middle && overlap(line, other) > 0.2)
                .map(|other| other.middle - line.middle)
                .min_by(f32::total_cmp)
        })
        .collect();
    distances.sort_by(f32::total_cmp);
    let fifth = distances.get(distances.len() / 5);
    fifth.copied().unwrap_or(f32::MAX)
}

/// Mean width of a character: the median over words of three and more.
fn character(words: &[Piece]) -> f32 {
    let of = |least: usize| {
        let mut widths: Vec<f32> = words
            .iter()
            .filter(|w| w.text.chars().count() >= least)
            .map(|w| (w.at[2] - w.at[0]) / w.text.chars().count() as f32)
            .collect();
        widths.sort_by(f32::total_cmp);
        widths.get(widths.len() / 2).copied()
    };
    of(3).or_else(|| of(1)).unwrap_or(1.0).max(1e-3)
}

/// Phrases of the words of one row.
fn split(words: &[Piece], numbers: &[usize], row: usize, character: f32) -> Vec<Phrase> {
    let mut phrases: Vec<Phrase> = Vec::new();
    let mut previous: Option<usize> = None;
    for &n in numbers {
        let word = &words[n];
        let joined = previous.is_some_and(|p| {
            let gap = word.at[0] - words[p].at[2];
            let left = &words[p];
            let limit = match () {
                () if left.line != word.line => LINE_GAP,
                () if amount::apart(&left.text, &word.text) => AMOUNT_GAP,
                () => PHRASE_GAP,
            };
            gap <= limit * character
        });
        match phrases.last_mut().filter(|_| joined) {
            Some(phrase) => phrase.extend(&[n], word.at),
            None => phrases.push(Phrase {
                words: vec![n],
                at: word.at,
                row,
            }),
        }
        previous = Some(n);
    }
    attach(words, phrases, character)
}

/// Signs to their amounts.
fn attach(words: &[Piece], phrases: Vec<Phrase>, character: f32) -> Vec<Phrase> {
    let mut out: Vec<Phrase> = Vec::with_capacity(phrases.len());
    for phrase in phrases {
        let text = Rows::text(words, &phrase);
        let joined = out.last().is_some_and(|before| {
            let gap = (phrase.at[0] - before.at[2]) / character;
            let left = Rows::text(words, before);
            (amount::leads(&left) && amount::together(&left, &text) && gap <= LEAD_GAP)
                || (amount::trails(&text) && amount::together(&left, &text) && gap <= TRAIL_GAP)
        });
        match out.last_mut().filter(|_| joined) {
            Some(before) => before.extend(&phrase.words, phrase.at),
            None => out.push(phrase),
        }
    }
    out
}

impl Phrase {
    fn extend(&mut self, words: &[usize], at: [f32; 4]) {
        self.words.extend_from_slice(words);
        self.at = union(self.at, at);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Words of lines written with a fixed pitch: a character is 10 wide, a row 30 high, its
    /// letters 20. Two and more spaces begin another line.
    pub fn drawn(text: &str) -> Vec<Piece> {
        let mut out = Vec::new();
        let mut line = 0;
        for (row, written) in text.lines().enumerate() {
            let (mut start, mut gap) = (None, 2);
            for (i, c) in written.chars().chain([' ']).enumerate() {
                match (c, start) {
                    (' ', Some(from)) => {
                        let word: String = written.chars().skip(from).take(i - from).collect();
                        let y = 30.0 * row as f32;
                        out.push(Piece {
                            text: word,
                            at: [10.0 * from as f32, y, 10.0 * i as f32, y + 20.0],
                            line,
                            glued: false,
                        });
                        (start, gap) = (None, 1);
                    }
                    (' ', None) => gap += 1,
                    (_, None) => {
                        line += usize::from(gap >= 2);
                        start = Some(i);
                    }
                    _ => {}
                }
            }
            line += 1;
        }
        out
    }

    fn texts(text: &str) -> Vec<(usize, String)> {
        let words = drawn(text);
        let rows = Rows::of(&words);
        let text = |p: &Phrase| (p.row, Rows::text(&words, p));
        rows.phrases.iter().map(text).collect()
    }

    #[test]
    fn signs_join_their_amounts_over_a_gap() {
        let found = texts("Net sales   $   1,234  )     %\nCosts          5,678  %  7\n");
        let expected = [
            (0, "Net sales"),
            (0, "$1,234)"),
            (0, "%"),
            (1, "Costs"),
            (1, "5,678%"),
            (1, "7"),
        ];
        let expected: Vec<_> = expected.map(|(r, t)| (r, t.to_owned())).into();
        assert_eq!(found, expected);
    }

    #[test]
    fn rows_and_measures() {
        let words = drawn("aaaa bbb ........ 12\n\ncc\ndd  x\n");
        let rows = Rows::of(&words);
        assert_eq!(rows.middles, [10.0, 70.0, 100.0]);
        assert_eq!((rows.pitch, rows.character), (30.0, 10.0));
        assert_eq!(rows.phrases.len(), 5, "leaders are left out");
        assert_eq!(Rows::of(&[]), Rows::default());
    }

    #[test]
    fn a_line_half_a_row_off_is_a_row_of_its_own() {
        let mut words = drawn("aaa\nbbb\n");
        words.push(Piece {
            text: "mid".into(),
            at: [200.0, 15.0, 230.0, 35.0],
            line: 99,
            glued: false,
        });
        assert_eq!(Rows::of(&words).middles, [10.0, 25.0, 40.0]);
    }
}
