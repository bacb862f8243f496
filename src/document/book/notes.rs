//! Hidden notes that are opened from another chapter: a file of endnotes that the book does not show.

use std::collections::HashSet;

use crate::document::flow::{Chapter, ClosedNote, Inline, Piece, Within};

/// Puts each closed note that a mark of the book names at the end of its chapter, from where it
/// goes to its mark as other notes do. What no mark names stays out, as the book has it.
pub fn open(chapters: &mut [Chapter]) {
    if chapters.iter().all(|c| c.closed.is_empty()) {
        return;
    }
    let mut marks = HashSet::new();
    for chapter in chapters.iter() {
        within(&chapter.pieces, &mut marks);
    }
    // A note that is opened may hold marks of others.
    loop {
        let mut opened = false;
        for chapter in chapters.iter_mut() {
            let closed = std::mem::take(&mut chapter.closed);
            for ClosedNote { ids, pieces } in closed {
                match ids.iter().find(|id| marks.contains(*id)) {
                    Some(id) => {
                        within(&pieces, &mut marks);
                        let id = id.clone();
                        chapter.pieces.push(Piece::Note { id, pieces });
                        opened = true;
                    }
                    None => chapter.closed.push(ClosedNote { ids, pieces }),
                }
            }
        }
        if !opened {
            return;
        }
    }
}

fn within(pieces: &[Piece], marks: &mut HashSet<String>) {
    for piece in pieces {
        piece.within(&mut |within_it| match within_it {
            Within::Line(line) => line_of(line, marks),
            Within::Pieces(pieces) => within(pieces, marks),
        });
    }
}

fn line_of(line: &[Inline], marks: &mut HashSet<String>) {
    for inline in line {
        match inline {
            Inline::NoteMark { id, .. } => {
                marks.insert(id.clone());
            }
            Inline::Picture(picture) => line_of(&picture.caption, marks),
            other => line_of(other.inner(), marks),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(said: &str) -> Piece {
        Piece::Paragraph(vec![Inline::Text(said.into())])
    }

    fn mark(id: &str) -> Piece {
        let text = "1".into();
        let id = id.into();
        Piece::Paragraph(vec![Inline::NoteMark { id, text }])
    }

    fn closed(id: &str, pieces: Vec<Piece>) -> ClosedNote {
        let ids = vec![format!("{id}-outer"), id.into()];
        ClosedNote { ids, pieces }
    }

    #[test]
    fn a_note_is_opened_from_another_chapter_or_from_a_note_that_is() {
        let mut chapters = [
            Chapter {
                pieces: vec![mark("n#1")],
                ..Chapter::default()
            },
            Chapter {
                closed: vec![
                    closed("n#3", vec![text("nobody asks")]),
                    closed("n#2", vec![text("two")]),
                    closed("n#1", vec![mark("n#2")]),
                ],
                ..Chapter::default()
            },
        ];
        open(&mut chapters);
        let note = |id: &str, pieces| Piece::Note {
            id: id.into(),
            pieces,
        };
        let expected = [
            note("n#1", vec![mark("n#2")]),
            note("n#2", vec![text("two")]),
        ];
        assert_eq!(chapters[1].pieces, expected);
        assert_eq!(
            chapters[1].closed,
            [closed("n#3", vec![text("nobody asks")])]
        );
    }
}
