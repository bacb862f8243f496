//! The wiring: the only room that sees the others. One document goes through the rooms in
//! `document`; `filing` publishes and files originals, and does so again after a crash;
//! `runner` keeps documents in work; [`watch`] and [`process`] feed it.

pub mod check;
mod document;
mod filing;
pub mod process;
mod runner;
mod start;
mod verdict;
pub mod watch;

pub use filing::REASON;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Semaphore;

use crate::config::Config;
use crate::durable::FileError;
use crate::engine::EngineError;
use crate::engine::resident::Resident;
use crate::job::{Ledger, LedgerError};
use crate::observe::progress::Progress;
use crate::service::stop::Stop;

/// What a run needs from the outside.
#[derive(Clone, Debug)]
pub struct Installation {
    /// This program: document children are started from it.
    pub exe: PathBuf,
    /// pdfium.
    pub pdfium: PathBuf,
    /// ONNX Runtime's folder.
    pub lib: PathBuf,
    pub models: PathBuf,
}

/// Where documents come from and go to.
#[derive(Clone, Debug)]
struct Places {
    inbox: PathBuf,
    output: PathBuf,
    /// Where originals are filed; `None` leaves them.
    filing: Option<Filing>,
}

#[derive(Clone, Debug)]
struct Filing {
    done: PathBuf,
    failed: PathBuf,
}

/// What all documents in work share.
struct Context {
    /// The settings in force; some are renewed while documents are in work.
    settings: RwLock<Arc<Config>>,
    installation: Installation,
    places: Places,
    ledger: Ledger,
    reader: Resident,
    /// Pages on their way through the reader.
    queue: Arc<Semaphore>,
    stop: Stop,
    progress: Progress,
    /// Long documents in work.
    long: AtomicUsize,
    /// Steps made on documents since the start: the sign of life.
    beats: AtomicU64,
}

impl Context {
    /// The settings in force now: what is asked for twice may have changed.
    fn config(&self) -> Arc<Config> {
        let settings = self.settings.read();
        Arc::clone(&settings.unwrap_or_else(PoisonError::into_inner))
    }

    fn set_config(&self, config: Config) {
        let settings = self.settings.write();
        *settings.unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// A step was made: a page rendered, read, drawn on, or a file written.
    fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }
}

/// Why a command of the agent ended without doing its work.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("{what}: {why}")]
    Config {
        what: String,
        why: String,
        hint: String,
    },
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Machine(String),
}

impl From<EngineError> for AgentError {
    fn from(e: EngineError) -> Self {
        match e {
            EngineError::Config { what, why, hint } => Self::Config { what, why, hint },
            EngineError::Machine { what, why } => Self::Machine(format!("{what}: {why}")),
        }
    }
}

impl From<FileError> for AgentError {
    fn from(e: FileError) -> Self {
        Self::Machine(e.to_string())
    }
}

impl From<LedgerError> for AgentError {
    fn from(e: LedgerError) -> Self {
        Self::Machine(e.to_string())
    }
}
