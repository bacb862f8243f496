//! The thread on which what sequences said becomes readings, so that no step waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::reading;
use super::schedule::{self, End, Key};
use super::tokens::Tokenizer;
use crate::engine::EngineError;
use crate::engine::paddle::pixels::to_displayed;
use crate::page::{PageBox, PageStatus, Reading, Rotation, write_grounded};

/// What a sequence said.
pub struct Said {
    pub key: Key,
    /// With the end-of-sentence token where that ended it.
    pub output: Vec<u32>,
    pub end: End,
    /// How the page was turned before the model saw it.
    pub rotation: Rotation,
    /// Seconds that the page has taken so far.
    pub seconds: f64,
}

/// A page's reading, or why there is none.
pub type Understood = (Key, Result<Reading, String>);

/// The thread; it ends when this is dropped. Whoever hands answers over bounds their number.
pub struct Understanding {
    said: Option<Sender<Said>>,
    done: Receiver<Understood>,
    /// Handed over and not taken back.
    under_way: usize,
    thread: Option<JoinHandle<()>>,
}

impl Understanding {
    pub fn start(tokenizer: Tokenizer) -> Result<Self, EngineError> {
        Self::running(move |said| understand(&tokenizer, said))
    }

    fn running(
        understand: impl Fn(&Said) -> Reading + Send + 'static,
    ) -> Result<Self, EngineError> {
        let (said, queue) = unbounded::<Said>();
        let (finished, done) = unbounded();
        let thread = std::thread::Builder::new()
            .name("answers".into())
            .spawn(move || {
                for said in queue {
                    // A panic costs this attempt alone; the panic hook has logged it.
                    let reading = catch_unwind(AssertUnwindSafe(|| understand(&said)));
                    let reading = reading.map_err(|_| {
                        "its answer cannot be understood; the log has the details".into()
                    });
                    if finished.send((said.key, reading)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|e| EngineError::Machine {
                what: "a thread for answers".into(),
                why: e.to_string(),
            })?;
        Ok(Self {
            said: Some(said),
            done,
            under_way: 0,
            thread: Some(thread),
        })
    }

    /// Hands over what a sequence said; false when the thread has gone.
    pub fn order(&mut self, said: Said) -> bool {
        let sent = self.said.as_ref().is_some_and(|to| to.send(said).is_ok());
        self.under_way += usize::from(sent);
        sent
    }

    /// The next reading, in the order of [`Self::order`]; waits for one if `wait` and one is under
    /// way.
    pub fn next(&mut self, wait: bool) -> Option<Understood> {
        if self.under_way == 0 {
            return None;
        }
        let next = if wait {
            self.done.recv().ok()
        } else {
            self.done.try_recv().ok()
        };
        match &next {
            Some(_) => self.under_way -= 1,
            // The thread has gone.
            None if wait => self.under_way = 0,
            None => {}
        }
        next
    }
}

impl Drop for Understanding {
    fn drop(&mut self) {
        self.said = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The reading of an answer, with its status and what is wrong with it.
fn understand(tokenizer: &Tokenizer, said: &Said) -> Reading {
    let output = &said.output;
    let (kept, status, reason) = match said.end {
        // The end-of-sentence token is no text.
        End::Complete => (&output[..], PageStatus::Ok, None),
        End::Truncated => {
            let why = format!("the model ran out of tokens after {}", output.len());
            (&output[..], PageStatus::Truncated, Some(why))
        }
        End::Looped(found) => {
            let how = match found.period {
                Some(period) => format!("the same {period} tokens again and again"),
                None => "hardly anything new".into(),
            };
            let why = format!(
                "the model went in circles after {} tokens: {how}",
                found.keep
            );
            (&output[..found.keep], PageStatus::Looped, Some(why))
        }
        End::NoRoom { capacity } => {
            let why = format!(
                "the page needs more than the whole cache of {capacity} tokens; raise {}",
                schedule::CACHE_SETTINGS
            );
            (&output[..], PageStatus::Truncated, Some(why))
        }
    };
    let mut reading = reading::reading(
        &tokenizer.text(kept),
        status,
        reason,
        said.seconds,
        output.len() as u32,
    );
    turn_back(&mut reading, said.rotation);
    reading
}

/// Brings boxes from the upright page to the displayed one.
fn turn_back(reading: &mut Reading, rotation: Rotation) {
    if rotation == Rotation::None {
        return;
    }
    for at in reading.blocks.iter_mut().flat_map(|b| &mut b.boxes) {
        let [x1, y1, x2, y2] = to_displayed(at.fractions(), rotation);
        *at = PageBox::from_fractions(x1, y1, x2, y2);
    }
    reading.rotation = rotation;
    reading.grounded = write_grounded(&reading.blocks);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::deepseek::fixtures::READER;
    use crate::engine::deepseek::guard::Loop;
    use crate::engine::deepseek::tokens::tests::tokenizer;

    fn said(key: Key, output: &[u32], end: End) -> Said {
        Said {
            key,
            output: output.to_vec(),
            end,
            rotation: Rotation::None,
            seconds: 1.5,
        }
    }

    #[test]
    fn answers_come_back_in_order_and_a_panic_costs_one() {
        let mut thread = Understanding::running(|said| {
            assert_ne!(said.key, 8);
            Reading::failed(said.key.to_string())
        })
        .unwrap();
        assert_eq!(thread.next(true), None, "nothing is under way");
        for key in [7, 8, 9] {
            assert!(thread.order(said(key, &[], End::Complete)));
        }
        let mut found = Vec::new();
        while let Some((key, reading)) = thread.next(true) {
            found.push((key, reading.map(|r| r.reason)));
        }
        assert_eq!(found[0], (7, Ok(Some("7".into()))));
        assert_eq!(found[1].0, 8);
        assert!(found[1].1.as_ref().unwrap_err().contains("the log"));
        assert_eq!(found[2], (9, Ok(Some("9".into()))));
        assert_eq!(thread.next(false), None);
    }

    #[test]
    fn the_end_of_a_sequence_tells_what_is_kept_and_what_was_wrong() {
        let tokenizer = tokenizer(READER);
        let text = "<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\nwords";
        let mut ids = tokenizer
            .inner
            .encode(text, false)
            .unwrap()
            .get_ids()
            .to_vec();
        let read = |ids: &[u32], end| understand(&tokenizer, &said(0, ids, end));
        let count = ids.len();
        let cut = read(&ids, End::Truncated);
        assert_eq!(cut.status, PageStatus::Truncated);
        assert!(cut.reason.unwrap().contains(&format!("after {count}")));
        let room = read(&ids, End::NoRoom { capacity: 512 });
        assert_eq!(room.status, PageStatus::Truncated);
        assert!(room.reason.unwrap().contains("512 tokens"));
        ids.push(1);
        let whole = read(&ids, End::Complete);
        assert_eq!((whole.status, whole.reason), (PageStatus::Ok, None));
        assert_eq!(whole.grounded, text);
        assert_eq!(whole.tokens, Some(count as u32 + 1));
        let found = Loop {
            keep: count - 1,
            period: Some(3),
        };
        ids.extend(&ids.clone());
        let looped = read(&ids, End::Looped(found));
        assert_eq!(looped.status, PageStatus::Looped);
        assert!(looped.grounded.len() < text.len() && text.starts_with(&looped.grounded));
        // A page that lies on its head.
        let turned = understand(
            &tokenizer,
            &Said {
                rotation: Rotation::Half,
                ..said(0, &ids[..count], End::Complete)
            },
        );
        assert_ne!(turned.blocks[0].boxes, whole.blocks[0].boxes);
        assert!(turned.grounded.contains("words"));
    }
}
