//! The ledger: one SQLite file, WAL, synchronous FULL. Every commit is a durable step.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::{Job, Stamp, State};
use crate::durable::crash_point;

/// Numbers of jobs are never used again (AUTOINCREMENT): outputs are known by them.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT, source BLOB NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
  inode INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  child_deaths INTEGER NOT NULL DEFAULT 0, output BLOB, replaces INTEGER NOT NULL DEFAULT 0,
  digest TEXT, reason TEXT, number INTEGER NOT NULL DEFAULT 1, summary TEXT, finish INTEGER);
CREATE INDEX IF NOT EXISTS jobs_open ON jobs(state) WHERE state NOT IN ('done','failed');
CREATE INDEX IF NOT EXISTS jobs_source ON jobs(source);
CREATE UNIQUE INDEX IF NOT EXISTS jobs_finish ON jobs(finish) WHERE finish IS NOT NULL;
CREATE TABLE IF NOT EXISTS outputs (path BLOB PRIMARY KEY, source BLOB NOT NULL, digest TEXT NOT NULL,
  number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS readings (digest TEXT, model TEXT, settings TEXT, page INTEGER, json TEXT NOT NULL,
  PRIMARY KEY (digest, model, settings, page)) WITHOUT ROWID;
PRAGMA user_version = 2;
";

/// Version 1 used numbers of jobs again; its columns were the same. Its indexes would follow the renamed table.
const RENEW: (&str, &str) = (
    "ALTER TABLE jobs RENAME TO jobs_1;
     DROP INDEX jobs_open; DROP INDEX jobs_source; DROP INDEX jobs_finish;",
    "INSERT INTO jobs SELECT * FROM jobs_1; DROP TABLE jobs_1;",
);

#[derive(Debug, thiserror::Error)]
#[error("the ledger {}: {source}", path.display())]
pub struct LedgerError {
    path: PathBuf,
    #[source]
    source: rusqlite::Error,
}

type Result<T> = std::result::Result<T, LedgerError>;

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

/// Makes the tables, or renews those of an older version, in one step.
fn prepare(c: &mut Connection) -> rusqlite::Result<()> {
    let version = |c: &Connection| c.query_row("PRAGMA user_version", [], |r| r.get::<_, i64>(0));
    if version(c)? == 2 {
        return Ok(());
    }
    let tx = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    match version(&tx)? {
        1 => tx.execute_batch(&format!("{}{SCHEMA}{}", RENEW.0, RENEW.1))?,
        0 => tx.execute_batch(SCHEMA)?,
        _ => {}
    }
    tx.commit()
}

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

impl Ledger {
    /// Opens or creates the ledger file; its folder must exist.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = (|| {
            let mut c = Connection::open(path)?;
            c.busy_timeout(std::time::Duration::from_secs(10))?;
            c.pragma_update(None, "journal_mode", "WAL")?;
            c.pragma_update(None, "synchronous", "FULL")?;
            prepare(&mut c)?;
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
            c.prepare(&format!(
                "SELECT {COLUMNS} FROM jobs WHERE state NOT IN ('done','failed') ORDER BY id"
            ))?
            .query_map([], job)?
            .collect()
        })
    }

    /// The oldest jobs that are not finished.
    pub fn oldest(&self, limit: usize) -> Result<Vec<Job>> {
        self.with(|c| {
            c.prepare(&format!(
                "SELECT {COLUMNS} FROM jobs WHERE state NOT IN ('done','failed') ORDER BY id LIMIT ?1"
            ))?
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
    fn owner(&self, source: &Path) -> PathBuf {
        self.root
            .as_ref()
            .map_or_else(|| source.to_path_buf(), |root| root.join(source))
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
                "UPDATE jobs SET state=?2, summary=?3, finish=(SELECT IFNULL(MAX(finish),0)+1 FROM jobs) WHERE id=?1",
                params![id, state.name(), summary],
            )?;
            if state == State::Failed {
                tx.execute("DELETE FROM outputs WHERE path=(SELECT output FROM jobs WHERE id=?1 AND replaces=0)", [id])?;
            }
            // A twin in work counts on them.
            tx.execute(
                "DELETE FROM readings WHERE digest=(SELECT digest FROM jobs WHERE id=?1) AND digest NOT IN
                 (SELECT digest FROM jobs WHERE state NOT IN ('done','failed') AND digest IS NOT NULL)",
                [id],
            )?;
            tx.commit()
        })
    }

    /// Keeps a page's reading (JSON).
    pub fn keep_reading(
        &self,
        digest: &str,
        model: &str,
        settings: &str,
        page: u32,
        json: &str,
    ) -> Result<()> {
        self.write(|c| {
            c.execute(
                "INSERT OR REPLACE INTO readings VALUES (?1,?2,?3,?4,?5)",
                params![digest, model, settings, page, json],
            )
            .map(drop)
        })
    }

    /// Pages whose readings are kept, in order.
    pub fn pages_read(&self, digest: &str, model: &str, settings: &str) -> Result<Vec<u32>> {
        self.with(|c| {
            c.prepare("SELECT page FROM readings WHERE digest=?1 AND model=?2 AND settings=?3 ORDER BY page")?
                .query_map(params![digest, model, settings], |r| r.get(0))?
                .collect()
        })
    }

    /// A kept reading (JSON).
    pub fn reading(
        &self,
        digest: &str,
        model: &str,
        settings: &str,
        page: u32,
    ) -> Result<Option<String>> {
        self.with(|c| {
            c.query_row(
                "SELECT json FROM readings WHERE digest=?1 AND model=?2 AND settings=?3 AND page=?4",
                params![digest, model, settings, page],
                |r| r.get(0),
            )
            .optional()
        })
    }

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

/// The name that a waiting job claimed was never used.
fn give_name_back(c: &Connection, id: i64) -> rusqlite::Result<()> {
    c.execute(
        "DELETE FROM outputs WHERE path=(SELECT output FROM jobs WHERE id=?1 AND state='waiting' AND replaces=0)",
        [id],
    )
    .map(drop)
}

struct Claim {
    path: PathBuf,
    replaces: bool,
    number: u32,
}

fn claim(
    c: &Connection,
    source: &Path,
    owner: &Path,
    digest: &str,
    replace_source: bool,
    taken: &dyn Fn(&Path) -> bool,
) -> rusqlite::Result<Claim> {
    let folder = source.parent().unwrap_or(Path::new(""));
    let stem = source.file_stem().unwrap_or(source.as_os_str());
    let name = source.file_name().unwrap_or(source.as_os_str());
    let mut number = 0u32;
    loop {
        number += 1;
        // The stem; when another source has it, the whole name; then numbers on the one in use.
        for base in [stem, name] {
            let mut file = base.to_os_string();
            if number > 1 {
                file.push(format!("-{number}"));
            }
            let path = folder.join(file);
            let known: Option<(Vec<u8>, String)> = c
                .query_row(
                    "SELECT source, digest FROM outputs WHERE path=?1",
                    [blob(&path)],
                    |r| Ok((r.get(0)?, r.get(1)?)),
                )
                .optional()?;
            match known {
                Some((of, had)) if of == blob(owner) => {
                    if had == digest || replace_source {
                        let busy: i64 = c.query_row(
                            "SELECT COUNT(*) FROM jobs WHERE output=?1 AND state NOT IN ('done','failed')",
                            [blob(&path)],
                            |r| r.get(0),
                        )?;
                        if busy == 0 && !holds_others(c, &path)? {
                            return Ok(Claim {
                                replaces: taken(&path),
                                path,
                                number,
                            });
                        }
                    }
                    break;
                }
                Some(_) => {}
                // What the ledger does not know is somebody else's.
                None if taken(&path) => break,
                None => {
                    return Ok(Claim {
                        replaces: false,
                        path,
                        number,
                    });
                }
            }
        }
    }
}

/// Whether an output of another document lies below a path: `a/b.pdf` beside `a.pdf`.
fn holds_others(c: &Connection, path: &Path) -> rusqlite::Result<bool> {
    let with = |last: u8| [blob(path), &[last]].concat();
    c.query_row(
        "SELECT EXISTS (SELECT 1 FROM outputs WHERE path > ?1 AND path < ?2)",
        params![with(b'/'), with(b'/' + 1)],
        |r| r.get(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> (tempfile::TempDir, Ledger) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.sqlite")).unwrap();
        (dir, ledger)
    }

    fn run(ledger: &Ledger, source: &str, digest: &str) -> Job {
        ledger
            .admit(
                Path::new(source),
                Stamp {
                    size: 1,
                    mtime_ns: 2,
                    inode: 3,
                },
            )
            .unwrap();
        let open = ledger.open_jobs().unwrap();
        let job = ledger.begin(open[0].id, digest, false, &|_| false).unwrap();
        ledger.finish(job.id, State::Done, "{}").unwrap();
        job
    }

    #[test]
    fn names_follow_source_and_content() {
        let (_dir, ledger) = ledger();
        let out = |j: Job| (j.output.unwrap().to_str().unwrap().to_owned(), j.number);
        assert_eq!(out(run(&ledger, "x/a.pdf", "1")), ("x/a".into(), 1));
        assert_eq!(out(run(&ledger, "x/a.epub", "2")), ("x/a.epub".into(), 1));
        assert_eq!(
            out(run(&ledger, "x/a.pdf", "1")),
            ("x/a".into(), 1),
            "same content: its own place"
        );
        assert_eq!(
            out(run(&ledger, "x/a.pdf", "3")),
            ("x/a-2".into(), 2),
            "other content: numbered"
        );
        assert_eq!(out(run(&ledger, "a.pdf", "1")), ("a".into(), 1));
    }

    fn begin(ledger: &Ledger, source: &str, digest: &str, taken: &dyn Fn(&Path) -> bool) -> Job {
        let stamp = Stamp {
            size: 1,
            mtime_ns: 2,
            inode: 3,
        };
        ledger.admit(Path::new(source), stamp).unwrap();
        let open = ledger.open_jobs().unwrap();
        let job = open.iter().find(|j| j.source == Path::new(source)).unwrap();
        ledger.begin(job.id, digest, true, taken).unwrap()
    }

    #[test]
    fn what_the_ledger_does_not_know_is_never_replaced() {
        let (_dir, ledger) = ledger();
        let out = |j: &Job| (j.output.clone().unwrap(), j.replaces);
        // Somebody's folder `photos` stands beside photos.pdf.
        let job = begin(&ledger, "photos.pdf", "1", &|p| p == Path::new("photos"));
        assert_eq!(out(&job), ("photos-2".into(), false));
        ledger.finish(job.id, State::Done, "{}").unwrap();
        let job = begin(&ledger, "photos.pdf", "2", &|_| true);
        assert_eq!(out(&job), ("photos-2".into(), true), "its own is replaced");
    }

    #[test]
    fn an_output_that_holds_another_is_not_replaced() {
        let (_dir, ledger) = ledger();
        for source in ["a.pdf", "a/b.pdf"] {
            let job = begin(&ledger, source, source, &|_| false);
            ledger.finish(job.id, State::Done, "{}").unwrap();
        }
        let job = begin(&ledger, "a/b.pdf", "a/b.pdf", &|_| true);
        assert!(job.replaces);
        let on_disk = |p: &Path| p == Path::new("a") || p == Path::new("a/b");
        let job = begin(&ledger, "a.pdf", "a.pdf", &on_disk);
        assert_eq!(job.output.as_deref(), Some(Path::new("a-2")));
        assert!(!job.replaces);
    }

    #[test]
    fn a_new_name_takes_nobodys_place() {
        let (_dir, ledger) = ledger();
        let other = begin(&ledger, "a-2.pdf", "2", &|_| false);
        let job = begin(&ledger, "a.pdf", "1", &|_| false);
        assert_eq!(other.output.as_deref(), Some(Path::new("a-2")));
        assert!(!ledger.rename_output(job.id, Path::new("a-2")).unwrap());
        assert!(ledger.rename_output(job.id, Path::new("a-3")).unwrap());
        ledger.finish(job.id, State::Done, "{}").unwrap();
        let again = begin(&ledger, "a.pdf", "1", &|_| true);
        let out = (again.output.as_deref(), again.replaces);
        assert_eq!(out, (Some(Path::new("a-3")), true));
    }

    #[test]
    fn readings_stay_while_a_twin_is_open() {
        let (_dir, ledger) = ledger();
        let first = begin(&ledger, "a.pdf", "d", &|_| false);
        let second = begin(&ledger, "b.pdf", "d", &|_| false);
        ledger.keep_reading("d", "m", "s", 0, "{}").unwrap();
        ledger.finish(first.id, State::Done, "{}").unwrap();
        assert_eq!(ledger.pages_read("d", "m", "s").unwrap(), [0]);
        ledger.finish(second.id, State::Done, "{}").unwrap();
        assert!(ledger.pages_read("d", "m", "s").unwrap().is_empty());
    }

    #[test]
    fn a_job_whose_output_is_lost_is_read_again() {
        let (_dir, ledger) = ledger();
        let id = begin(&ledger, "a.pdf", "d", &|_| false).id;
        ledger.keep_reading("d", "m", "s", 0, "{}").unwrap();
        ledger.decide(id, State::Publishing, None, "{}").unwrap();
        ledger.undecide(id).unwrap();
        let open = ledger.open_jobs().unwrap();
        assert_eq!((open[0].id, open[0].state), (id, State::Waiting));
        assert_eq!(ledger.pages_read("d", "m", "s").unwrap(), [0]);
    }

    #[test]
    fn a_file_that_came_while_another_was_read_is_not_taken_for_it() {
        let (_dir, ledger) = ledger();
        let read = begin(&ledger, "a.pdf", "d", &|_| false);
        let newer = Stamp {
            size: 9,
            mtime_ns: 9,
            inode: 9,
        };
        assert!(!ledger.admit(Path::new("a.pdf"), newer).unwrap());
        ledger
            .decide(read.id, State::Publishing, None, "{}")
            .unwrap();
        let job = ledger.job(read.id).unwrap().unwrap();
        assert_eq!(job.stamp, read.stamp);
        assert_eq!(job.digest.as_deref(), Some("d"));
    }

    #[test]
    fn numbers_of_jobs_are_never_used_again() {
        let (_dir, mut ledger) = ledger();
        let first = run(&ledger, "a.pdf", "1").id;
        ledger.begin_run(Path::new("/d"), &|_| None).unwrap();
        assert!(run(&ledger, "a.pdf", "2").id > first);
    }

    #[test]
    fn a_ledger_of_the_first_version_is_renewed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let old = Connection::open(&path).unwrap();
        let schema = SCHEMA
            .replace(" AUTOINCREMENT", "")
            .replace("user_version = 2", "user_version = 1");
        old.execute_batch(&schema).unwrap();
        old.execute_batch(
            "INSERT INTO jobs (id, source, size, mtime, inode, state) VALUES (7, x'61', 1, 2, 3, 'waiting');
             INSERT INTO outputs VALUES (x'62', x'63', 'd', 1);",
        )
        .unwrap();
        drop(old);
        for _ in 0..2 {
            let ledger = Ledger::open(&path).unwrap();
            let job = ledger.job(7).unwrap().unwrap();
            assert_eq!((job.source, job.stamp.inode), ("a".into(), 3));
        }
        let ledger = Ledger::open(&path).unwrap();
        ledger.withdraw(7).unwrap();
        assert!(run(&ledger, "b.pdf", "1").id > 7);
    }

    #[test]
    fn files_of_one_name_in_other_folders_own_other_outputs() {
        let (_dir, mut ledger) = ledger();
        let stamp = Stamp {
            size: 1,
            mtime_ns: 2,
            inode: 3,
        };
        let out = |job: Job| (job.output.unwrap(), job.replaces);
        let mut scan = |root: &str, there: &[&str]| {
            ledger.begin_run(Path::new(root), &|_| Some(stamp)).unwrap();
            let taken = |p: &Path| there.iter().any(|t| p == Path::new(t));
            let job = begin(&ledger, "scan.pdf", root, &taken);
            ledger.finish(job.id, State::Done, "{}").unwrap();
            out(job)
        };
        assert_eq!(scan("/1", &[]), ("scan".into(), false));
        assert_eq!(scan("/2", &["scan"]), ("scan.pdf".into(), false));
        assert_eq!(scan("/1", &["scan", "scan.pdf"]), ("scan".into(), true));
        // An interrupted run goes on only with the same files.
        let id = begin(&ledger, "scan.pdf", "d", &|_| true).id;
        ledger.begin_run(Path::new("/1"), &|_| Some(stamp)).unwrap();
        assert!(ledger.job(id).unwrap().is_some());
        ledger.decide(id, State::Publishing, None, "{}").unwrap();
        let newer = Stamp { size: 9, ..stamp };
        ledger.begin_run(Path::new("/1"), &|_| Some(newer)).unwrap();
        assert!(ledger.job(id).unwrap().is_none());
        let id = begin(&ledger, "scan.pdf", "d", &|_| true).id;
        ledger.begin_run(Path::new("/2"), &|_| Some(stamp)).unwrap();
        assert!(ledger.job(id).unwrap().is_none());
    }

    #[test]
    fn a_withdrawn_job_gives_its_name_back() {
        let (_dir, ledger) = ledger();
        let stamp = Stamp {
            size: 1,
            mtime_ns: 2,
            inode: 3,
        };
        ledger.admit(Path::new("a.pdf"), stamp).unwrap();
        let id = ledger.open_jobs().unwrap()[0].id;
        ledger.begin(id, "half", false, &|_| false).unwrap();
        ledger.withdraw(id).unwrap();
        assert_eq!(
            run(&ledger, "a.pdf", "whole").output.unwrap(),
            Path::new("a")
        );
    }

    #[test]
    fn an_arrival_is_admitted_once_and_readings_go_at_the_end() {
        let (_dir, ledger) = ledger();
        let stamp = Stamp {
            size: 1,
            mtime_ns: 2,
            inode: 3,
        };
        assert!(ledger.admit(Path::new("a.pdf"), stamp).unwrap());
        assert!(!ledger.admit(Path::new("a.pdf"), stamp).unwrap());
        let id = ledger.open_jobs().unwrap()[0].id;
        ledger.begin(id, "d", false, &|_| false).unwrap();
        ledger.keep_reading("d", "m", "s", 4, "{}").unwrap();
        assert_eq!(ledger.pages_read("d", "m", "s").unwrap(), [4]);
        assert_eq!(
            ledger.reading("d", "m", "s", 4).unwrap().as_deref(),
            Some("{}")
        );
        assert!(ledger.pages_read("d", "other", "s").unwrap().is_empty());
        ledger.finish(id, State::Done, "{}").unwrap();
        assert!(ledger.pages_read("d", "m", "s").unwrap().is_empty());
        assert_eq!(
            ledger.counts().unwrap(),
            Counts {
                open: 0,
                done: 1,
                failed: 0
            }
        );
    }
}
