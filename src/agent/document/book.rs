//! What a book has beside its pages: ready readings, Markdown by chapter, pictures of its own.
//!
//! The child knows the book; here its answers are put in order. A child that dies over them is
//! counted and replaced as over a page.

use tokio::task::block_in_place;

use super::pages::Leaf;
use super::{Halt, Work};
use crate::config::Separate;
use crate::document::{Child, DocumentError, Part};
use crate::output::markdown;
use crate::output::stage::Stage;
use crate::page::{PageStatus, Reading, Role};

impl Work<'_> {
    /// The reading of a page: the ledger's, or the book's own.
    pub(super) async fn reading(&mut self, child: &mut Child, page: u32) -> Result<Reading, Halt> {
        match &self.book {
            Some(book) if !book.is_read(page) => {
                self.asked(child, async |child| child.reading(page).await)
                    .await
            }
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
        let settings = &self.config.output;
        let chapter = self.book.as_ref().and_then(|book| {
            let chapters = book.chapters.iter().enumerate();
            chapters.into_iter().find(|(_, c)| c.has(page))
        });
        let Some((number, chapter)) = chapter else {
            return Ok(markdown::page(reading, page, settings));
        };
        // A picture in which nothing was read is shown as the book has it.
        let nothing = matches!(reading.status, PageStatus::Blank | PageStatus::Failed);
        if chapter.read && !nothing {
            return Ok(markdown::page(reading, page, settings));
        }
        let part = match self.config.epub.separator {
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
        let mut text = self
            .asked(child, async |child| child.markdown(part, &read).await)
            .await?;
        if reading.status == PageStatus::Failed {
            text = format!("{}\n\n{text}", markdown::mark(reading, page));
        }
        markdown::separate(&mut text, settings);
        Ok(text)
    }

    /// Stages the pictures of a book, as the book has them.
    pub(super) async fn pictures(
        &mut self,
        child: &mut Child,
        stage: &mut Stage,
    ) -> Result<(), Halt> {
        let names = self.book.as_ref().map(|book| book.pictures.clone());
        for (picture, name) in names.into_iter().flatten().enumerate() {
            let bytes = self
                .asked(child, async |child| child.picture(picture as u32).await)
                .await?;
            block_in_place(|| stage.picture(&name, &bytes))?;
            self.ctx.beat();
        }
        Ok(())
    }

    /// Asks until there is an answer, or the child has died too often.
    async fn asked<T>(
        &mut self,
        child: &mut Child,
        ask: impl AsyncFn(&mut Child) -> Result<T, DocumentError>,
    ) -> Result<T, Halt> {
        loop {
            match ask(child).await {
                Ok(answer) => return Ok(answer),
                Err(e) => {
                    self.excuse(e)?;
                    (*child, _) = self.open().await?;
                }
            }
        }
    }
}

/// What was read in a picture within the text.
fn text_of(reading: &Reading) -> String {
    let texts = reading.blocks.iter().filter(|b| b.role() != Role::Figure);
    let texts: Vec<&str> = texts.map(|b| b.content.trim()).collect();
    texts.join("\n\n").trim().to_owned()
}
