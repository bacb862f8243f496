//! The leaves of a document on their way: image from the child, through the reader, kept. Pages of a
//! book that have their text already are no leaves.
//!
//! At most a window of them is in memory, never the document. A reading is in the ledger before
//! its page counts as read; pages that were read before an interruption are not read again.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::{JoinError, JoinSet, block_in_place};

use super::{Halt, WINDOW, Work};
use crate::config::EpubText;
use crate::document::Child;
use crate::engine::{Cancel, ReadError, ReadTask};
use crate::observe::event;
use crate::output::stage::Stage;
use crate::page::{Book, PageChars, PageImage, PageStatus, Reading};

/// What the engine reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    /// Counted from 0.
    Page(u32),
    /// A picture within a book's text.
    Picture(u32),
}

impl Leaf {
    /// All that the engine reads of a document of `pages` pages, in order.
    fn all(pages: u32, book: Option<&Book>) -> Vec<Self> {
        let Some(book) = book else {
            return (0..pages).map(Self::Page).collect();
        };
        let read = book.chapters.iter().filter(|c| c.read);
        let read = read.flat_map(|c| c.first_page..c.first_page + c.pages);
        let mut seen = HashSet::new();
        let within = book
            .chapters
            .iter()
            .flat_map(|c| c.read_pictures.iter().copied())
            // A picture of several chapters is read once.
            .filter(|picture| seen.insert(*picture));
        read.map(Self::Page)
            .chain(within.map(Self::Picture))
            .collect()
    }

    /// Its number in the ledger: pictures come behind the `pages` pages.
    fn key(self, pages: u32) -> u32 {
        match self {
            Self::Page(page) => page,
            Self::Picture(picture) => pages.saturating_add(picture),
        }
    }
}

impl Work<'_> {
    /// Reads every leaf that has no reading yet; keeps readings, stages crops.
    pub(super) async fn read(&mut self, child: &mut Child, stage: &mut Stage) -> Result<(), Halt> {
        let pages = self.reached.pages;
        let leaves = Leaf::all(pages, self.book.as_ref());
        let kept = self.ctx.ledger.pages_read(
            self.digest,
            &self.identity().model_digest,
            &self.settings(),
        )?;
        if !kept.is_empty() {
            event::resumed(&self.job.source, kept.len());
        }
        let unread = leaves
            .iter()
            .filter(|l| matches!(l, Leaf::Page(_)) && kept.binary_search(&l.key(pages)).is_err());
        self.ctx
            .progress
            .opened(pages, pages as usize - unread.count());
        if let Some(book) = &self.book {
            let ready = (0..pages).filter(|&page| !book.is_read(page)).count();
            self.reached.counts.ok += ready as u32;
        }
        let withdraw = Withdraw::default();
        let mut flying: JoinSet<Flight> = JoinSet::new();
        for leaf in leaves {
            // What is read is kept at once: an interruption does not lose it, its image goes.
            while let Some(landed) = flying.try_join_next() {
                self.land(landed, stage)?;
            }
            let known = kept.binary_search(&leaf.key(pages)).is_ok();
            while !known && flying.len() >= WINDOW.max(self.ctx.reader.capacity) {
                if let Some(landed) = flying.join_next().await {
                    self.land(landed, stage)?;
                }
            }
            if self.ctx.stop.asked() {
                self.land_all(&mut flying, stage).await?;
                return Err(Halt::Stopped);
            }
            if known {
                let Leaf::Page(page) = leaf else {
                    continue;
                };
                let reading = self.kept(leaf)?;
                self.reached.counts.add(reading.status);
                // Pictures of an earlier attempt were never published: they are cut again.
                if self.crops(page)
                    && reading.figures().next().is_some()
                    && let Ok(image) = self.image(child, leaf).await?
                {
                    block_in_place(|| stage.pictures(&reading, page, &image))?;
                }
                self.ctx.beat();
                continue;
            }
            match self.image(child, leaf).await? {
                Ok(image) => {
                    let chars = match leaf {
                        Leaf::Page(page) if self.book.is_none() => self.chars(child, page).await?,
                        _ => None,
                    };
                    let permit = self.permit(&mut flying, stage).await?;
                    self.fly(&mut flying, leaf, image, chars, &withdraw.0, permit)?;
                }
                Err(why) => self.keep(leaf, &Reading::failed(why))?,
            }
        }
        self.land_all(&mut flying, stage).await
    }

    /// A place in the queue. Pages hold theirs until they are kept, so those that are ready are
    /// kept meanwhile: documents must not wait for each other's.
    async fn permit(
        &mut self,
        flying: &mut JoinSet<Flight>,
        stage: &mut Stage,
    ) -> Result<OwnedSemaphorePermit, Halt> {
        let acquire = Arc::clone(&self.ctx.queue).acquire_owned();
        tokio::pin!(acquire);
        loop {
            tokio::select! {
                permit = &mut acquire => return permit.map_err(|e| Halt::Machine(e.to_string())),
                Some(landed) = flying.join_next() => self.land(landed, stage)?,
            }
        }
    }

    fn fly(
        &self,
        flying: &mut JoinSet<Flight>,
        leaf: Leaf,
        image: PageImage,
        chars: Option<PageChars>,
        cancel: &Cancel,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), Halt> {
        let image = Arc::new(image);
        let (sender, reply) = oneshot::channel();
        let task = ReadTask {
            image: Arc::clone(&image),
            chars,
            cancel: cancel.clone(),
            // The permit goes with the image, to where both are let go.
            reply: Box::new(move |answer| {
                let _ = sender.send((answer, permit));
            }),
        };
        // Permits are fewer than places in the queue: this does not block.
        if !self.ctx.reader.submit(task) {
            return Err(Halt::Machine("the reader has ended".into()));
        }
        flying.spawn(async move {
            let (answer, permit) = match reply.await {
                Ok((answer, permit)) => (answer, Some(permit)),
                Err(_) => {
                    let why = "the engine failed on it; the log has the details";
                    (Err(ReadError::Page(why.into())), None)
                }
            };
            Flight {
                leaf,
                image,
                answer,
                _permit: permit,
            }
        });
        Ok(())
    }

    async fn land_all(
        &mut self,
        flying: &mut JoinSet<Flight>,
        stage: &mut Stage,
    ) -> Result<(), Halt> {
        while let Some(landed) = flying.join_next().await {
            self.land(landed, stage)?;
        }
        Ok(())
    }

    /// Takes one answer.
    fn land(&mut self, landed: Result<Flight, JoinError>, stage: &mut Stage) -> Result<(), Halt> {
        let flight = landed.map_err(|e| Halt::Machine(e.to_string()))?;
        let reading = match flight.answer {
            Ok(reading) => reading,
            Err(ReadError::Page(why)) => Reading::failed(why),
            Err(ReadError::Machine(why)) => return Err(Halt::Machine(why)),
            Err(ReadError::Cancelled) => return Err(Halt::Stopped),
        };
        if let Leaf::Page(page) = flight.leaf
            && self.crops(page)
        {
            block_in_place(|| stage.pictures(&reading, page, &flight.image))?;
        }
        self.keep(flight.leaf, &reading)
    }

    fn keep(&mut self, leaf: Leaf, reading: &Reading) -> Result<(), Halt> {
        let source = &self.job.source;
        let why = reading.reason.as_deref().unwrap_or_default();
        let failed = reading.status == PageStatus::Failed;
        match leaf {
            Leaf::Page(page) if failed => event::page_failed(source, page, why),
            Leaf::Page(page) => event::page(source, page, reading.status.name(), reading.seconds),
            Leaf::Picture(picture) if failed => event::picture_failed(source, picture, why),
            Leaf::Picture(_) => {}
        }
        let json = serde_json::to_string(reading).map_err(|e| Halt::Machine(e.to_string()))?;
        let model = &self.identity().model_digest;
        let key = leaf.key(self.reached.pages);
        block_in_place(|| {
            self.ctx
                .ledger
                .keep_reading(self.digest, model, &self.settings(), key, &json)
        })?;
        self.ctx.beat();
        if let Leaf::Page(_) = leaf {
            self.reached.counts.add(reading.status);
            self.ctx.progress.page();
        }
        Ok(())
    }

    pub(super) fn kept(&self, leaf: Leaf) -> Result<Reading, Halt> {
        let model = &self.identity().model_digest;
        let key = leaf.key(self.reached.pages);
        let json = self
            .ctx
            .ledger
            .reading(self.digest, model, &self.settings(), key)?;
        json.and_then(|json| serde_json::from_str(&json).ok())
            .ok_or_else(|| Halt::Machine(format!("the ledger has lost the reading of {leaf:?}")))
    }

    /// Whether figures are cut out of a page: not where the page is a picture that a book has.
    fn crops(&self, page: u32) -> bool {
        match &self.book {
            Some(book) => self.config.epub.text == EpubText::Ocr && book.is_read(page),
            None => true,
        }
    }

    /// The reading settings under which readings are kept: of a book also how it becomes pages.
    fn settings(&self) -> String {
        let settings = &self.identity().settings_digest;
        if self.book.is_none() {
            return settings.clone();
        }
        let epub = &self.config.epub;
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "{settings} epub {version} {:?} {:?} {}",
            epub.text, epub.read_pictures, self.reached.pages
        )
    }
}

/// Withdraws a document's pages from the reader when the document goes no further.
#[derive(Default)]
struct Withdraw(Cancel);

impl Drop for Withdraw {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A page that the reader has answered.
struct Flight {
    leaf: Leaf,
    image: Arc<PageImage>,
    answer: Result<Reading, ReadError>,
    /// Bounds the images in memory; gone where the engine failed.
    _permit: Option<OwnedSemaphorePermit>,
}
