//! From page images that are ready to sequences that have entered: the vision model's part.

use super::preprocess::Views;
use super::rows::Rows;
use super::schedule::{Key, Request};
use super::sight::Sight;
use super::stages::Stage;
use super::vision::Seen;
use super::{AHEAD, DeepSeek, TOGETHER, bench};
use crate::engine::session::{Place, RunError, Upload};
use crate::page::{Reading, Rotation};

/// A page whose views are made.
pub(super) struct Ready {
    key: Key,
    views: Views,
    upload: Option<Upload>,
}

impl Ready {
    fn seen(&self) -> Seen<'_> {
        Seen {
            views: &self.views,
            upload: self.upload.as_ref(),
        }
    }
}

impl DeepSeek {
    /// The pages that are ready, no more than are shown together.
    pub(super) fn ready(&mut self) -> Vec<Ready> {
        // With nothing to decode there is nothing to do but to wait for a page.
        let idle = self.schedule.is_empty() && self.prepared.is_empty();
        self.lap(Stage::Intake);
        if idle {
            // Pages whose answers are under way will not come out of the preparers.
            self.collect(true);
            self.lap(Stage::Answers);
            if self.pages.is_empty() {
                return Vec::new();
            }
        }
        let first = self.preparers.next(idle);
        if idle {
            self.lap(Stage::Waiting);
        }
        match first {
            Some(ready) => self.prepared.push_back(ready),
            None if idle => {
                self.fail_all(&RunError("the threads for page images have ended".into()));
                return Vec::new();
            }
            None => {}
        }
        while self.prepared.len() < AHEAD
            && let Some(ready) = self.preparers.next(false)
        {
            self.prepared.push_back(ready);
        }
        let together = match self.model.place {
            // Here a page takes seconds: none waits for another.
            Place::Cpu => 1,
            Place::Cuda => TOGETHER,
        };
        // Pages that begin together stay together: a page waits for others that come soon, unless
        // nothing is decoded meanwhile, and without a place it would wait anyway.
        let more = self.preparers.under_way() > 0 && !self.schedule.is_empty();
        if self.prepared.len() < together && (more || self.schedule.waiting() > 0) {
            return Vec::new();
        }
        let mut batch = Vec::new();
        while batch.len() < together
            && let Some((key, sight)) = self.prepared.pop_front()
        {
            // Its page may have been withdrawn meanwhile.
            let Some(page) = self.pages.get_mut(&key) else {
                continue;
            };
            let (views, rotation, upload) = match sight {
                Ok(Sight::Page {
                    views,
                    rotation,
                    upload,
                }) => (views, rotation, upload),
                Ok(Sight::Blank) => {
                    let seconds = page.since.elapsed().as_secs_f64();
                    let mut blank = Reading::of_blocks(Vec::new(), Rotation::None, seconds);
                    blank.reason = Some("nothing is on the page".into());
                    self.answer(key, Ok(blank));
                    continue;
                }
                Err(why) => {
                    self.again(key, None, format!("its image cannot be prepared: {why}"));
                    continue;
                }
            };
            page.rotation = rotation;
            page.tiled |= !views.tiles.is_empty();
            batch.push(Ready { key, views, upload });
        }
        batch
    }

    /// Shows the model a batch of pages and lets their sequences enter. Between two steps, not at the
    /// same time: on an H100 both together took three times as long as one after the other.
    pub(super) fn project(&mut self, batch: Vec<Ready>) {
        if batch.is_empty() {
            return;
        }
        let pages: Vec<_> = batch.iter().map(Ready::seen).collect();
        self.lap(Stage::Intake);
        let seen = self.model.rows(&pages);
        self.lap(Stage::Vision);
        match seen {
            Ok(rows) => {
                for (page, rows) in batch.into_iter().zip(rows) {
                    self.enter(page.key, &page.views, rows);
                }
                self.lap(Stage::Entering);
            }
            Err(e) if e.is_memory() && self.model.vision.shrink() => {
                tracing::warn!("memory is short, views run in smaller batches from now on: {e}");
                self.project(batch);
            }
            Err(e) if e.is_machine() => self.fail_all(&e),
            // One page must not take the others down.
            Err(e) => match <[_; 1]>::try_from(batch) {
                Ok([page]) => self.again(page.key, None, format!("the engine cannot read it: {e}")),
                Err(batch) => {
                    for page in batch {
                        self.project(vec![page]);
                    }
                }
            },
        }
    }

    fn enter(&mut self, key: Key, views: &Views, rows: Rows) {
        let Some(page) = self.pages.get_mut(&key) else {
            return;
        };
        let prompt = self.model.tokenizer.prompt(&page.attempt.prompt, views);
        let mut request = Request {
            key,
            prompt: prompt.ids.iter().map(|&id| id as u32).collect(),
            image_rows: prompt.image_rows,
            settings: page.attempt.settings,
            forced: Vec::new(),
        };
        if let Some(forced) = self.forced {
            request.settings = forced.settings;
            let vocabulary = self.model.geometry.vocabulary;
            request.forced = bench::Numbers::new(key + 1).tokens(forced.tokens, vocabulary);
        }
        page.rows = Some(rows);
        if let Err(refused) = self.schedule.enter(request) {
            self.again(key, None, refused.to_string());
        }
    }
}
