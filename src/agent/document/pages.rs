//! The pages of a document on their way: image from the child, through the reader, kept.
//!
//! At most a window of them is in memory, never the document. A reading is in the ledger before
//! its page counts as read; pages that were read before an interruption are not read again.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::{JoinError, JoinSet, block_in_place};

use super::{Halt, WINDOW, Work};
use crate::document::Child;
use crate::engine::{Cancel, ReadError, ReadTask};
use crate::observe::event;
use crate::output::stage::Stage;
use crate::page::{PageChars, PageImage, PageStatus, Reading, Role};

impl Work<'_> {
    /// Reads every page that has no reading yet; keeps readings, stages pictures.
    pub(super) async fn read(&mut self, child: &mut Child, stage: &mut Stage) -> Result<(), Halt> {
        let identity = self.identity().clone();
        let kept = self.ctx.ledger.pages_read(
            self.digest,
            &identity.model_digest,
            &identity.settings_digest,
        )?;
        if !kept.is_empty() {
            event::resumed(&self.job.source, kept.len());
        }
        self.ctx.progress.opened(self.reached.pages, kept.len());
        let withdraw = Withdraw::default();
        let mut flying: JoinSet<Flight> = JoinSet::new();
        for page in 0..self.reached.pages {
            // What is read is kept at once: an interruption does not lose it, its image goes.
            while let Some(landed) = flying.try_join_next() {
                self.land(landed, stage)?;
            }
            let known = kept.binary_search(&page).is_ok();
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
                let reading = self.kept(page)?;
                self.reached.counts.add(reading.status);
                // Pictures of an earlier attempt were never published: they are cut again.
                if reading.blocks.iter().any(|b| b.role() == Role::Figure)
                    && let Ok(image) = self.image(child, page).await?
                {
                    block_in_place(|| stage.pictures(&reading, page, &image))?;
                }
                self.ctx.beat();
                continue;
            }
            match self.image(child, page).await? {
                Ok(image) => {
                    let chars = self.chars(child, page).await?;
                    let permit = self.permit(&mut flying, stage).await?;
                    self.fly(&mut flying, page, image, chars, &withdraw.0, permit)?;
                }
                Err(why) => self.keep(page, &Reading::failed(why))?,
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
        page: u32,
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
                page,
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
        block_in_place(|| stage.pictures(&reading, flight.page, &flight.image))?;
        self.keep(flight.page, &reading)
    }

    fn keep(&mut self, page: u32, reading: &Reading) -> Result<(), Halt> {
        if reading.status == PageStatus::Failed {
            event::page_failed(
                &self.job.source,
                page,
                reading.reason.as_deref().unwrap_or_default(),
            );
        } else {
            event::page(
                &self.job.source,
                page,
                reading.status.name(),
                reading.seconds,
            );
        }
        let json = serde_json::to_string(reading).map_err(|e| Halt::Machine(e.to_string()))?;
        let identity = self.identity();
        block_in_place(|| {
            self.ctx.ledger.keep_reading(
                self.digest,
                &identity.model_digest,
                &identity.settings_digest,
                page,
                &json,
            )
        })?;
        self.reached.counts.add(reading.status);
        self.ctx.beat();
        self.ctx.progress.page();
        Ok(())
    }

    pub(super) fn kept(&self, page: u32) -> Result<Reading, Halt> {
        let identity = self.identity();
        let json = self.ctx.ledger.reading(
            self.digest,
            &identity.model_digest,
            &identity.settings_digest,
            page,
        )?;
        json.and_then(|json| serde_json::from_str(&json).ok())
            .ok_or_else(|| {
                Halt::Machine(format!(
                    "the ledger has lost the reading of page {}",
                    page + 1
                ))
            })
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
    page: u32,
    image: Arc<PageImage>,
    answer: Result<Reading, ReadError>,
    /// Bounds the images in memory; gone where the engine failed.
    _permit: Option<OwnedSemaphorePermit>,
}
