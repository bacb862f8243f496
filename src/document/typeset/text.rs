//! Plain text made fit for a line: cut into portions, broken where no line could break it.
//!
//! Nothing that a reader sees is changed: control characters go, and a word longer than a line gets
//! invisible places to break (U+200B).

use std::collections::BTreeSet;

use crate::document::flow::{Chapter, Inline, Math, Picture, Piece, Within};

/// Most characters of a book that is set at once: six long novels of a thousand pages. Pages and PDF
/// take some 80 bytes a character (measured: 10 million in 830 MB).
const MAX_CHARACTERS: usize = 16_000_000;
/// A word without a place to break is given places after so many characters: the longest words of a
/// dictionary are left alone.
const LONGEST_WORD: usize = 32;
const WORD_STEP: usize = 4;
const BREAK: char = '\u{200b}';

/// Pieces and inlines nest no deeper than this here; the makers of the tree flatten long before.
pub const MAX_DEPTH: usize = 256;

/// Every character of the book, for the choice of fonts. Errors when there are too many.
pub fn characters(chapters: &[Chapter]) -> Result<BTreeSet<char>, String> {
    let mut all = Characters {
        seen: vec![false; 0x11_0000],
        count: 0,
    };
    // What this module and the pieces add of their own.
    all.text("•–0123456789.");
    for chapter in chapters {
        all.pieces(&chapter.pieces, 0);
    }
    if all.count > MAX_CHARACTERS {
        return Err(format!(
            "holds {} characters of text, more than {MAX_CHARACTERS}",
            all.count
        ));
    }
    let seen = all.seen.iter().enumerate().filter(|(_, seen)| **seen);
    Ok(seen.filter_map(|(c, _)| char::from_u32(c as u32)).collect())
}

/// Calls `on` for each text of `pieces`, in order: what is drawn, with captions and readings.
pub fn each_text(pieces: &[Piece], on: &mut dyn FnMut(&str)) {
    Texts(on).pieces(pieces, 0);
}

/// The same for a line.
pub fn each_inline_text(inlines: &[Inline], on: &mut dyn FnMut(&str)) {
    Texts(on).inlines(inlines, 0);
}

/// Whether a line is written from right to left; `None` where no letter says so.
pub fn direction(inlines: &[Inline]) -> Option<bool> {
    let mut found = None;
    each_inline_text(inlines, &mut |text| {
        if found.is_none() {
            found = right_to_left(text);
        }
    });
    found
}

/// Calls `on` with id and text of each mark that refers to a note.
pub fn each_mark<'a>(pieces: &'a [Piece], on: &mut dyn FnMut(&'a str, &'a str)) {
    pieces_marks(pieces, on, 0);
}

fn pieces_marks<'a>(pieces: &'a [Piece], on: &mut dyn FnMut(&'a str, &'a str), depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    for piece in pieces {
        piece.within(&mut |within| match within {
            Within::Line(line) => marks(line, on, depth),
            Within::Pieces(pieces) => pieces_marks(pieces, on, depth + 1),
        });
    }
}

fn marks<'a>(inlines: &'a [Inline], on: &mut dyn FnMut(&'a str, &'a str), depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    for inline in inlines {
        match inline {
            Inline::NoteMark { id, text } => on(id, text),
            other => marks(other.inner(), on, depth + 1),
        }
    }
}

struct Characters {
    seen: Vec<bool>,
    count: usize,
}

impl Characters {
    fn text(&mut self, text: &str) {
        for c in text.chars() {
            self.count += 1;
            if let Some(seen) = self.seen.get_mut(u32::from(c) as usize) {
                *seen = true;
            }
        }
    }

    fn pieces(&mut self, pieces: &[Piece], depth: usize) {
        Texts(&mut |text| self.text(text)).pieces(pieces, depth);
    }
}

struct Texts<'a>(&'a mut dyn FnMut(&str));

impl Texts<'_> {
    fn pieces(&mut self, pieces: &[Piece], depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        for piece in pieces {
            match piece {
                Piece::Code { text, .. } => (self.0)(text),
                Piece::Picture(picture) => self.picture(picture, depth),
                Piece::Formula(math) => math_text(math, self.0, 0),
                other => other.within(&mut |within| match within {
                    Within::Line(line) => self.inlines(line, depth),
                    Within::Pieces(pieces) => self.pieces(pieces, depth + 1),
                }),
            }
        }
    }

    fn picture(&mut self, picture: &Picture, depth: usize) {
        (self.0)(&picture.alt);
        self.inlines(&picture.caption, depth + 1);
    }

    fn inlines(&mut self, inlines: &[Inline], depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        for inline in inlines {
            match inline {
                Inline::Text(text) | Inline::Code(text) | Inline::NoteMark { text, .. } => {
                    (self.0)(text);
                }
                Inline::Ruby { base, reading } => {
                    self.inlines(base, depth + 1);
                    (self.0)(reading);
                }
                Inline::Formula(math) => math_text(math, self.0, 0),
                Inline::Picture(picture) => self.picture(picture, depth),
                Inline::Break => (self.0)(" "),
                other => self.inlines(other.inner(), depth + 1),
            }
        }
    }
}

/// The leaves of a formula, in order.
pub fn math_text(math: &Math, on: &mut dyn FnMut(&str), depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    let some = |math: &Option<Box<Math>>, on: &mut dyn FnMut(&str)| {
        if let Some(math) = math {
            math_text(math, on, depth + 1);
        }
    };
    match math {
        Math::Row(row) => row.iter().for_each(|m| math_text(m, on, depth + 1)),
        Math::Identifier { text, .. }
        | Math::Number(text)
        | Math::Operator { text, .. }
        | Math::Text(text) => on(text),
        Math::Space => {}
        Math::Fraction { over, under, .. } => {
            math_text(over, on, depth + 1);
            math_text(under, on, depth + 1);
        }
        Math::Root { of, degree } => {
            some(degree, on);
            math_text(of, on, depth + 1);
        }
        Math::Scripts { base, sub, sup } => {
            math_text(base, on, depth + 1);
            some(sub, on);
            some(sup, on);
        }
        Math::Limits {
            base, under, over, ..
        } => {
            math_text(base, on, depth + 1);
            some(under, on);
            some(over, on);
        }
        Math::Table(rows) => rows
            .iter()
            .flatten()
            .for_each(|m| math_text(m, on, depth + 1)),
        Math::Fenced { open, close, inner } => {
            on(open);
            math_text(inner, on, depth + 1);
            on(close);
        }
        Math::Enclosed { inner, .. } | Math::Phantom(inner) => math_text(inner, on, depth + 1),
    }
}

/// Text as it can be set: no control characters, places to break in a word without end.
pub fn fit(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run = 0;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                out.push(' ');
                run = 0;
                continue;
            }
            _ if c.is_control() => continue,
            _ if breaks(c) => run = 0,
            _ => run += 1,
        }
        out.push(c);
        let inside = western(c) && rest.peek().is_some_and(|next| western(*next));
        if run >= LONGEST_WORD && run % WORD_STEP == 0 && inside {
            out.push(BREAK);
        }
    }
    out
}

/// Latin, Greek, Cyrillic, digits and signs, not the marks above them: a word may be broken between
/// two of these.
fn western(c: char) -> bool {
    !c.is_whitespace() && matches!(u32::from(c), 0x21..=0x2FF | 0x370..=0x52F)
}

/// A line may break beside this character.
fn breaks(c: char) -> bool {
    c.is_whitespace() || c == '-' || c == BREAK || u32::from(c) >= 0x2E80
}

/// Cuts `text` into portions of at most about `most` bytes, at spaces where there are any.
pub fn cut(text: &str, most: usize) -> Vec<&str> {
    let mut portions = Vec::new();
    let mut rest = text;
    while rest.len() > most {
        let mut end = most;
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let head = &rest[..end];
        let at = head
            .rfind(' ')
            .map(|at| at + 1)
            .filter(|at| *at > end / 2)
            .unwrap_or(end);
        let (portion, tail) = rest.split_at(at);
        portions.push(portion);
        rest = tail;
    }
    portions.push(rest);
    portions
}

/// Whether the first letter of `text` is of a script written from right to left; `None` without a
/// letter. (Rule P2 of Unicode's bidirectional algorithm, with the blocks of the scripts instead
/// of the character classes.)
pub fn right_to_left(text: &str) -> Option<bool> {
    text.chars().find(|c| c.is_alphabetic()).map(|c| {
        matches!(u32::from(c),
            0x590..=0x8FF | 0xFB1D..=0xFDFF | 0xFE70..=0xFEFF | 0x10800..=0x10FFF
            | 0x1E800..=0x1EFFF)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_word_without_end_can_be_broken() {
        let text = fit(&"x".repeat(100));
        assert_eq!(text.replace(BREAK, ""), "x".repeat(100));
        assert_eq!(text.split(BREAK).next().map(str::len), Some(LONGEST_WORD));
        assert!(
            text.split(BREAK)
                .skip(1)
                .all(|rest| rest.len() == WORD_STEP)
        );
        let marks = "e\u{301}".repeat(50);
        assert_eq!(fit(&marks), marks);
        assert_eq!(fit("a usual line, not broken"), "a usual line, not broken");
        assert_eq!(fit("a\u{0}b\tc"), "ab c");
    }

    #[test]
    fn the_first_letter_decides_the_direction() {
        assert_eq!(right_to_left("12 שלום"), Some(true));
        assert_eq!(right_to_left("«سلام»"), Some(true));
        assert_eq!(right_to_left("Say שלום"), Some(false));
        assert_eq!(right_to_left("12."), None);
    }

    proptest! {
        #[test]
        fn cut_loses_nothing(text in "[a-z é漢\u{1F600}]{0,200}", most in 4_usize..40) {
            let portions = cut(&text, most);
            prop_assert_eq!(portions.concat(), text.as_str());
            prop_assert!(portions.iter().all(|p| p.len() <= most));
        }
    }
}
