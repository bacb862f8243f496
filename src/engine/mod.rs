//! Engines: resident readers that turn page images into readings.
//!
//! [`Reader`] is the seam. A reader owns its loop: it takes tasks from one bounded queue, in
//! which pages of several documents stand together, and answers each through its own reply.
//! [`resident`] starts a reader on its own thread, loaded once and warmed.

mod blank;
pub mod deepseek;
pub mod paddle;
pub mod resident;
pub mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Receiver;

use crate::page::{ImageWish, PageChars, PageImage, Reading};

/// Who reads: stands in reports and keys the readings that the ledger keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `paddle` or `deepseek-ocr`.
    pub engine: String,
    /// SHA-256 over the model pack's files, hexadecimal.
    pub model_digest: String,
    /// SHA-256 over the settings that change what is read, hexadecimal.
    pub settings_digest: String,
    /// Where it runs, for people: `CPU (2 threads)`, `CUDA (NVIDIA H200)`.
    pub device: String,
}

/// Flag by which the sender of a task withdraws it.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Why a task has no reading.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// This page cannot be read; others can.
    #[error("{0}")]
    Page(String),
    /// The machine is at fault (device lost, memory): no document is to be blamed.
    #[error("{0}")]
    Machine(String),
    /// Withdrawn before it was read.
    #[error("cancelled")]
    Cancelled,
}

/// One page on its way through a reader.
pub struct ReadTask {
    pub image: Arc<PageImage>,
    /// The PDF's own characters of the page, when the reader may use them.
    pub chars: Option<PageChars>,
    pub cancel: Cancel,
    /// Takes the answer; called exactly once.
    pub reply: Box<dyn FnOnce(Result<Reading, ReadError>) + Send>,
}

/// What turns page images into readings.
pub trait Reader {
    fn identity(&self) -> &Identity;

    /// The page image that this reader wants.
    fn wish(&self) -> ImageWish;

    /// Whether it can use the characters that a PDF itself holds.
    fn wants_chars(&self) -> bool {
        false
    }

    /// Pages that it works on together.
    fn capacity(&self) -> usize {
        1
    }

    /// Reads one made-up page, so that the first real one finds everything loaded.
    fn warm(&mut self) -> Result<(), ReadError>;

    /// Answers tasks until the channel closes. May hold several at once.
    fn serve(&mut self, tasks: &Receiver<ReadTask>);
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("{what}: {why}")]
    Config {
        what: String,
        why: String,
        hint: String,
    },
    #[error("{what}: {why}")]
    Machine { what: String, why: String },
}

impl From<crate::pack::PackError> for EngineError {
    fn from(e: crate::pack::PackError) -> Self {
        Self::Config {
            what: e.what,
            why: e.why,
            hint: e.hint,
        }
    }
}
