//! What is drawn knows to which piece it belongs: a part's number travels as a typst span.

use std::num::NonZeroU64;

use typst::syntax::{FileId, Span};

/// A typst span's high 16 bits are a file's number, the low 48 a number in the file from 2 on.
const FILE_SHIFT: u32 = 48;
const FIRST: u64 = 2;

/// Something that gets a box of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Index in the chapter's pieces.
    pub piece: usize,
    pub label: &'static str,
    /// The part around this one: its box covers this one too.
    pub within: Option<usize>,
}

/// All parts of a book.
#[derive(Debug)]
pub struct Parts {
    file: FileId,
    parts: Vec<Part>,
}

impl Parts {
    pub fn new(file: FileId) -> Self {
        Self {
            file,
            parts: Vec::new(),
        }
    }

    pub fn push(&mut self, part: Part) -> usize {
        self.parts.push(part);
        self.parts.len() - 1
    }

    pub fn get(&self, index: usize) -> Option<&Part> {
        self.parts.get(index)
    }

    /// The span that content of a part carries.
    pub fn span(&self, index: usize) -> Span {
        let file = u64::from(self.file.into_raw().get()) << FILE_SHIFT;
        NonZeroU64::new(file | (FIRST + index as u64)).map_or(Span::detached(), Span::from_raw)
    }

    /// The part that a span names; `None` for typst's own.
    pub fn of(&self, span: Span) -> Option<usize> {
        if span.id() != Some(self.file) {
            return None;
        }
        let number = span.into_raw().get() & ((1 << FILE_SHIFT) - 1);
        let index = usize::try_from(number.checked_sub(FIRST)?).ok()?;
        (index < self.parts.len()).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use typst::syntax::{RootedPath, VirtualPath, VirtualRoot};

    #[test]
    fn spans_and_parts_name_each_other() {
        let path = VirtualPath::new("book").unwrap();
        let mut parts = Parts::new(RootedPath::new(VirtualRoot::Project, path).intern());
        for piece in 0..3 {
            let part = Part {
                piece,
                label: "text",
                within: None,
            };
            let index = parts.push(part);
            assert_eq!(parts.of(parts.span(index)), Some(index));
        }
        assert_eq!(parts.of(Span::detached()), None);
        assert_eq!(parts.of(parts.span(3)), None);
    }
}
