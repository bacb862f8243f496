//! The tables of the ledger and how an older ledger gets them.
//!
//! `user_version` is the version of the tables. A renewal is one transaction: a crash leaves the
//! old ledger or the new one. Jobs are never lost by it, nor renumbered.

use rusqlite::{Connection, TransactionBehavior};

/// Numbers of jobs are never used again (AUTOINCREMENT): outputs are known by them.
pub(super) const SCHEMA: &str = "
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

/// Makes the tables, or renews those of an older version, in one step.
pub(super) fn prepare(c: &mut Connection) -> rusqlite::Result<()> {
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
