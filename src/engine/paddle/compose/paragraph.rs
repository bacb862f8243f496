//! Rows of a region, and where its paragraphs begin. Pure.

use super::piece::{Piece, Rect, across, around, beside, is_leftward, median, middle, width};
use crate::page::words::{self, Words, is_unspaced};

/// Pieces beside each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub at: Rect,
    /// Of its lines, across, pixels.
    pub height: f32,
    pub text: String,
    pub pieces: Vec<Piece>,
}

/// A paragraph with what tells whether it goes on elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Paragraph {
    pub text: String,
    /// Whether its first row is set in.
    pub indented: bool,
    /// Whether its last row is as long as the region is wide.
    pub full: bool,
    pub rows: usize,
}

impl Row {
    fn of(pieces: Vec<Piece>) -> Self {
        let mut text = String::new();
        let usual = pieces.iter().map(|p| p.height).fold(0.0, f32::max);
        let mut end = f32::MIN;
        for piece in &pieces {
            let ends = (text.chars().next_back(), piece.text.chars().next());
            let close = matches!(ends, (Some(a), Some(b)) if is_unspaced(a) && is_unspaced(b));
            // A mark touches its word.
            let mark = piece.at[0] - end < 0.3 * piece.height && is_mark(piece, usual);
            if !text.is_empty() && !close && !mark {
                text.push(' ');
            }
            text.push_str(&piece.text);
            end = piece.at[2];
        }
        Self {
            at: around(pieces.iter().map(|p| p.at)),
            height: median(pieces.iter().map(|p| p.height)),
            text,
            pieces,
        }
    }
}

/// Rows of pieces: those whose middles stand at about the same height, from left to right; rows
/// of text that runs from top to bottom, where most of it does, from right to left.
pub fn rows(pieces: &[Piece], standing: bool) -> Vec<Row> {
    let mut sorted: Vec<&Piece> = pieces.iter().collect();
    let stand = pieces.iter().filter(|p| p.stands()).count();
    if standing || stand * 2 > pieces.len() {
        sorted.sort_by(|a, b| {
            b.at[0]
                .total_cmp(&a.at[0])
                .then(a.at[1].total_cmp(&b.at[1]))
        });
        return sorted
            .into_iter()
            .map(|p| Row::of(vec![p.clone()]))
            .collect();
    }
    sorted.sort_by(|a, b| middle(a.at).total_cmp(&middle(b.at)));
    let usual = median(sorted.iter().map(|p| p.height));
    let (initial, sorted): (Vec<&Piece>, Vec<&Piece>) =
        sorted.into_iter().partition(|p| is_initial(p, usual));
    let (marks, sorted): (Vec<&Piece>, Vec<&Piece>) =
        sorted.into_iter().partition(|p| is_mark(p, usual));
    let mut rows: Vec<Vec<&Piece>> = Vec::new();
    for piece in sorted {
        match rows.last_mut() {
            // Side by side: what stands over another is another row, however slanted the page.
            Some(row)
                if row.iter().all(|p| across(p.at, piece.at) < 0.5)
                    && row.first().is_some_and(|first| {
                        (middle(piece.at) - middle(first.at)).abs()
                            < 0.5 * first.height.min(piece.height)
                    }) =>
            {
                row.push(piece);
            }
            _ => rows.push(vec![piece]),
        }
    }
    for mark in marks {
        let near = |row: &[&Piece]| beside(around(row.iter().map(|p| p.at)), mark.at);
        let row = rows
            .iter_mut()
            .max_by(|a, b| near(a).total_cmp(&near(b)))
            .filter(|row| near(row) > 0.3);
        match row {
            Some(row) => row.push(mark),
            None => {
                let place = rows.partition_point(|r| middle(r[0].at) < middle(mark.at));
                rows.insert(place, vec![mark]);
            }
        }
    }
    let letters = || pieces.iter().flat_map(|p| p.text.chars());
    let leftward = letters().filter(|&c| is_leftward(c)).count() * 2
        > letters().filter(|c| c.is_alphabetic()).count();
    let mut rows: Vec<Row> = rows
        .into_iter()
        .map(|mut row| {
            row.sort_by(|a, b| a.at[0].total_cmp(&b.at[0]));
            if leftward {
                row.reverse();
            }
            Row::of(row.into_iter().cloned().collect())
        })
        .collect();
    for initial in initial {
        begin(&mut rows, initial);
    }
    rows
}

/// A few small signs, raised or lowered beside a row: indices, marks of notes.
fn is_mark(piece: &Piece, usual: f32) -> bool {
    piece.height < 0.75 * usual && piece.text.chars().count() < 5
}

/// A letter that stands over several rows at a paragraph's beginning: at least 1.8 times the
/// usual height, which two rows at the closest usual spacing have.
fn is_initial(piece: &Piece, usual: f32) -> bool {
    let mut letters = piece.text.chars();
    letters.next().is_some_and(char::is_uppercase)
        && letters.next().is_none()
        && piece.height > 1.8 * usual
}

/// Puts an initial before the first of the rows that it stands beside.
fn begin(rows: &mut Vec<Row>, initial: &Piece) {
    let row = rows
        .iter_mut()
        .find(|r| beside(r.at, initial.at) > 0.5 && r.at[2] > initial.at[2]);
    match row {
        Some(row) => {
            row.text.insert_str(0, &initial.text);
            row.pieces.insert(0, initial.clone());
        }
        None => {
            let place = rows.partition_point(|r| middle(r.at) < middle(initial.at));
            rows.insert(place, Row::of(vec![initial.clone()]));
        }
    }
}

/// How many rows before and after one show where its column begins and ends: pages may be
/// slanted, and text may run around a picture.
const AROUND: usize = 3;
/// Indent from which on a row begins a paragraph, in heights of a row: the least in use is an em,
/// and a detected line is about 1.2 em high.
const INDENT: f32 = 0.7;

/// Left and right edge of the column around row `i`, as `around` rows before and after show it.
fn edges(rows: &[Row], i: usize, around: usize) -> (f32, f32) {
    let near = &rows[i.saturating_sub(around)..(i + around + 1).min(rows.len())];
    near.iter().fold((f32::MAX, f32::MIN), |(a, b), r| {
        (a.min(r.at[0]), b.max(r.at[2]))
    })
}

/// Rows whose middles stand above each other while their beginnings do not.
fn is_centred(rows: &[Row]) -> bool {
    if rows.len() < 2 {
        return false;
    }
    let usual = median(rows.iter().map(|r| r.height));
    let centre = |r: &Row| (r.at[0] + r.at[2]) / 2.0;
    let mean = rows.iter().map(centre).sum::<f32>() / rows.len() as f32;
    let spread = rows.iter().map(|r| r.at[0]).fold(f32::MIN, f32::max)
        - rows.iter().map(|r| r.at[0]).fold(f32::MAX, f32::min);
    spread > usual && rows.iter().all(|r| (centre(r) - mean).abs() < usual)
}

/// Which rows begin a paragraph: after an indent, after a last row that ends early, after a gap.
/// `entries`: rows that are set in belong to the one before them.
pub fn starts(rows: &[Row], entries: bool) -> Vec<bool> {
    let mut starts = vec![false; rows.len()];
    if let Some(first) = starts.first_mut() {
        *first = true;
    }
    if is_centred(rows) {
        return starts;
    }
    let indents = |around: usize| -> Vec<f32> {
        let left = |i| edges(rows, i, around).0;
        (0..rows.len()).map(|i| rows[i].at[0] - left(i)).collect()
    };
    let is_in = |indents: &[f32], i: usize| indents[i] > INDENT * rows[i].height;
    // Where most rows are set in, those that are not begin entries.
    let wide = indents(rows.len());
    let count = (0..rows.len()).filter(|&i| is_in(&wide, i)).count();
    let hanging = rows.len() > 2 && count * 2 > rows.len() || entries && count > 0;
    let indents = if hanging { wide } else { indents(AROUND) };
    let set_in = |i: usize| is_in(&indents, i);
    let step = median(rows.windows(2).map(|w| middle(w[1].at) - middle(w[0].at)));
    for i in 1..rows.len() {
        let (row, before) = (&rows[i], &rows[i - 1]);
        if words::is_continued(&row.text) || words::is_divided(&before.text) {
            continue;
        }
        let indent = if hanging {
            !set_in(i) && set_in(i - 1)
        } else {
            set_in(i)
                && !set_in(i - 1)
                && indents[i] < 0.35 * width(around(rows.iter().map(|r| r.at)))
        };
        let gap = rows.len() > 2 && middle(row.at) - middle(before.at) > 1.5 * step;
        starts[i] = indent || gap || (words::is_ended(&before.text) && has_room(rows, i));
    }
    starts
}

/// Whether the first word of row `i` would have found room at the end of the row before.
fn has_room(rows: &[Row], i: usize) -> bool {
    let (row, before) = (&rows[i], &rows[i - 1]);
    let word = row.text.split_whitespace().next().unwrap_or_default();
    let pitch = width(row.at) / row.text.chars().count().max(1) as f32;
    // A script without spaces breaks anywhere: two characters.
    let unspaced = word.chars().next().is_some_and(is_unspaced);
    let count = if unspaced {
        2
    } else {
        word.chars().count() + 1
    };
    before.at[2] + pitch * count as f32 + 0.5 * before.height < edges(rows, i - 1, AROUND).1
}

/// The paragraphs of rows, of which those marked in `starts` begin one.
pub fn paragraphs(rows: &[Row], starts: &[bool], words: &Words) -> Vec<Paragraph> {
    let mut out: Vec<Paragraph> = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let (left, right) = edges(rows, i, AROUND);
        // Text set ragged ends up to a word early.
        let full = row.at[2] > right - (2.0 * row.height).max(0.12 * (right - left));
        match out.last_mut() {
            Some(last) if !starts[i] => {
                words.append(&mut last.text, &row.text);
                last.full = full;
                last.rows += 1;
            }
            _ => out.push(Paragraph {
                text: row.text.clone(),
                indented: row.at[0] - left > INDENT * row.height,
                full,
                rows: 1,
            }),
        }
    }
    out
}

/// One text of all rows.
pub fn text(rows: &[Row], words: &Words) -> String {
    rows.iter().fold(String::new(), |mut text, row| {
        words.append(&mut text, &row.text);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::line::Source;
    use super::*;

    /// A piece of `text` at column `x` and row `y`, 10 pixels a character, rows of 20 pixels.
    pub fn piece(x: f32, y: f32, text: &str) -> Piece {
        let (x1, y1) = (10.0 * x, 24.0 * y);
        Piece {
            at: [x1, y1, x1 + 10.0 * text.chars().count() as f32, y1 + 20.0],
            height: 20.0,
            angle: 0.0,
            source: Source::Image,
            text: text.into(),
        }
    }

    fn read(lines: &[(f32, &str)]) -> Vec<String> {
        let pieces: Vec<Piece> = lines
            .iter()
            .enumerate()
            .map(|(y, (x, text))| piece(*x, y as f32, text))
            .collect();
        let rows = rows(&pieces, false);
        paragraphs(&rows, &starts(&rows, false), &Words::default())
            .into_iter()
            .map(|p| p.text)
            .collect()
    }

    #[test]
    fn an_indent_begins_a_paragraph() {
        assert_eq!(
            read(&[
                (0.0, "The first paragraph of a text"),
                (0.0, "that goes on and ends just here."),
                (2.0, "The second one begins set in"),
                (0.0, "and goes on at the left edge,"),
            ]),
            [
                "The first paragraph of a text that goes on and ends just here.",
                "The second one begins set in and goes on at the left edge,"
            ]
        );
    }

    #[test]
    fn a_short_last_row_ends_a_paragraph_only_with_its_sentence() {
        assert_eq!(
            read(&[
                (0.0, "A row that reaches to the edge."),
                (0.0, "Ends."),
                (0.0, "Another that reaches the edge"),
                (0.0, "breaks"),
                (0.0, "Off here and goes on to the edge"),
            ]),
            [
                "A row that reaches to the edge. Ends.",
                "Another that reaches the edge breaks Off here and goes on to the edge"
            ]
        );
        // In a ragged text the next word did not fit.
        assert_eq!(
            read(&[
                (0.0, "A row that ends."),
                (0.0, "Incomprehensibilities"),
                (0.0, "of rows."),
            ])
            .len(),
            1
        );
    }

    #[test]
    fn hanging_rows_are_entries_and_centred_ones_one_text() {
        assert_eq!(
            read(&[
                (0.0, "Adams, A. A first work that is long"),
                (3.0, "and has a place."),
                (0.0, "Brown, B. A second work of others"),
                (3.0, "and a place too,"),
                (3.0, "Even more."),
            ])
            .len(),
            2
        );
        assert_eq!(
            read(&[
                (4.0, "A short line."),
                (0.0, "And a line of more."),
                (6.0, "The end.")
            ])
            .len(),
            1
        );
    }

    #[test]
    fn slanted_lines_over_each_other_are_rows() {
        let slanted = |y: f32, text: &str| Piece {
            at: [0.0, 20.0 * y, 200.0, 20.0 * y + 60.0],
            height: 45.0,
            ..piece(0.0, 0.0, text)
        };
        let pieces = [slanted(1.0, "b"), slanted(0.0, "a"), slanted(2.0, "c")];
        assert_eq!(text(&rows(&pieces, false), &Words::default()), "a b c");
    }

    #[test]
    fn pieces_of_a_row_and_an_initial_come_in_order() {
        let mut initial = piece(0.0, 0.0, "W");
        initial.height = 44.0;
        initial.at = [0.0, 0.0, 40.0, 44.0];
        let pieces = [
            piece(30.0, 0.1, "before"),
            piece(5.0, 0.0, "hen long"),
            initial,
            piece(5.0, 1.0, "the days"),
            piece(0.0, 2.0, "were"),
        ];
        let rows = rows(&pieces, false);
        assert_eq!(
            text(&rows, &Words::default()),
            "When long before the days were"
        );
        let small = |x: f32, y: f32, text: &str| Piece {
            height: 10.0,
            at: [10.0 * x, y, 10.0 * x + 6.0, y + 12.0],
            ..piece(0.0, 0.0, text)
        };
        let raised = [
            piece(0.0, 0.0, "words"),
            piece(0.0, 1.0, "below"),
            small(5.1, -4.0, "2"),
            small(7.0, 20.0, "x"),
        ];
        let texts: Vec<String> = super::rows(&raised, false)
            .into_iter()
            .map(|r| r.text)
            .collect();
        assert_eq!(texts, ["words2", "below x"]);
        let arabic = [piece(0.0, 0.0, "\u{628}"), piece(9.0, 0.0, "\u{627}")];
        assert_eq!(super::rows(&arabic, false)[0].text, "\u{627} \u{628}");
    }
}
