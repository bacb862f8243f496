//! What came of jobs: how many there are of each kind, and the newest that are finished.
//!
//! Reads only; the order of finishing is given by `finish`.

use std::path::PathBuf;

use super::{Ledger, Result, path_of};

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
    pub fn counts(&self) -> Result<Counts> {
        self.with(|c| {
            let n = |sql: &str| {
                c.query_row(sql, [], |r| r.get::<_, i64>(0))
                    .map(|v| v as u64)
            };
            Ok(Counts {
                open: n("SELECT COUNT(*) FROM jobs WHERE state NOT IN ('done','failed')")?,
                done: n("SELECT COUNT(*) FROM jobs WHERE state='done'")?,
                failed: n("SELECT COUNT(*) FROM jobs WHERE state='failed'")?,
            })
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
