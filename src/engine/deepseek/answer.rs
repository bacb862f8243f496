//! From what a sequence said to the answer of its page: understood (on a thread of its own), tried
//! again on the next rung of the ladder, or handed to those who read without the model. Whatever an
//! attempt gave is kept until the page is answered, so that a later one that fails takes nothing away.

use super::fallback::Stuck;
use super::schedule::{Finished, Key};
use super::understanding::{Said, Understood};
use super::{DeepSeek, ladder};
use crate::engine::ReadError;
use crate::page::{Reading, Tried};

/// What is noted of an attempt that gave no text although it ended well.
pub(super) const SAID_NOTHING: &str = "the model said nothing";

impl DeepSeek {
    /// Answers a page, which leaves.
    pub(super) fn answer(&mut self, key: Key, answer: Result<Reading, ReadError>) {
        self.schedule.cancel(key);
        if let Some(page) = self.pages.remove(&key) {
            self.spent.page();
            (page.task.reply)(answer);
        }
    }

    /// Hands on what a sequence said; its page waits for the reading.
    pub(super) fn settle(&mut self, finished: Finished) {
        let Finished {
            key, output, end, ..
        } = finished;
        let Some(page) = self.pages.get(&key) else {
            return;
        };
        self.spent.sequence(output.len());
        let said = Said {
            key,
            output,
            end,
            rotation: page.rotation,
            seconds: page.since.elapsed().as_secs_f64(),
        };
        if !self.understanding.order(said) {
            let why = "the thread for answers has ended".into();
            self.answer(key, Err(ReadError::Machine(why)));
        }
    }

    /// Takes the readings that are there; with `all` waits for those that are under way.
    pub(super) fn collect(&mut self, all: bool) {
        while let Some(understood) = self.understanding.next(all) {
            self.take(understood);
        }
    }

    /// Takes a reading: its page is answered, or tried again. The page may have been withdrawn
    /// meanwhile.
    fn take(&mut self, (key, reading): Understood) {
        let reading = match reading {
            Ok(reading) => reading,
            Err(why) => return self.again(key, None, why),
        };
        let wrong = match (&reading.reason, reading.blocks.is_empty()) {
            // Work for a measurement is what it is.
            _ if self.forced.is_some() => return self.done(key, reading),
            (Some(why), _) => why.clone(),
            (None, true) => SAID_NOTHING.into(),
            (None, false) => return self.done(key, reading),
        };
        self.again(key, Some(reading), wrong);
    }

    /// Answers a page with a reading that needs no further attempt.
    fn done(&mut self, key: Key, mut reading: Reading) {
        if let Some(page) = self.pages.get_mut(&key)
            && !page.tried.is_empty()
        {
            reading.tried = std::mem::take(&mut page.tried);
            reading.tried.push(Tried {
                with: ladder::words(&page.attempt),
                outcome: "read".into(),
            });
        }
        self.answer(key, Ok(reading));
    }

    /// Tries a page again, on the next rung of the ladder; `wrong` says what was wrong with the last
    /// attempt, `reading` is what it gave all the same.
    pub(super) fn again(&mut self, key: Key, reading: Option<Reading>, wrong: String) {
        self.schedule.cancel(key);
        let Some(page) = self.pages.get_mut(&key) else {
            return;
        };
        page.tried.push(Tried {
            with: ladder::words(&page.attempt),
            outcome: wrong.clone(),
        });
        let size = |r: &Reading| r.blocks.iter().map(|b| b.content.len()).sum::<usize>();
        // The first attempts give boxes, and under one limit of tokens the plain prompt gives a few
        // words more: only clearly more is better.
        if let Some(reading) = reading.filter(|r| !r.blocks.is_empty())
            && page
                .best
                .as_ref()
                .is_none_or(|best| size(best) * 5 / 4 < size(&reading))
        {
            page.best = Some(reading);
        }
        page.rows = None;
        match ladder::next(&self.first, &page.attempt, &mut page.rung, page.tiled) {
            Some(next) => {
                page.attempt = next;
                self.order(key);
            }
            None => {
                if let Some(page) = self.pages.remove(&key) {
                    self.spent.page();
                    // What was wrong at first is the page's own; later attempts may be refused.
                    let why = page.tried.first().map_or(wrong, |t| t.outcome.clone());
                    self.fallback.take(Stuck {
                        seconds: page.since.elapsed().as_secs_f64(),
                        task: page.task,
                        tried: page.tried,
                        best: page.best,
                        why,
                    });
                }
            }
        }
    }
}
