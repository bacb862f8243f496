//! Boxes over the pages of a long book, part by part.
//!
//! For each page that it writes anew pdfium looks through the whole document (for objects that pages
//! share): a thousand pages take minutes. A book's typeset pages share nothing but fonts, so they
//! are copied into documents of [`PART`] pages, drawn on there, and joined. Pages come in order;
//! those that nothing was drawn on are copied as they are. The document itself stays clean.

use pdfium_render::prelude::*;

use crate::page::LayoutPage;

/// Pages drawn on in a document of their own: few enough to be looked through, enough that their
/// copies of the fonts do not count.
const PART: usize = 50;

/// What is to be drawn over a document, and what is drawn.
pub struct Drawing<'a> {
    pdfium: &'a Pdfium,
    joined: PdfDocument<'a>,
    /// Pages of the document that `joined` has.
    done: u32,
    waiting: Vec<LayoutPage>,
    draw: fn(&mut PdfDocument<'_>, &LayoutPage) -> Result<(), PdfiumError>,
}

impl<'a> Drawing<'a> {
    pub fn new(
        pdfium: &'a Pdfium,
        draw: fn(&mut PdfDocument<'_>, &LayoutPage) -> Result<(), PdfiumError>,
    ) -> Result<Self, PdfiumError> {
        Ok(Self {
            pdfium,
            joined: pdfium.create_new_pdf()?,
            done: 0,
            waiting: Vec::new(),
            draw,
        })
    }

    /// Takes what is to be drawn over a page of `source`.
    pub fn add(&mut self, source: &PdfDocument<'_>, page: LayoutPage) -> Result<(), PdfiumError> {
        self.waiting.push(page);
        match self.waiting.last() {
            Some(last) if self.waiting.len() >= PART => {
                let end = last.page + 1;
                self.part(source, end)
            }
            _ => Ok(()),
        }
    }

    /// The whole document, all its pages.
    pub fn finish(mut self, source: &PdfDocument<'a>) -> Result<PdfDocument<'a>, PdfiumError> {
        let pages = source.pages().len() as u32;
        if self.done < pages {
            self.part(source, pages)?;
        }
        Ok(self.joined)
    }

    /// Joins the pages before `end` that are not joined yet, drawn on.
    fn part(&mut self, source: &PdfDocument<'_>, end: u32) -> Result<(), PdfiumError> {
        let index = |page: u32| page as PdfPageIndex;
        let mut part = self.pdfium.create_new_pdf()?;
        part.pages_mut().copy_page_range_from_document(
            source,
            index(self.done)..=index(end - 1),
            0,
        )?;
        for mut page in self.waiting.drain(..) {
            let Some(number) = page.page.checked_sub(self.done) else {
                continue;
            };
            page.page = number;
            (self.draw)(&mut part, &page)?;
        }
        self.joined.pages_mut().append(&part)?;
        self.done = end;
        Ok(())
    }
}
