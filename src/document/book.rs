//! An open book in its child: chapters, typeset pages, and what is asked of them.
//!
//! The container's documents become chapters ([`super::flow`]); chapters become Markdown and pages.
//! Readings of pages with text are ready here; pages that are one picture are left to the engine,
//! as the settings say. Nothing of the book is fetched or run, and no other file is opened.

mod notes;
mod pictures;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::rc::Rc;

use self::pictures::{Gallery, Source};
use super::epub::{self, BookError, Target};
use super::flow::{Chapter, Inline, Picture, Piece};
use super::markdown::{self, Written};
use super::protocol::{Part, Reply};
use super::typeset::{self, Placed, TypesetPage};
use super::xhtml::{self, Sheet, Surroundings};
use crate::config::{self, EpubText, ReadPictures};
use crate::page::{
    Block, Book, BookChapter, ContentsEntry, ImageWish, PageImage, Reading, Rotation,
};

/// A book that is open.
pub struct OpenBook {
    container: epub::Book,
    chapters: Vec<Chapter>,
    /// The Markdown of each chapter, piece by piece.
    written: Vec<Written>,
    pages: Vec<TypesetPage>,
    /// Which pieces of its chapter each page has: those that begin there, and those without a box
    /// before them. The last page of a chapter has the rest.
    ranges: Vec<Range<usize>>,
    gallery: Gallery,
    head: Book,
}

impl OpenBook {
    /// Opens, converts and typesets a book: it, and its pages as a PDF. The error is for the agent.
    pub fn open(
        file: File,
        settings: &config::Epub,
        max_pages: u32,
    ) -> Result<(Self, Vec<u8>), Reply> {
        let mut container = epub::Book::open(file, &epub::Limits::default()).map_err(refusal)?;
        let mut chapters = chapters(&mut container)?;
        let metadata = container.metadata.clone();
        let mut source = Source::new(&mut container);
        let set = typeset::Settings::default();
        let typeset = typeset::typeset(&metadata, &chapters, &mut source, &set)
            .map_err(|why| Reply::Refused(format!("cannot be typeset: {why}")))?;
        if typeset.pages.len() > max_pages as usize {
            return Err(Reply::Refused(format!(
                "has {} pages, more than pdf.max_pages = {max_pages}",
                typeset.pages.len()
            )));
        }
        for (chapter, fault) in typeset.faults {
            if let Some(chapter) = chapters.get_mut(chapter) {
                chapter.faults.push(fault);
            }
        }
        let gallery = Gallery::of(&mut source, &chapters);
        // What the machine could not read says nothing of the book, wherever it was wanted.
        if let Some(why) = container.machine_fault() {
            return Err(Reply::Machine(format!("cannot be read: {why}")));
        }
        let written = markdown::write(&chapters, &mut |path| gallery.address(path));
        let head = Book {
            metadata,
            contents: contents(&container),
            chapters: head_chapters(&container, &chapters, &typeset.pages, &gallery, settings),
            pictures: gallery.names(),
            missing_glyphs: typeset.missing_glyphs.into_iter().collect(),
            faults: container.faults.clone(),
        };
        let book = Self {
            container,
            ranges: ranges(&typeset.pages, &chapters),
            chapters,
            written,
            pages: typeset.pages,
            gallery,
            head,
        };
        Ok((book, typeset.pdf))
    }

    /// What the agent is told of the book.
    pub fn head(&self) -> &Book {
        &self.head
    }

    /// The ready reading of a page: its pieces with their exact boxes. A piece stands with its
    /// Markdown where it begins; where it goes on there is its box alone.
    pub fn reading(&self, page: u32) -> Option<Reading> {
        let page = self.pages.get(page as usize)?;
        let written = self.written.get(page.chapter)?;
        // A caption is written with what it stands at.
        let is_caption = |placed: &Placed| {
            let other = |b: &&Placed| b.piece == placed.piece && b.label != placed.label;
            placed.label == "figure_title" && page.blocks.iter().any(|b| other(&b))
        };
        let content = |placed: &Placed| {
            let begins = placed.first && !placed.inside && !is_caption(placed);
            let moved = written.moved.get(&placed.piece);
            let text = moved.or_else(|| written.pieces.get(placed.piece));
            text.filter(|_| begins).cloned().unwrap_or_default()
        };
        let blocks = page.blocks.iter().map(|placed| Block {
            label: placed.label.into(),
            boxes: vec![placed.at],
            content: content(placed),
            heading: None,
        });
        Some(Reading::of_blocks(blocks.collect(), Rotation::None, 0.0))
    }

    /// The Markdown of a part; `read` is what the engine made of pictures in it, which stands
    /// behind them as a quotation.
    pub fn markdown(&self, part: Part, read: &[(u32, String)]) -> Option<String> {
        let (chapter, range) = match part {
            Part::Chapter(chapter) => {
                let chapter = chapter as usize;
                (chapter, 0..self.written.get(chapter)?.pieces.len())
            }
            Part::Page(page) => {
                let chapter = self.pages.get(page as usize)?.chapter;
                (chapter, self.ranges.get(page as usize)?.clone())
            }
        };
        let read: Vec<(&str, &str)> = read
            .iter()
            .filter_map(|(picture, text)| Some((self.gallery.path(*picture)?, text.as_str())))
            .collect();
        let pieces = &self.chapters.get(chapter)?.pieces;
        let behind = pictures::said(pieces, range.clone(), &read);
        Some(self.written.get(chapter)?.part(range, &behind))
    }

    /// A picture as the container has it, by its number in the head.
    pub fn picture(&mut self, picture: u32) -> Result<Vec<u8>, Reply> {
        let path = self.gallery.path(picture).unwrap_or_default().to_owned();
        self.container.read(&path).map_err(|e| match e {
            epub::ReadError::Machine(e) => Reply::Machine(format!("{path} cannot be read: {e}")),
            e => Reply::PageRefused(format!("{path} {e}")),
        })
    }

    /// A picture as an image for the engine.
    pub fn image(&mut self, picture: u32, wish: ImageWish) -> Result<PageImage, String> {
        let path = self.gallery.path(picture).unwrap_or_default().to_owned();
        let bytes = self
            .container
            .read(&path)
            .map_err(|e| format!("{path} {e}"))?;
        pictures::image(&bytes, wish)
    }
}

fn ranges(pages: &[TypesetPage], chapters: &[Chapter]) -> Vec<Range<usize>> {
    let mut out = Vec::with_capacity(pages.len());
    let mut from = 0;
    for (number, page) in pages.iter().enumerate() {
        let begun = page.blocks.iter().filter(|b| b.first).map(|b| b.piece + 1);
        let mut to = begun.max().unwrap_or(from).max(from);
        let next = pages.get(number + 1);
        let last = next.is_none_or(|next| next.chapter != page.chapter);
        if last {
            to = chapters.get(page.chapter).map_or(to, |c| c.pieces.len());
        }
        out.push(from..to);
        from = if last { 0 } else { to };
    }
    out
}

fn refusal(error: BookError) -> Reply {
    let why = error.to_string();
    match error {
        BookError::Refused(_) => Reply::Refused(why),
        BookError::Damaged(_) => Reply::Damaged(why),
        BookError::Machine(e) => Reply::Machine(format!("{why}: {e}")),
    }
}

/// The documents of the spine. What cannot be read keeps its place, with a mark.
fn chapters(container: &mut epub::Book) -> Result<Vec<Chapter>, Reply> {
    let names = container.names();
    let sheets: RefCell<HashMap<String, Option<Rc<Sheet>>>> = RefCell::default();
    let spine = container.spine.clone();
    let mut out = Vec::with_capacity(spine.len());
    for item in spine {
        let mut chapter =
            if item.media_type.starts_with("image/") && item.media_type != "image/svg+xml" {
                let picture = Picture {
                    path: Some(item.path.clone()),
                    ..Picture::default()
                };
                Chapter {
                    pieces: vec![Piece::Picture(picture)],
                    ..Chapter::default()
                }
            } else {
                match container.read(&item.path) {
                    Ok(bytes) => {
                        let container = RefCell::new(&mut *container);
                        let resolve = |href: &str| match names.resolve(&item.path, href)? {
                            target @ Target::Inside { .. } => Some(target.link()),
                            Target::Outside(_) => None,
                        };
                        let sheet = |path: &str| {
                            if let Some(known) = sheets.borrow().get(path) {
                                return known.clone();
                            }
                            let bytes = container.borrow_mut().read(path).ok();
                            let sheet =
                                bytes.map(|b| Rc::new(Sheet::parse(&String::from_utf8_lossy(&b))));
                            sheets.borrow_mut().insert(path.to_owned(), sheet.clone());
                            sheet
                        };
                        let around = Surroundings {
                            resolve: &resolve,
                            sheet: &sheet,
                        };
                        let mut chapter = xhtml::chapter(&bytes, &item.path, &around);
                        if item.media_type == "image/svg+xml" && chapter.only_picture().is_none() {
                            // A drawing: it is shown, and its words stand behind it.
                            chapter.pieces.insert(0, picture_of(&item.path));
                        }
                        chapter
                    }
                    Err(epub::ReadError::Machine(e)) => {
                        return Err(Reply::Machine(format!("cannot be read: {e}")));
                    }
                    Err(e) => unreadable(&item.path, &e.to_string()),
                }
            };
        chapter.path = item.path;
        chapter.aside = !item.linear;
        out.push(chapter);
    }
    notes::open(&mut out);
    Ok(out)
}

fn picture_of(path: &str) -> Piece {
    Piece::Picture(Picture {
        path: Some(path.to_owned()),
        ..Picture::default()
    })
}

/// A chapter in place of one that cannot be read.
fn unreadable(path: &str, why: &str) -> Chapter {
    let mark = format!("This part of the book ({path}) {why}.");
    Chapter {
        pieces: vec![Piece::Paragraph(vec![Inline::Strong(vec![Inline::Text(
            mark,
        )])])],
        faults: vec![why.to_owned()],
        ..Chapter::default()
    }
}

fn contents(container: &epub::Book) -> Vec<ContentsEntry> {
    let entry = |entry: &epub::Entry| ContentsEntry {
        title: entry.title.clone(),
        target: match (&entry.path, &entry.fragment) {
            (Some(path), Some(fragment)) => format!("{path}#{fragment}"),
            (Some(path), None) => path.clone(),
            (None, _) => String::new(),
        },
        depth: entry.depth as u32,
    };
    container.contents.iter().map(entry).collect()
}

fn head_chapters(
    container: &epub::Book,
    chapters: &[Chapter],
    pages: &[TypesetPage],
    gallery: &Gallery,
    settings: &config::Epub,
) -> Vec<BookChapter> {
    let mut out: Vec<BookChapter> = chapters
        .iter()
        .map(|chapter| BookChapter {
            path: chapter.path.clone(),
            aside: chapter.aside,
            faults: chapter.faults.clone(),
            ..BookChapter::default()
        })
        .collect();
    for (number, page) in pages.iter().enumerate() {
        let Some(chapter) = out.get_mut(page.chapter) else {
            continue;
        };
        if chapter.pages == 0 {
            chapter.first_page = number as u32;
        }
        chapter.pages += 1;
        chapter.read |= page.picture.is_some() && settings.read_pictures != ReadPictures::None;
    }
    for (head, chapter) in out.iter_mut().zip(chapters) {
        if settings.text == EpubText::Ocr {
            head.read = true;
        } else if settings.read_pictures == ReadPictures::All && !head.read {
            head.read_pictures = gallery.within(container, chapter);
        }
    }
    out
}
