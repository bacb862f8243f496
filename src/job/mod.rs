//! Jobs: arrivals on their way, kept in a ledger (SQLite) that outlives crashes.

mod ledger;

pub use ledger::{Counts, Finished, Ledger, LedgerError};

use std::path::PathBuf;

/// Where a job stands. Stored by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Known, not begun (or begun by a process that is gone).
    Waiting,
    /// The output is staged whole; names are chosen; publishing and filing are under way.
    Publishing,
    /// The reason is known; the original is on its way to `failed/`.
    Failing,
    Done,
    Failed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Publishing => "publishing",
            Self::Failing => "failing",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    pub(crate) fn parse(name: &str) -> Self {
        match name {
            "publishing" => Self::Publishing,
            "failing" => Self::Failing,
            "done" => Self::Done,
            "failed" => Self::Failed,
            _ => Self::Waiting,
        }
    }
}

/// What a file is known by while it waits: the same three values mean the same arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub size: u64,
    pub mtime_ns: i64,
    pub inode: u64,
}

impl Stamp {
    /// Of a file as it is now; symbolic links are not followed.
    pub fn of(path: &std::path::Path) -> std::io::Result<Self> {
        Ok(Self::of_metadata(&std::fs::symlink_metadata(path)?))
    }

    pub fn of_metadata(meta: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            size: meta.size(),
            mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
            inode: meta.ino(),
        }
    }
}

/// One arrival on its way.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: i64,
    /// Path relative to the inbox.
    pub source: PathBuf,
    pub stamp: Stamp,
    pub state: State,
    pub attempts: u32,
    /// Deaths of the document's child that nobody ordered.
    pub child_deaths: u32,
    /// Path relative to the output folder, once chosen.
    pub output: Option<PathBuf>,
    /// Whether `output` holds an earlier output of the same content, to be exchanged.
    pub replaces: bool,
    pub digest: Option<String>,
    pub reason: Option<String>,
    /// Number that the original carries in `done/` (1: its own name).
    pub number: u32,
    /// JSON of what will be told about the job when it ends.
    pub summary: Option<String>,
}
