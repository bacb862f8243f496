//! What came of jobs: how many there are of each kind, and the newest that are finished.
//!
//! Reads only; the order of finishing is given by `finish`.

use std::path::PathBuf;

use super::{Ledger, Result, path_of};
use crate::job::State;

/// Numbers of the whole ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub open: u64,
    pub done: u64,
    pub failed: u64,
}

/// A finished job in the order of finishing.
#[derive(Clone, Debug)]
pub struct Finished {
    /// From 1.
    pub index: u64,
    pub source: PathBuf,
    /// JSON as given to [`Ledger::finish`].
    pub summary: String,
}

impl Ledger {
    /// From the counters: the cost does not grow with the ledger.
    pub fn counts(&self) -> Result<Counts> {
        self.with(|c| {
            let mut counts = Counts::default();
            let mut states = c.prepare("SELECT state, jobs FROM counters")?;
            let mut rows = states.query([])?;
            while let Some(row) = rows.next()? {
                let jobs = row.get::<_, i64>(1)? as u64;
                *match State::parse(&row.get::<_, String>(0)?) {
                    State::Waiting | State::Publishing | State::Failing => &mut counts.open,
                    State::Done => &mut counts.done,
                    State::Failed => &mut counts.failed,
                } += jobs;
            }
            Ok(counts)
        })
    }

    /// The newest `limit` finished jobs, oldest of them first.
    pub fn finished(&self, limit: usize) -> Result<Vec<Finished>> {
        self.with(|c| {
            let mut all: Vec<Finished> = c
                .prepare("SELECT finish, source, summary FROM jobs WHERE finish IS NOT NULL ORDER BY finish DESC LIMIT ?1")?
                .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |r| {
                    Ok(Finished {
                        index: r.get::<_, i64>(0)? as u64,
                        source: path_of(r.get_ref(1)?.as_blob()?),
                        summary: r.get::<_, Option<String>>(2)?.unwrap_or_default(),
                    })
                })?
                .collect::<rusqlite::Result<_>>()?;
            all.reverse();
            Ok(all)
        })
    }
}
