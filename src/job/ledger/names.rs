//! Which name an output gets: the rules of naming of the design.
//!
//! The same source and content replaces its own output; the same name with other content is
//! numbered; another source of the same stem keeps its extension. A name that the ledger does not
//! know but the disk has is somebody else's and never taken. Nothing is created here.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use super::blob;

/// The name that a waiting job claimed was never used.
pub(super) fn give_name_back(c: &Connection, id: i64) -> rusqlite::Result<()> {
    c.execute(
        "DELETE FROM outputs WHERE path=(SELECT output FROM jobs WHERE id=?1 AND state='waiting' AND replaces=0)",
        [id],
    )
    .map(drop)
}

pub(super) struct Claim {
    pub path: PathBuf,
    pub replaces: bool,
    pub number: u32,
}

pub(super) fn claim(
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
