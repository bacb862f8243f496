//! A job's way through the ledger: admitted, begun, decided, finished; or withdrawn.
//!
//! Each step is one commit. What a step says about the file is about the file that was read: a
//! file that takes its name meanwhile renews the row only while the job waits, and `decide` puts
//! the stamp back. No step looks at the disk.

use std::path::Path;

use rusqlite::{OptionalExtension, Row, params};

use super::names::{claim, give_name_back};
use super::{Ledger, Result, blob, path_of};
use crate::job::{Job, Stamp, State};

const COLUMNS: &str = "id, source, size, mtime, inode, state, attempts, child_deaths, output, replaces, digest, reason, number, summary";

fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        id: row.get(0)?,
        source: path_of(row.get_ref(1)?.as_blob()?),
        stamp: Stamp {
            size: row.get::<_, i64>(2)? as u64,
            mtime_ns: row.get(3)?,
            inode: row.get::<_, i64>(4)? as u64,
        },
        state: State::parse(&row.get::<_, String>(5)?),
        attempts: row.get(6)?,
        child_deaths: row.get(7)?,
        output: row.get_ref(8)?.as_blob_or_null()?.map(path_of),
        replaces: row.get(9)?,
        digest: row.get(10)?,
        reason: row.get(11)?,
        number: row.get(12)?,
        summary: row.get(13)?,
    })
}

/// The next place in the order of finishing; the condition lets the index answer.
pub(super) const NEXT_FINISH: &str =
    "SELECT IFNULL(MAX(finish),0)+1 FROM jobs WHERE finish IS NOT NULL";
/// An open job of the content of a reading.
pub(super) const TWIN: &str =
    "SELECT 1 FROM jobs WHERE jobs.digest=readings.digest AND state NOT IN ('done','failed')";
/// Jobs not finished, oldest first.
pub(super) const OPEN: &str = "FROM jobs WHERE state NOT IN ('done','failed') ORDER BY id";

impl Ledger {
    /// Adds an arrival unless an open job has the same source; then its stamp is renewed while it waits.
    /// Returns true when the job is new.
    pub fn admit(&self, source: &Path, stamp: Stamp) -> Result<bool> {
        let open = self.with(|c| {
            c.query_row(
                "SELECT id, size, mtime, inode FROM jobs WHERE source = ?1 AND state NOT IN ('done','failed')",
                [blob(source)],
                |r| Ok((r.get::<_, i64>(0)?, Stamp { size: r.get::<_, i64>(1)? as u64, mtime_ns: r.get(2)?, inode: r.get::<_, i64>(3)? as u64 })),
            )
            .optional()
        })?;
        match open {
            Some((_, known)) if known == stamp => Ok(false),
            Some((id, _)) => self.write(|c| {
                c.execute(
                    "UPDATE jobs SET size=?2, mtime=?3, inode=?4, digest=NULL WHERE id=?1 AND state='waiting'",
                    params![id, stamp.size as i64, stamp.mtime_ns, stamp.inode as i64],
                )?;
                Ok(false)
            }),
            None => self.write(|c| {
                c.execute(
                    "INSERT INTO jobs (source, size, mtime, inode, state) VALUES (?1,?2,?3,?4,'waiting')",
                    params![blob(source), stamp.size as i64, stamp.mtime_ns, stamp.inode as i64],
                )?;
                Ok(true)
            }),
        }
    }

    /// Jobs not finished, oldest first.
    pub fn open_jobs(&self) -> Result<Vec<Job>> {
        self.with(|c| {
            c.prepare(&format!("SELECT {COLUMNS} {OPEN}"))?
                .query_map([], job)?
                .collect()
        })
    }

    /// The oldest jobs that are not finished.
    pub fn oldest(&self, limit: usize) -> Result<Vec<Job>> {
        self.with(|c| {
            c.prepare(&format!("SELECT {COLUMNS} {OPEN} LIMIT ?1"))?
                .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], job)?
                .collect()
        })
    }

    pub fn job(&self, id: i64) -> Result<Option<Job>> {
        self.with(|c| {
            c.query_row(
                &format!("SELECT {COLUMNS} FROM jobs WHERE id=?1"),
                [id],
                job,
            )
            .optional()
        })
    }

    /// Forgets a job whose file went away before it was read.
    pub fn withdraw(&self, id: i64) -> Result<()> {
        self.begun().remove(&id);
        self.write(|c| {
            let tx = c.transaction()?;
            give_name_back(&tx, id)?;
            tx.execute("DELETE FROM jobs WHERE id=?1 AND state='waiting'", [id])?;
            tx.commit()
        })
    }

    /// Begins a job: its digest is known, an attempt is counted, and its output's name is claimed.
    /// `taken` says whether a path (relative to the output folder) exists on disk.
    /// The rules of naming stand in the design: the same source and content replaces its own
    /// output; the same name with other content is numbered; another source of the same stem
    /// keeps its extension.
    pub fn begin(
        &self,
        id: i64,
        digest: &str,
        replace_source: bool,
        taken: &dyn Fn(&Path) -> bool,
    ) -> Result<Job> {
        let job = self.write(|c| {
            let tx = c.transaction()?;
            let mut job = tx.query_row(&format!("SELECT {COLUMNS} FROM jobs WHERE id=?1"), [id], job)?;
            let same = job.digest.as_deref() == Some(digest);
            if job.output.is_none() || !same {
                if let Some(old) = job.output.take().filter(|_| !job.replaces) {
                    tx.execute("DELETE FROM outputs WHERE path=?1", [blob(&old)])?;
                }
                let owner = self.owner(&job.source);
                let claim = claim(&tx, &job.source, &owner, digest, replace_source, taken)?;
                tx.execute(
                    "INSERT OR REPLACE INTO outputs VALUES (?1,?2,?3,?4)",
                    params![blob(&claim.path), blob(&owner), digest, claim.number],
                )?;
                job.output = Some(claim.path);
                job.replaces = claim.replaces;
                job.number = claim.number;
            }
            job.digest = Some(digest.to_owned());
            job.attempts += 1;
            tx.execute(
                "UPDATE jobs SET digest=?2, attempts=?3, output=?4, replaces=?5, number=?6 WHERE id=?1",
                params![id, digest, job.attempts, job.output.as_deref().map(blob), job.replaces, job.number],
            )?;
            tx.commit()?;
            Ok(job)
        })?;
        self.begun().insert(id, (job.stamp, digest.to_owned()));
        Ok(job)
    }

    /// Gives a job's output another name: the chosen one turned out to be somebody else's.
    /// `Ok(false)`: the ledger knows an output of that name.
    pub fn rename_output(&self, id: i64, path: &Path) -> Result<bool> {
        self.write(|c| {
            let tx = c.transaction()?;
            let source = tx.query_row("SELECT source FROM jobs WHERE id=?1", [id], |r| {
                Ok(path_of(r.get_ref(0)?.as_blob()?))
            })?;
            let new = tx.execute(
                "INSERT OR IGNORE INTO outputs SELECT ?2, ?3, IFNULL(digest,''), number FROM jobs WHERE id=?1",
                params![id, blob(path), blob(&self.owner(&source))],
            )?;
            if new == 0 {
                return Ok(false);
            }
            tx.execute("DELETE FROM outputs WHERE path=(SELECT output FROM jobs WHERE id=?1)", [id])?;
            tx.execute("UPDATE jobs SET output=?2, replaces=0 WHERE id=?1", params![id, blob(path)])?;
            tx.commit()?;
            Ok(true)
        })
    }

    /// Takes back the counting of an attempt that was put off before it read anything.
    pub fn put_off(&self, id: i64) -> Result<()> {
        self.write(|c| {
            c.execute("UPDATE jobs SET attempts=attempts-1 WHERE id=?1", [id])
                .map(drop)
        })
    }

    /// Counts a death of the job's child; returns how many there were.
    pub fn child_died(&self, id: i64) -> Result<u32> {
        self.write(|c| {
            c.execute(
                "UPDATE jobs SET child_deaths = child_deaths + 1 WHERE id=?1",
                [id],
            )?;
            c.query_row("SELECT child_deaths FROM jobs WHERE id=?1", [id], |r| {
                r.get(0)
            })
        })
    }

    /// Moves a job to `publishing` or `failing`, with what will be told at its end. The stamp of
    /// the file that was read stands again: a file that took its name meanwhile is another
    /// arrival, and is not filed in its place.
    pub fn decide(&self, id: i64, state: State, reason: Option<&str>, summary: &str) -> Result<()> {
        let (stamp, digest) = self.begun().remove(&id).unzip();
        self.write(|c| {
            c.execute(
                "UPDATE jobs SET state=?2, reason=?3, summary=?4, size=IFNULL(?5, size),
                 mtime=IFNULL(?6, mtime), inode=IFNULL(?7, inode), digest=IFNULL(?8, digest) WHERE id=?1",
                params![
                    id,
                    state.name(),
                    reason,
                    summary,
                    stamp.map(|s| s.size as i64),
                    stamp.map(|s| s.mtime_ns),
                    stamp.map(|s| s.inode as i64),
                    digest
                ],
            )
            .map(drop)
        })
    }

    /// Takes a decision back: the job waits to be read again. Its readings are kept.
    pub fn undecide(&self, id: i64) -> Result<()> {
        self.write(|c| {
            c.execute(
                "UPDATE jobs SET state='waiting', reason=NULL, summary=NULL WHERE id=?1",
                [id],
            )
            .map(drop)
        })
    }

    /// Ends a job: its state, what is told about it, its place in the order of finishing; its
    /// stored readings go, unless another open job has the same content.
    pub fn finish(&self, id: i64, state: State, summary: &str) -> Result<()> {
        self.write(|c| {
            let tx = c.transaction()?;
            tx.execute(
                &format!("UPDATE jobs SET state=?2, summary=?3, finish=({NEXT_FINISH}) WHERE id=?1"),
                params![id, state.name(), summary],
            )?;
            if state == State::Failed {
                tx.execute("DELETE FROM outputs WHERE path=(SELECT output FROM jobs WHERE id=?1 AND replaces=0)", [id])?;
            }
            // A twin in work counts on them.
            tx.execute(
                &format!("DELETE FROM readings WHERE digest=(SELECT digest FROM jobs WHERE id=?1) AND NOT EXISTS ({TWIN})"),
                [id],
            )?;
            tx.commit()
        })
    }
}
