//! Which notes of a book go to their marks, and their numbers.
//!
//! A note that is reached from the text, by a mark or by a mark in such a note, is moved; one that
//! is not stays where the book has it, so that no word is lost.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::document::flow::{Chapter, Definition, Inline, Piece};

#[derive(Default)]
pub struct Notes<'a> {
    /// Notes that are moved, by id.
    bodies: HashMap<&'a str, &'a [Piece]>,
    numbers: HashMap<&'a str, usize>,
    /// Numbered and not yet written.
    waiting: VecDeque<(usize, &'a [Piece])>,
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
        let bodies = by_id.into_iter().filter(|(_, index)| reached.contains(index));
        let bodies = bodies.map(|(id, index)| (id, found.notes[index].1)).collect();
        Notes { bodies, ..Notes::default() }
    }

    /// Whether the note stands at its mark and not where the book has it.
    pub fn moved(&self, id: &str) -> bool {
        self.bodies.contains_key(id)
    }

    /// The number of the note that a mark names; its definition waits from then on.
    pub fn number(&mut self, id: &str) -> Option<usize> {
        let (&id, &pieces) = self.bodies.get_key_value(id)?;
        let next = self.numbers.len() + 1;
        let number = *self.numbers.entry(id).or_insert(next);
        if number == next {
            self.waiting.push_back((number, pieces));
        }
        Some(number)
    }

    pub fn next_definition(&mut self) -> Option<(usize, &'a [Piece])> {
        self.waiting.pop_front()
    }
}

fn pieces_in<'a>(pieces: &'a [Piece], found: &mut Found<'a>) {
    for piece in pieces {
        match piece {
            Piece::Heading { text, .. } | Piece::Paragraph(text) => inlines_in(text, found),
            Piece::List { items, .. } => items.iter().for_each(|i| pieces_in(i, found)),
            Piece::Definitions(all) => {
                for definition in all {
                    match definition {
                        Definition::Term(text) => inlines_in(text, found),
                        Definition::Meaning(pieces) => pieces_in(pieces, found),
                    }
                }
            }
            Piece::Quote(pieces) => pieces_in(pieces, found),
            Piece::Table(table) => {
                inlines_in(&table.caption, found);
                table.rows.iter().flatten().for_each(|cell| pieces_in(&cell.pieces, found));
            }
            Piece::Picture(picture) => inlines_in(&picture.caption, found),
            Piece::Note { id, pieces } => {
                let mut inner = Found::default();
                pieces_in(pieces, &mut inner);
                found.notes.push((id, pieces, inner.marks));
                found.notes.append(&mut inner.notes);
            }
            Piece::Code { .. } | Piece::Formula(_) | Piece::Rule | Piece::PageBreak(_) => {}
        }
    }
}

fn inlines_in<'a>(inlines: &'a [Inline], found: &mut Found<'a>) {
    for inline in inlines {
        match inline {
            Inline::NoteMark { id, .. } => found.marks.push(id),
            Inline::Emphasis(inner)
            | Inline::Strong(inner)
            | Inline::Strike(inner)
            | Inline::Sub(inner)
            | Inline::Sup(inner)
            | Inline::Link { text: inner, .. }
            | Inline::Ruby { base: inner, .. } => inlines_in(inner, found),
            Inline::Picture(picture) => inlines_in(&picture.caption, found),
            _ => {}
        }
    }
}
