//! What the whole ledger remembers: words of the run, and the runs of `process` with the folder
//! that their sources are named below. Outputs outlive runs: their names stay claimed.

use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, params};

use super::names::give_name_back;
use super::{Ledger, Result, blob};
use crate::job::{Stamp, State};

impl Ledger {
    /// A remembered word, written at its first asking.
    pub fn meta_or(&self, key: &str, value: &str) -> Result<String> {
        self.with(|c| {
            c.execute(
                "INSERT OR IGNORE INTO meta VALUES (?1, ?2)",
                params![key, value],
            )?;
            c.query_row("SELECT value FROM meta WHERE key = ?1", [key], |r| r.get(0))
        })
    }

    /// Begins a run of its own over the files below `root`; `asked` gives the stamps of those to be
    /// read. Outputs belong to whole paths from now on: files of one name below other folders come
    /// in other runs. Finished jobs are forgotten, a run counts its own, and so is what an
    /// interrupted run left that is not to be read, or not from this file; the names of outputs
    /// are kept.
    pub fn begin_run(&mut self, root: &Path, asked: &dyn Fn(&Path) -> Option<Stamp>) -> Result<()> {
        let open = self.open_jobs()?;
        self.write(|c| {
            let tx = c.transaction()?;
            let before: Option<Vec<u8>> = tx
                .query_row("SELECT value FROM meta WHERE key='root'", [], |r| r.get(0))
                .optional()?;
            tx.execute("DELETE FROM jobs WHERE state IN ('done','failed')", [])?;
            for job in open {
                let same = before.as_deref() == Some(blob(root))
                    && asked(&job.source)
                        .is_some_and(|now| job.state == State::Waiting || now == job.stamp);
                if !same {
                    give_name_back(&tx, job.id)?;
                    tx.execute("DELETE FROM jobs WHERE id=?1", [job.id])?;
                }
            }
            tx.execute(
                "INSERT OR REPLACE INTO meta VALUES ('root', ?1)",
                [blob(root)],
            )?;
            tx.commit()
        })?;
        self.root = Some(root.to_path_buf());
        Ok(())
    }

    /// Whom an output of a source belongs to.
    pub(super) fn owner(&self, source: &Path) -> PathBuf {
        self.root
            .as_ref()
            .map_or_else(|| source.to_path_buf(), |root| root.join(source))
    }
}
