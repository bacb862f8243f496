//! Which notes of a book go to their marks, and their numbers.
//!
//! A note that is reached from the text, by a mark or by a mark in such a note, is moved; one that
//! is not stays where the book has it, so that no word is lost. Where a moved note begins with a
//! link that says what its mark says (`1.`), that link is left out: the definition has a number.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use crate::document::flow::{Chapter, Inline, Piece, Within};

#[derive(Default)]
pub struct Notes<'a> {
    /// Notes that are moved, by id.
    bodies: HashMap<&'a str, &'a [Piece]>,
    numbers: HashMap<&'a str, usize>,
    /// Numbered and not yet written, with what the mark prints.
    waiting: VecDeque<(usize, &'a [Piece], String)>,
}

/// Marks and notes of some pieces; marks in a note are the note's.
#[derive(Default)]
struct Found<'a> {
    marks: Vec<&'a str>,
    notes: Vec<(&'a str, &'a [Piece], Vec<&'a str>)>,
}

impl<'a> Notes<'a> {
    pub fn of(chapters: &'a [Chapter]) -> Notes<'a> {
        let mut found = Found::default();
        for chapter in chapters {
            pieces_in(&chapter.pieces, &mut found);
        }
        let mut by_id: HashMap<&str, usize> = HashMap::new();
        for (index, (id, ..)) in found.notes.iter().enumerate() {
            if !id.is_empty() {
                by_id.entry(id).or_insert(index);
            }
        }
        let mut reached: HashSet<usize> = HashSet::new();
        let mut rooted: HashSet<usize> = HashSet::new();
        let mut open: Vec<&str> = found.marks.clone();
        let mut next = 0;
        loop {
            while let Some(mark) = open.pop() {
                if let Some(&index) = by_id.get(mark)
                    && !rooted.contains(&index)
                    && reached.insert(index)
                {
                    open.extend(&found.notes[index].2);
                }
            }
            // What is left stands in the text itself, and so do its marks.
            while next < found.notes.len() && reached.contains(&next) {
                next += 1;
            }
            let Some((_, _, marks)) = found.notes.get(next) else {
                break;
            };
            rooted.insert(next);
            open.extend(marks);
            next += 1;
        }
        let bodies = by_id
            .into_iter()
            .filter(|(_, index)| reached.contains(index));
        let bodies = bodies
            .map(|(id, index)| (id, found.notes[index].1))
            .collect();
        Notes {
            bodies,
            ..Notes::default()
        }
    }

    /// Whether the note stands at its mark and not where the book has it.
    pub fn moved(&self, id: &str) -> bool {
        self.bodies.contains_key(id)
    }

    /// The number of the note that a mark names; its definition waits from then on.
    pub fn number(&mut self, id: &str, text: &str) -> Option<usize> {
        let (&id, &pieces) = self.bodies.get_key_value(id)?;
        let next = self.numbers.len() + 1;
        let number = *self.numbers.entry(id).or_insert(next);
        if number == next {
            self.waiting.push_back((number, pieces, label(text)));
        }
        Some(number)
    }

    pub fn next_definition(&mut self) -> Option<(usize, Cow<'a, [Piece]>)> {
        let (number, pieces, mark) = self.waiting.pop_front()?;
        Some((number, without_label(pieces, &mark)))
    }
}

/// What a mark or a note's number says, without brackets and points: `1` of `[1]` and `1.`
fn label(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && !"[](){}.:".contains(*c))
        .collect()
}

/// A note without the link at its start that says what its mark does.
fn without_label<'a>(pieces: &'a [Piece], mark: &str) -> Cow<'a, [Piece]> {
    let first = pieces
        .iter()
        .position(|p| !matches!(p, Piece::PageBreak(_)));
    let Some((at, Piece::Paragraph(line))) = first.map(|at| (at, &pieces[at])) else {
        return Cow::Borrowed(pieces);
    };
    if mark.is_empty() || !line.first().is_some_and(|i| says(i, mark)) {
        return Cow::Borrowed(pieces);
    }
    let mut pieces = pieces.to_vec();
    let mut line = line[1..].to_vec();
    if let Some(Inline::Text(text)) = line.first_mut() {
        let rest = text
            .trim_start_matches(['.', ')', ']', ':'])
            .trim_start_matches([' ', '\u{a0}']);
        *text = rest.to_owned();
        if text.is_empty() {
            line.remove(0);
        }
    }
    if line.is_empty() {
        pieces.remove(at);
    } else {
        pieces[at] = Piece::Paragraph(line);
    }
    Cow::Owned(pieces)
}

/// A link within the book, or one in a raised number, with this text.
fn says(inline: &Inline, mark: &str) -> bool {
    match inline {
        Inline::Link { to, text } => {
            let [Inline::Text(text)] = &text[..] else {
                return matches!(&text[..], [Inline::Sup(t)] if matches!(&t[..], [Inline::Text(t)] if label(t) == mark));
            };
            !to.contains("://") && label(text) == mark
        }
        Inline::Sup(inner) | Inline::Strong(inner) | Inline::Emphasis(inner) => {
            matches!(&inner[..], [only] if says(only, mark))
        }
        _ => false,
    }
}

fn pieces_in<'a>(pieces: &'a [Piece], found: &mut Found<'a>) {
    for piece in pieces {
        if let Piece::Note { id, pieces } = piece {
            let mut inner = Found::default();
            pieces_in(pieces, &mut inner);
            found.notes.push((id, pieces, inner.marks));
            found.notes.append(&mut inner.notes);
            continue;
        }
        piece.within(&mut |within| match within {
            Within::Line(line) => inlines_in(line, found),
            Within::Pieces(pieces) => pieces_in(pieces, found),
        });
    }
}

fn inlines_in<'a>(inlines: &'a [Inline], found: &mut Found<'a>) {
    for inline in inlines {
        match inline {
            Inline::NoteMark { id, .. } => found.marks.push(id),
            Inline::Picture(picture) => inlines_in(&picture.caption, found),
            other => inlines_in(other.inner(), found),
        }
    }
}
