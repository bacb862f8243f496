//! The only way from typst to a resource: fonts, and nothing else.
//!
//! A book is given to typst as content, never as markup, so there is no source to evaluate; every
//! request for a source, a file, a package or the date is refused. What a picture or an SVG inside
//! it may refer to is therefore never opened.

use typst::diag::{FileError, FileResult};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, World};

/// Fonts and typst's library for one book.
pub struct BookWorld {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Vec<Font>,
    main: FileId,
}

impl BookWorld {
    /// A world of `fonts`; typst sees them in this order.
    pub fn new(fonts: Vec<Font>) -> Result<Self, String> {
        let path = VirtualPath::new("book").map_err(|e| e.to_string())?;
        Ok(Self {
            library: LazyHash::new(Library::default()),
            book: LazyHash::new(FontBook::from_fonts(&fonts)),
            fonts,
            main: RootedPath::new(VirtualRoot::Project, path).intern(),
        })
    }
}

impl World for BookWorld {
    fn library(&self) -> &LazyHash<Library> {
        &self.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.book
    }

    fn main(&self) -> FileId {
        self.main
    }

    fn source(&self, _: FileId) -> FileResult<Source> {
        Err(FileError::AccessDenied)
    }

    fn file(&self, _: FileId) -> FileResult<Bytes> {
        Err(FileError::AccessDenied)
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.fonts.get(index).cloned()
    }

    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_fonts_can_be_reached() {
        let world = BookWorld::new(Vec::new()).unwrap();
        assert!(world.source(world.main()).is_err());
        assert!(world.file(world.main()).is_err());
        assert!(world.font(0).is_none());
        assert!(world.today(None).is_none());
    }
}
