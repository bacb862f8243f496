//! Items of lists among the rows of a region. Pure.

use super::markdown;
use super::paragraph::{self, Row};
use super::piece::median;
use crate::page::words::{self, Words};

/// What begins an item.
#[derive(Clone, Debug, PartialEq)]
enum Mark {
    /// A sign that is nothing but a bullet.
    Bullet,
    /// A dash or star, which may be something else.
    Dash,
    /// `1.` or `1)`, as Markdown has it.
    Number(u32),
    /// `(a)`, `a)`, `iv.`, `[7]`: kept as it is printed.
    Other(String),
}

/// Signs that are bullets at the beginning of a row.
const BULLETS: [char; 22] = [
    '\u{2022}', '\u{25e6}', '\u{25aa}', '\u{25ab}', '\u{25cf}', '\u{25cb}', '\u{25a0}', '\u{25a1}',
    '\u{2023}', '\u{27a2}', '\u{27a4}', '\u{2713}', '\u{2714}', '\u{2219}', '\u{2043}', '\u{25b6}',
    '\u{25ba}', '\u{2756}', '\u{b7}', '\u{30fb}', '\u{f0b7}', '\u{25c6}',
];

impl Mark {
    /// The mark at a row's beginning, and the text after it.
    fn of(text: &str) -> Option<(Self, &str)> {
        let first = text.chars().next()?;
        let rest = &text[first.len_utf8()..];
        if BULLETS.contains(&first) {
            return Some((Self::Bullet, rest.trim_start()));
        }
        let (word, after) = text.split_once(' ')?;
        if matches!(word, "-" | "\u{2013}" | "*") {
            return Some((Self::Dash, after.trim_start()));
        }
        let open = word.starts_with(['(', '[']);
        let body = word.trim_start_matches(['(', '[']);
        let body = body.strip_suffix(['.', ')', ']'])?;
        let digits = body.bytes().all(|b| b.is_ascii_digit()) && (1..=3).contains(&body.len());
        if digits && !open && !word.ends_with(']') {
            return Some((Self::Number(body.parse().ok()?), after.trim_start()));
        }
        let letter = body.len() == 1 && body.chars().all(|c| c.is_ascii_lowercase());
        let roman = (1..=5).contains(&body.len()) && body.chars().all(|c| "ivx".contains(c));
        // Without brackets a letter may be an abbreviation.
        let bracket = word.ends_with([')', ']']);
        ((digits && open || letter || roman) && bracket)
            .then(|| (Self::Other(word.to_owned()), after.trim_start()))
    }

    fn is_alike(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// An item, or a text between items.
#[derive(Debug)]
struct Part {
    mark: Option<Mark>,
    left: f32,
    level: usize,
    text: String,
}

/// Which rows begin an item: where the first row does, or one follows another in sequence.
fn marks(rows: &[Row]) -> Vec<Option<Mark>> {
    let found: Vec<Option<Mark>> = rows
        .iter()
        .map(|r| Mark::of(&r.text).map(|m| m.0))
        .collect();
    let keep = |i: usize, mark: &Mark| {
        let earlier = || found[..i].iter().flatten();
        let later = || found[i + 1..].iter().flatten();
        let after =
            i > 0 && (words::is_ended(&rows[i - 1].text) || rows[i - 1].text.ends_with([';', ',']));
        match mark {
            Mark::Bullet => true,
            Mark::Dash => {
                (i == 0 || after)
                    && (earlier().any(|m| m.is_alike(mark)) || later().any(|m| m.is_alike(mark)))
            }
            Mark::Number(n) => {
                i == 0
                    || earlier().any(|m| *m == Mark::Number(n.wrapping_sub(1)))
                    || (after && later().any(|m| *m == Mark::Number(n + 1)))
            }
            Mark::Other(_) => {
                i == 0
                    || earlier().any(|m| m.is_alike(mark))
                    || (after && later().any(|m| m.is_alike(mark)))
            }
        }
    };
    (0..rows.len())
        .map(|i| found[i].clone().filter(|mark| keep(i, mark)))
        .collect()
}

/// Whether a row begins an entry of references: "[7] ..", "7. ..".
pub fn is_entry(text: &str) -> bool {
    match Mark::of(text) {
        Some((Mark::Number(_), _)) => true,
        Some((Mark::Other(mark), _)) => mark.starts_with('['),
        _ => false,
    }
}

/// The Markdown of rows among which are items; `None` where there are none.
pub fn list(rows: &[Row], words: &Words) -> Option<String> {
    let marks = marks(rows);
    if marks.iter().all(Option::is_none) {
        return None;
    }
    let starts = paragraph::starts(rows, false);
    let mut parts: Vec<Part> = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        if let Some(mark) = &marks[i] {
            let rest = Mark::of(&row.text).map_or(row.text.as_str(), |m| m.1);
            parts.push(Part {
                mark: Some(mark.clone()),
                left: row.at[0],
                level: 0,
                text: rest.to_owned(),
            });
            continue;
        }
        let ends = parts.last().is_none_or(|part| match part.mark {
            // What stands left of an item is none of it, unless it goes on with its sentence: a
            // numbered paragraph has its first row set in.
            Some(_) => {
                let counted = !matches!(part.mark, Some(Mark::Bullet | Mark::Dash));
                let goes_on =
                    words::is_continued(&row.text) || counted && !words::is_ended(&part.text);
                row.at[0] < part.left - 0.8 * row.height && !goes_on
            }
            None => starts[i],
        });
        match parts.last_mut() {
            Some(part) if !ends => words.append(&mut part.text, &row.text),
            _ => parts.push(Part {
                mark: None,
                left: row.at[0],
                level: 0,
                text: row.text.clone(),
            }),
        }
    }
    nest(&mut parts, median(rows.iter().map(|r| r.height)));
    Some(written(&parts))
}

/// Levels by indent: an item is below the last one that stands further left.
fn nest(parts: &mut [Part], height: f32) {
    let mut open: Vec<f32> = Vec::new();
    for part in parts {
        if part.mark.is_none() {
            open.clear();
            continue;
        }
        while open
            .last()
            .is_some_and(|&left| left > part.left - 0.8 * height)
        {
            open.pop();
        }
        part.level = open.len();
        open.push(part.left);
    }
}

fn written(parts: &[Part]) -> String {
    let mut out = String::new();
    // Widths of the marks that the next item may stand under.
    let mut widths: Vec<usize> = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let tight = i > 0 && part.mark.is_some() && parts[i - 1].mark.is_some();
        let bare = |p: &Part| matches!(p.mark, Some(Mark::Other(_))) && p.level == 0;
        if i > 0 {
            let loose = !tight || bare(part) || bare(&parts[i - 1]);
            out.push_str(if loose { "\n\n" } else { "\n" });
        }
        widths.truncate(part.level);
        let indent = widths.iter().sum::<usize>();
        out.push_str(&" ".repeat(indent));
        let mark = match &part.mark {
            None => String::new(),
            Some(Mark::Bullet | Mark::Dash) => "- ".into(),
            Some(Mark::Number(n)) => format!("{n}. "),
            Some(Mark::Other(mark)) if part.level == 0 => format!("{mark} "),
            Some(Mark::Other(mark)) => format!("- {mark} "),
        };
        widths.push(match part.mark {
            Some(Mark::Number(_)) => mark.len(),
            Some(Mark::Other(_)) if part.level == 0 => 0,
            _ => 2,
        });
        out.push_str(&mark);
        out.push_str(&match part.mark {
            None => markdown::paragraph(&part.text),
            Some(_) => markdown::inline(&part.text),
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::line::Source;
    use super::super::paragraph::rows;
    use super::super::piece::Piece;
    use super::*;

    fn read(lines: &[(f32, &str)]) -> Option<String> {
        let pieces: Vec<Piece> = lines
            .iter()
            .enumerate()
            .map(|(y, &(x, text))| Piece {
                at: [
                    10.0 * x,
                    24.0 * y as f32,
                    10.0 * (x + text.chars().count() as f32),
                    24.0 * y as f32 + 20.0,
                ],
                height: 20.0,
                angle: 0.0,
                source: Source::Image,
                text: text.into(),
            })
            .collect();
        list(&rows(&pieces, false), &Words::default())
    }

    #[test]
    fn bullets_nest_by_indent_and_end_further_left() {
        let text = read(&[
            (2.0, "\u{2022} first item that"),
            (4.0, "goes on"),
            (5.0, "\u{25e6} below it"),
            (2.0, "\u{2022}second"),
            (0.0, "No item."),
        ]);
        let expected = "- first item that goes on\n  - below it\n- second\n\nNo item.";
        assert_eq!(text.as_deref(), Some(expected));
    }

    #[test]
    fn numbers_count_where_they_follow_each_other() {
        let text = read(&[
            (0.0, "Steps:"),
            (0.0, "1. open"),
            (3.0, "it"),
            (0.0, "2) close"),
        ]);
        assert_eq!(text.as_deref(), Some("Steps:\n\n1. open it\n2. close"));
        assert_eq!(
            read(&[
                (0.0, "as shown in Table"),
                (0.0, "3. The rows"),
                (0.0, "are")
            ]),
            None
        );
        assert_eq!(read(&[(0.0, "1986. A year")]), None);
        let set_in = read(&[
            (2.0, "4. The natives"),
            (0.0, "Soon had. Then"),
            (0.0, "they"),
        ]);
        assert_eq!(
            set_in.as_deref(),
            Some("4. The natives Soon had. Then they")
        );
        let nested = read(&[(0.0, "10. a"), (5.0, "\u{2022} b")]);
        assert_eq!(nested.as_deref(), Some("10. a\n    - b"));
    }

    #[test]
    fn letters_are_kept_and_dashes_must_be_more_than_one() {
        let text = read(&[(0.0, "(a) one;"), (0.0, "(b) two.")]);
        assert_eq!(text.as_deref(), Some("(a) one;\n\n(b) two."));
        assert_eq!(read(&[(0.0, "- one"), (0.0, "and more")]), None);
        let text = read(&[(0.0, "- one;"), (0.0, "- two")]);
        assert_eq!(text.as_deref(), Some("- one;\n- two"));
        assert_eq!(read(&[(0.0, "e. g. this")]), None);
    }
}
