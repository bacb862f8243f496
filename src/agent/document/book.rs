//! What a book has beside its pages: ready readings, Markdown by chapter, pictures of its own.
//!
//! The child knows the book; here its answers are put in order. A child that dies over them is
//! counted and replaced as over a page.

use std::sync::Arc;

use tokio::task::block_in_place;

use super::pages::Leaf;
use super::{Halt, Work};
use crate::config::{EpubText, Separate};
use crate::document::{Child, DocumentError, Part};
use crate::observe::event;
use crate::output::markdown;
use crate::output::stage::Stage;
use crate::page::{Reading, Role};

/// Asks a child until there is an answer, or it has died too often.
macro_rules! asked {
    ($work:ident, $child:ident, $asking:expr) => {
        loop {
            match $asking.await {
                Ok(answer) => break answer,
                Err(fault) => $work.replace($child, fault).await?,
            }
        }
    };
}

impl Work<'_> {
    /// The reading of a page: the ledger's, or the book's own.
    pub(super) async fn reading(&mut self, child: &mut Child, page: u32) -> Result<Reading, Halt> {
        match &self.book {
            Some(book) if !book.is_read(page) => Ok(asked!(self, child, child.reading(page))),
            _ => self.kept(Leaf::Page(page)),
        }
    }

    /// What stands for a page in the Markdown: what the engine read there; of a book's own text
    /// the whole chapter with its first page, or page by page, as the settings say.
    pub(super) async fn markdown(
        &mut self,
        child: &mut Child,
        page: u32,
        reading: &Reading,
    ) -> Result<String, Halt> {
        let config = Arc::clone(&self.config);
        let settings = &config.output;
        let chapter = self.book.as_ref().and_then(|book| book.chapter(page));
        let Some((number, chapter)) = chapter else {
            return Ok(markdown::page(reading, page, settings));
        };
        if config.epub.text == EpubText::Ocr {
            return Ok(markdown::page(reading, page, settings));
        }
        if chapter.read {
            // The picture is shown as the book has it, in place of crops of it.
            let picture = asked!(self, child, child.markdown(Part::Page(page), &[]));
            let read = markdown::page(&without_figures(reading), page, settings);
            return Ok(match picture.as_str() {
                "" => read,
                picture => format!("{picture}\n\n{read}"),
            });
        }
        let part = match config.epub.separator {
            Separate::Page => Part::Page(page),
            Separate::Chapter if page == chapter.first_page => Part::Chapter(number as u32),
            Separate::Chapter => return Ok(String::new()),
        };
        let mut read = Vec::new();
        for &picture in &chapter.read_pictures {
            let text = text_of(&self.kept(Leaf::Picture(picture))?);
            if !text.is_empty() {
                read.push((picture, text));
            }
        }
        let mut text = asked!(self, child, child.markdown(part, &read));
        markdown::separate(&mut text, settings);
        Ok(text)
    }

    /// Stages the pictures of a book, as the book has them.
    pub(super) async fn pictures(
        &mut self,
        child: &mut Child,
        stage: &mut Stage,
    ) -> Result<(), Halt> {
        // Typeset pages that were read are shown by crops of them.
        if self.config.epub.text == EpubText::Ocr {
            return Ok(());
        }
        let names = self.book.as_ref().map(|book| book.pictures.clone());
        for (picture, name) in names.into_iter().flatten().enumerate() {
            let picture = picture as u32;
            let asked = loop {
                match child.picture(picture).await {
                    Err(DocumentError::PageRefused(why)) => break Err(why),
                    Err(fault) => self.replace(child, fault).await?,
                    Ok(bytes) => break Ok(bytes),
                }
            };
            match asked {
                Ok(bytes) => block_in_place(|| stage.picture(&name, &bytes))?,
                Err(why) => event::picture_failed(&self.job.source, picture, &why),
            }
            self.ctx.beat();
        }
        Ok(())
    }
}

/// A reading of a page that is one picture, for beside that picture.
fn without_figures(reading: &Reading) -> Reading {
    let mut reading = reading.clone();
    reading.blocks.retain_mut(|block| {
        let figure = block.has_picture();
        if figure {
            block.label = "text".into();
        }
        !figure || !block.content.trim().is_empty()
    });
    reading
}

/// What was read in a picture within the text.
fn text_of(reading: &Reading) -> String {
    let texts = reading.blocks.iter().filter(|b| b.role() != Role::Figure);
    let texts: Vec<&str> = texts.map(|b| b.content.trim()).collect();
    texts.join("\n\n").trim().to_owned()
}
