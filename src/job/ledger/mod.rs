//! The ledger: one SQLite file, WAL, synchronous FULL. Every commit is a durable step.
//!
//! `schema` makes the tables, `jobs` takes a job from step to step, `names` gives outputs their
//! names, `readings` keeps pages, `history` counts and lists, `runs` begins one. What is not
//! committed never happened; nothing here touches the users' files.

mod history;
mod jobs;
mod names;
mod readings;
mod runs;
mod schema;

pub use history::{Counts, Finished};

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::Stamp;
use crate::durable::crash_point;

#[derive(Debug, thiserror::Error)]
#[error("the ledger {}: {source}", path.display())]
pub struct LedgerError {
    path: PathBuf,
    #[source]
    source: rusqlite::Error,
}

type Result<T> = std::result::Result<T, LedgerError>;

pub struct Ledger {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// What the jobs in work are read from: their rows may be renewed meanwhile.
    begun: Mutex<HashMap<i64, (Stamp, String)>>,
    /// Where the owners of outputs are known by their whole paths: the folder of the sources.
    root: Option<PathBuf>,
}

fn blob(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

impl Ledger {
    /// Opens or creates the ledger file; its folder must exist.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = (|| {
            let mut c = Connection::open(path)?;
            c.busy_timeout(std::time::Duration::from_secs(10))?;
            c.pragma_update(None, "journal_mode", "WAL")?;
            c.pragma_update(None, "synchronous", "FULL")?;
            schema::prepare(&mut c)?;
            Ok(c)
        })()
        .map_err(|source| LedgerError {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            connection: Mutex::new(connection),
            begun: Mutex::default(),
            root: None,
        })
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<i64, (Stamp, String)>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        let mut connection: MutexGuard<'_, Connection> = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        work(&mut connection).map_err(|source| LedgerError {
            path: self.path.clone(),
            source,
        })
    }

    fn write<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        crash_point();
        self.with(work)
    }
}

#[cfg(test)]
mod tests;
