//! The pieces of a book -> Markdown: CommonMark with GFM's tables and strikethrough, footnotes,
//! definition lists and `$..$` formulas, as pulldown-cmark, pandoc and GitHub read them.
//!
//! Exact: a reader of the Markdown sees the words of the book and no others. What Markdown cannot
//! say (an emphasis that begins within a word, a cell over two rows) is HTML; every sign that
//! would be markup is escaped (`escape`). Page breaks of the printed edition are comments,
//! footnotes are numbered through the book and stand at the end of the chapter where their first
//! mark does, formulas are LaTeX ([`latex`]).

mod escape;
mod inline;
pub mod latex;
mod notes;
mod table;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::document::flow::{Chapter, Definition, Inline, Picture, Piece};

use inline::{Place, comment};
use notes::Notes;

/// The Markdown of a chapter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// One for each of the chapter's pieces; empty where a piece shows nothing at its place.
    pub pieces: Vec<String>,
    /// The definitions of the footnotes whose first mark stands in the chapter.
    pub notes: String,
    /// What stands in notes that are moved to their marks, by the piece that the note is.
    pub moved: BTreeMap<usize, String>,
    /// Pieces before which a comment keeps two lists or quotations apart.
    apart: Vec<usize>,
}

impl Written {
    /// The whole chapter, without a newline at the end.
    pub fn text(&self) -> String {
        self.part(0..self.pieces.len(), &BTreeMap::new())
    }

    /// The pieces of `range`, each followed by what `behind` has for it; the notes come with the
    /// chapter's last piece. The parts of a chapter hold all that [`Self::text`] holds.
    pub fn part(&self, range: Range<usize>, behind: &BTreeMap<usize, String>) -> String {
        let mut out = String::new();
        let mut add = |text: &str, apart: bool| {
            if text.is_empty() {
                return;
            }
            if !out.is_empty() {
                out.push_str("\n\n");
                if apart {
                    out.push_str(APART);
                }
            }
            out.push_str(text);
        };
        for i in range.clone() {
            add(
                self.pieces.get(i).map_or("", String::as_str),
                self.apart.contains(&i),
            );
            add(behind.get(&i).map_or("", String::as_str), false);
        }
        if range.end == self.pieces.len() {
            add(&self.notes, false);
        }
        out
    }
}

/// Between two lists that would be one.
const APART: &str = "<!-- -->\n\n";

/// Writes a book, chapter by chapter. `name` gives the address of a picture in the Markdown
/// (`images/cover.jpg`) by its path in the container, or none where it could not be had: then its
/// alt text is written.
pub fn write(chapters: &[Chapter], name: &mut dyn FnMut(&str) -> Option<String>) -> Vec<Written> {
    let mut writer = Writer {
        notes: Notes::of(chapters),
        name,
    };
    chapters
        .iter()
        .map(|chapter| writer.chapter(chapter))
        .collect()
}

struct Writer<'a> {
    notes: Notes<'a>,
    name: &'a mut dyn FnMut(&str) -> Option<String>,
}

impl<'a> Writer<'a> {
    fn chapter(&mut self, chapter: &'a Chapter) -> Written {
        let written: Vec<String> = chapter.pieces.iter().map(|p| self.block(p)).collect();
        let mut apart = Vec::new();
        let mut before: Option<&Piece> = None;
        for (i, piece) in chapter.pieces.iter().enumerate() {
            if written[i].is_empty() {
                continue;
            }
            if before.is_some_and(|before| merges(before, piece)) {
                apart.push(i);
            }
            before = Some(piece);
        }
        let mut notes = String::new();
        // A note may hold marks of others.
        while let Some((number, pieces)) = self.notes.next_definition() {
            let note = self.blocks(&pieces);
            if !notes.is_empty() {
                notes.push_str("\n\n");
            }
            let first = format!("[^{number}]: ");
            indent(&note, &first, "    ", &mut notes);
        }
        let moved = chapter.pieces.iter().enumerate();
        let moved = moved.filter_map(|(i, piece)| match piece {
            Piece::Note { pieces, .. } if written[i].is_empty() => Some((i, self.blocks(pieces))),
            _ => None,
        });
        let moved = moved.collect();
        Written {
            pieces: written,
            notes,
            moved,
            apart,
        }
    }

    /// Pieces as blocks with a blank line between them.
    fn blocks(&mut self, pieces: &[Piece]) -> String {
        let mut out = String::new();
        let mut before: Option<&Piece> = None;
        for piece in pieces {
            let block = self.block(piece);
            if block.is_empty() {
                continue;
            }
            if let Some(before) = before {
                out.push_str("\n\n");
                if merges(before, piece) {
                    out.push_str(APART);
                }
            }
            out.push_str(&block);
            before = Some(piece);
        }
        out
    }

    fn block(&mut self, piece: &Piece) -> String {
        match piece {
            Piece::Heading { level, text } => {
                let text = self.line(text, Place::Heading);
                if text.is_empty() {
                    return text;
                }
                format!("{} {text}", "#".repeat(usize::from((*level).clamp(1, 6))))
            }
            Piece::Paragraph(text) => self.line(text, Place::Paragraph),
            Piece::List { start, items } => self.list(*start, items),
            Piece::Definitions(all) => self.definitions(all),
            Piece::Quote(pieces) => {
                let inner = self.blocks(pieces);
                let mut out = String::new();
                if !inner.is_empty() {
                    indent(&inner, "> ", "> ", &mut out);
                }
                out
            }
            Piece::Code { language, text } => code(language.as_deref(), text),
            Piece::Table(table) => self.table(table),
            Piece::Picture(picture) => self.picture_block(picture),
            Piece::Formula(math) => {
                let latex = latex::latex(math);
                if latex.is_empty() {
                    latex
                } else {
                    format!("$${latex}$$")
                }
            }
            Piece::Rule => "***".to_owned(),
            Piece::PageBreak(label) => comment(label),
            Piece::Note { id, pieces } => {
                if self.notes.moved(id) {
                    String::new()
                } else {
                    self.blocks(pieces)
                }
            }
        }
    }

    fn picture_block(&mut self, picture: &Picture) -> String {
        let mut out = self.picture(picture);
        let caption = [Inline::Emphasis(picture.caption.clone())];
        let caption = self.line(&caption, Place::Paragraph);
        if !out.is_empty() && !caption.is_empty() {
            out.push_str("\n\n");
        }
        out + &caption
    }

    fn list(&mut self, start: Option<i64>, items: &[Vec<Piece>]) -> String {
        let items: Vec<Item> = items.iter().map(|pieces| self.item(pieces)).collect();
        // One loose item makes the list loose, as in CommonMark.
        let tight = items.iter().all(|item| item.tight);
        let mut out = String::new();
        // Markdown's numbers have nine digits and no sign.
        let mut number = start.map(|n| n.clamp(0, 999_000_000));
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push_str(if tight { "\n" } else { "\n\n" });
            }
            let marker = match &mut number {
                Some(number) => {
                    *number += 1;
                    format!("{}. ", *number - 1)
                }
                None => "- ".to_owned(),
            };
            let text = item.blocks.join(if tight { "\n" } else { "\n\n" });
            if text.is_empty() {
                out.push_str(marker.trim_end());
            } else {
                indent(&text, &marker, &" ".repeat(marker.len()), &mut out);
            }
        }
        out
    }

    /// An item's blocks. Tight: a line, and perhaps lists that may follow it without a blank line.
    fn item(&mut self, pieces: &[Piece]) -> Item {
        let mut blocks = Vec::new();
        let mut tight = true;
        let mut before: Option<&Piece> = None;
        for piece in pieces {
            let block = self.block(piece);
            if block.is_empty() {
                continue;
            }
            tight &= match (before, piece) {
                (None, Piece::Paragraph(_) | Piece::Formula(_)) => true,
                // A list within a line's item; a numbered one breaks into a paragraph only from 1,
                // none with an empty first item.
                (Some(Piece::Paragraph(_)), Piece::List { start, items }) => {
                    start.is_none_or(|n| n == 1)
                        && items
                            .first()
                            .is_some_and(|i| matches!(i.first(), Some(Piece::Paragraph(_))))
                }
                _ => false,
            };
            if before.is_some_and(|b| merges(b, piece)) {
                blocks.push("<!-- -->".to_owned());
            }
            blocks.push(block);
            before = Some(piece);
        }
        Item { blocks, tight }
    }

    fn definitions(&mut self, all: &[Definition]) -> String {
        let mut out = String::new();
        // A meaning belongs to the line right above it or to another meaning.
        let mut termed = false;
        for definition in all {
            match definition {
                Definition::Term(text) => {
                    let line = self.line(text, Place::Heading);
                    if line.is_empty() {
                        continue;
                    }
                    if !out.is_empty() {
                        out.push_str("\n\n");
                    }
                    out.push_str(&escape::line_start(&line));
                    termed = true;
                }
                Definition::Meaning(pieces) => {
                    let text = self.blocks(pieces);
                    if text.is_empty() {
                        continue;
                    }
                    if !out.is_empty() {
                        out.push_str(if termed { "\n" } else { "\n\n" });
                    }
                    if termed {
                        indent(&text, ":   ", "    ", &mut out);
                    } else {
                        out.push_str(&text);
                    }
                }
            }
        }
        out
    }
}

struct Item {
    blocks: Vec<String>,
    tight: bool,
}

/// Whether Markdown would read two pieces as one, or the second as part of the first.
fn merges(before: &Piece, piece: &Piece) -> bool {
    match (before, piece) {
        (Piece::List { start: a, .. }, Piece::List { start: b, .. }) => a.is_some() == b.is_some(),
        (Piece::Quote(_), Piece::Quote(_)) => true,
        (Piece::Definitions(_), Piece::Definitions(_)) => false,
        _ => false,
    }
}

fn code(language: Option<&str>, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}{}\n{text}\n{fence}", language.unwrap_or_default())
}

/// Puts `first` before the first line and `rest` before the others; a line with nothing in it
/// gets no spaces at its end.
fn indent(text: &str, first: &str, rest: &str, out: &mut String) {
    for (index, line) in text.split('\n').enumerate() {
        let prefix = if index == 0 { first } else { rest };
        if index > 0 {
            out.push('\n');
        }
        out.push_str(if line.is_empty() {
            prefix.trim_end()
        } else {
            prefix
        });
        out.push_str(line);
    }
}

#[cfg(test)]
mod tests;
