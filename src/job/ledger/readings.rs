//! Readings that were made already, under source digest, model digest and reading settings: a
//! kill costs the pages in flight, not the book. They are kept as JSON that the ledger never looks
//! into, and go when the last open job of their content is finished.

use rusqlite::{OptionalExtension, params};

use super::{Ledger, Result};

impl Ledger {
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
}
