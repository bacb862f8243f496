//! A book's pieces set on pages: a PDF, and where each piece stands in it.
//!
//! [`typeset`] gives typst content, never markup: a word of the book cannot be read as an
//! instruction. What is drawn carries the number of its part (a typst span), so the boxes are read
//! off the laid-out frames and are exact (`boxes`). Long chapters, paragraphs and tables are cut
//! into portions that are laid out on their own, a few at a time, so memory stays bounded; only the
//! finished frames of all pages and the PDF are held together. Nothing is fetched: `world` is the
//! only way to a resource, and it gives fonts alone.

mod boxes;
mod embed;
mod figures;
mod fonts;
mod inlines;
mod layout;
mod lists;
mod math;
mod parts;
mod pictures;
mod pieces;
mod tables;
mod text;
mod world;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use typst::foundations::Smart;
use typst_pdf::PdfOptions;

use super::flow::{Chapter, Metadata};
use crate::page::PageBox;

pub use pictures::Pictures;

/// How pages are set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Width and height of a page in points.
    pub page: (f64, f64),
    /// Left and right, top and bottom, in points.
    pub margin: (f64, f64),
    /// Size of the text in points.
    pub text_size: f64,
    /// Pixels per inch at which a page that is one picture has the picture's own pixels.
    pub picture_dpi: f64,
    /// Folders that are searched for fonts when the program's own lack a character.
    pub font_folders: Vec<PathBuf>,
    /// Portions laid out at the same time.
    pub threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            page: (400.0, 600.0),
            margin: (40.0, 44.0),
            text_size: 11.0,
            picture_dpi: 144.0,
            font_folders: fonts::system_folders(),
            threads: 2,
        }
    }
}

/// A typeset book.
#[derive(Debug)]
pub struct Typeset {
    pub pdf: Vec<u8>,
    /// One for each page of the PDF.
    pub pages: Vec<TypesetPage>,
    /// Characters that no font has; they stand in the PDF as empty boxes.
    pub missing_glyphs: BTreeSet<char>,
    /// What could not be drawn as the book has it: chapter (index) and one sentence.
    pub faults: Vec<(usize, String)>,
}

/// A page of a [`Typeset`] book.
#[derive(Clone, Debug, PartialEq)]
pub struct TypesetPage {
    /// Index of the chapter; every chapter begins a page and has one at least.
    pub chapter: usize,
    pub width_pt: f64,
    pub height_pt: f64,
    /// In reading order.
    pub blocks: Vec<Placed>,
    /// Path of the picture which is all that the page holds.
    pub picture: Option<String>,
}

/// Where a piece of a chapter stands on a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// A label that `page::Role` knows.
    pub label: &'static str,
    pub at: PageBox,
    /// Index in [`Chapter::pieces`].
    pub piece: usize,
    /// Its first page; a piece that goes on has one entry on each page.
    pub first: bool,
    /// A picture, table, formula or code that stands inside another piece, whose own entry covers
    /// it too; or the caption of the piece.
    pub inside: bool,
}

/// Plain text has no boxes: on their first page its pieces are the whole page, then the last is.
fn whole(pieces: Range<usize>, first: bool) -> Vec<Placed> {
    let pieces = if first {
        pieces
    } else {
        pieces.end.saturating_sub(1)..pieces.end
    };
    pieces
        .map(|piece| Placed {
            label: "text",
            at: PageBox::FULL,
            piece,
            first,
            inside: false,
        })
        .collect()
}

/// Sets a book. Everything that `chapters` say is on the pages, in order.
///
/// Errors when the book's text exceeds what is set at once, or typst fails on plain text.
pub fn typeset(
    book: &Metadata,
    chapters: &[Chapter],
    pictures: &mut dyn Pictures,
    settings: &Settings,
) -> Result<Typeset, String> {
    let language = book.languages.first().map_or("", String::as_str);
    let characters = text::characters(chapters)?;
    let fonts = fonts::choose(&characters, language, &settings.font_folders);
    let world = world::BookWorld::new(fonts.fonts)?;
    let styles = layout::styles(settings, language, &fonts.families);
    let mut builder = pieces::Builder::new(&world, pictures, settings, language, chapters);
    let portions = layout::portions(&mut builder, chapters);
    let (parts, mut faults) = builder.finish();
    let laid = layout::lay_out(&world, &styles, portions, chapters, settings)?;
    let mut missing_glyphs = BTreeSet::new();
    let mut first = boxes::Seen::default();
    let mut pages = Vec::new();
    let mut frames = Vec::new();
    for portion in laid {
        faults.extend(portion.fault.map(|fault| (portion.chapter, fault)));
        for (number, page) in portion.pages.into_iter().enumerate() {
            let mut blocks = boxes::blocks(&page.frame, &parts, &mut first, &mut missing_glyphs);
            if let Some(pieces) = &portion.plain {
                blocks = whole(pieces.clone(), number == 0);
            }
            pages.push(TypesetPage {
                chapter: portion.chapter,
                width_pt: page.frame.width().to_pt(),
                height_pt: page.frame.height().to_pt(),
                blocks,
                picture: portion.picture.clone(),
            });
            frames.push(page);
        }
    }
    let document = layout::document(book, language, frames);
    let options = PdfOptions {
        ident: Smart::Custom(format!("{}\n{}", book.identifier, book.title)),
        creator: Smart::Custom(Some("dropleaf".to_owned())),
        tagged: false,
        ..PdfOptions::default()
    };
    let pdf = typst_pdf::pdf(&document, &options).map_err(|e| layout::say(&e))?;
    drop(document);
    typst::comemo::evict(0);
    Ok(Typeset {
        pdf,
        pages,
        missing_glyphs,
        faults,
    })
}
