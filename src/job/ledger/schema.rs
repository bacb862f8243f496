//! The tables of the ledger and how an older ledger gets them.
//!
//! `user_version` is the version of the tables. A renewal is one transaction: a crash leaves the
//! old ledger or the new one. Jobs are never lost by it, nor renumbered. The indexes and the
//! counters are there so that no step of a job costs more the more jobs there were.

use rusqlite::{Connection, TransactionBehavior};

/// Version of the tables.
const VERSION: i64 = 3;

/// Numbers of jobs are never used again (AUTOINCREMENT): outputs are known by them.
/// Triggers keep the counters, in the transaction of whatever changes a state.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT, source BLOB NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
  inode INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  child_deaths INTEGER NOT NULL DEFAULT 0, output BLOB, replaces INTEGER NOT NULL DEFAULT 0,
  digest TEXT, reason TEXT, number INTEGER NOT NULL DEFAULT 1, summary TEXT, finish INTEGER);
CREATE INDEX IF NOT EXISTS jobs_open ON jobs(id) WHERE state NOT IN ('done','failed');
CREATE INDEX IF NOT EXISTS jobs_source ON jobs(source) WHERE state NOT IN ('done','failed');
CREATE INDEX IF NOT EXISTS jobs_digest ON jobs(digest) WHERE state NOT IN ('done','failed');
CREATE UNIQUE INDEX IF NOT EXISTS jobs_finish ON jobs(finish) WHERE finish IS NOT NULL;
CREATE TABLE IF NOT EXISTS counters (state TEXT PRIMARY KEY, jobs INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS jobs_came AFTER INSERT ON jobs BEGIN
  INSERT INTO counters VALUES (NEW.state, 1) ON CONFLICT (state) DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER IF NOT EXISTS jobs_moved AFTER UPDATE OF state ON jobs WHEN OLD.state <> NEW.state BEGIN
  UPDATE counters SET jobs = jobs - 1 WHERE state = OLD.state;
  INSERT INTO counters VALUES (NEW.state, 1) ON CONFLICT (state) DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER IF NOT EXISTS jobs_went AFTER DELETE ON jobs BEGIN
  UPDATE counters SET jobs = jobs - 1 WHERE state = OLD.state;
END;
CREATE TABLE IF NOT EXISTS outputs (path BLOB PRIMARY KEY, source BLOB NOT NULL, digest TEXT NOT NULL,
  number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS readings (digest TEXT, model TEXT, settings TEXT, page INTEGER, json TEXT NOT NULL,
  PRIMARY KEY (digest, model, settings, page)) WITHOUT ROWID;
";

/// Version 1 used numbers of jobs again; its columns were the same. Its indexes would follow the
/// renamed table. The triggers count what comes over.
const RENEW_1: (&str, &str) = (
    "ALTER TABLE jobs RENAME TO jobs_1;
     DROP INDEX jobs_open; DROP INDEX jobs_source; DROP INDEX jobs_finish;",
    "INSERT INTO jobs SELECT * FROM jobs_1; DROP TABLE jobs_1;",
);

/// Version 2 counted the whole table each time, and its indexes held finished jobs as well.
const RENEW_2: (&str, &str) = (
    "DROP INDEX jobs_open; DROP INDEX jobs_source;",
    "INSERT INTO counters SELECT state, COUNT(*) FROM jobs GROUP BY state;",
);

/// Makes the tables, or renews those of an older version, in one step.
pub(super) fn prepare(c: &mut Connection) -> rusqlite::Result<()> {
    let version = |c: &Connection| c.query_row("PRAGMA user_version", [], |r| r.get::<_, i64>(0));
    if version(c)? == VERSION {
        return Ok(());
    }
    let tx = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    let (before, after) = match version(&tx)? {
        0 => ("", ""),
        1 => RENEW_1,
        2 => RENEW_2,
        _ => return Ok(()),
    };
    tx.execute_batch(&format!(
        "{before}{SCHEMA}{after} PRAGMA user_version = {VERSION};"
    ))?;
    tx.commit()
}
