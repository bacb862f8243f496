//! An open book in its child: chapters, typeset pages, what is asked of them.
//!
//! The container's documents become chapters ([`super::flow`]), these become Markdown and pages.
//! Readings of pages with text are ready here; pages that are one picture are left to the engine,
//! as the settings say. Nothing of the book is fetched or run, and no other file is opened.

use std::collections::HashMap;
use std::fs::File;
use std::io::Cursor;

use image::{ImageReader, Limits as ImageLimits};

use super::epub::{self, BookError, ReadError};
use super::flow::{Chapter, Piece};
use super::markdown::Writer;
use super::protocol::{Part, Reply};
use super::typeset::{self, Pictures, Placed, TypesetPage};
use super::xhtml;
use crate::config::{self, EpubText, ReadPictures};
use crate::page::{
    Block, Book, BookChapter, ContentsEntry, ImageWish, PageImage, Reading, Rotation,
};

/// Bytes that decoding a picture may take: 64 million pixels of four bytes.
const PICTURE_BYTES: u64 = 256 << 20;

/// A book that is open.
pub struct OpenBook {
    container: epub::Book,
    chapters: Vec<Chapter>,
    pages: Vec<TypesetPage>,
    writer: Writer,
    /// Paths in the container of the pictures that the head names.
    pictures: Vec<String>,
    head: Book,
}

/// A book to be written down, and its typeset pages as a PDF.
impl OpenBook {
    /// Opens, converts and typesets a book; the PDF beside it has the pages of its head.
    pub fn open(
        file: File,
        settings: &config::Epub,
        max_pages: u32,
    ) -> Result<(Self, Vec<u8>), Reply> {
        let mut container = epub::Book::open(file, &epub::Limits::default()).map_err(refusal)?;
        let chapters = chapters(&mut container)?;
        let typeset = {
            let mut shelf = Shelf(&mut container);
            let set = typeset::Settings::default();
            typeset::typeset(&shelf.0.metadata.clone(), &chapters, &mut shelf, &set)
        }
        .map_err(|why| Reply::Refused(format!("cannot be typeset: {why}")))?;
        if typeset.pages.len() > max_pages as usize {
            return Err(Reply::Refused(format!(
                "has {} pages, more than pdf.max_pages = {max_pages}",
                typeset.pages.len()
            )));
        }
        todo!()
    }
}
