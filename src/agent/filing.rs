//! The end of a job: output published, original filed, told. Every step can be made again, so a
//! start after a crash takes the same way.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use tokio::task::block_in_place;

use super::document::{End, original};
use super::{Context, Filing};
use crate::durable;
use crate::job::{Job, Stamp, State};
use crate::observe::event;
use crate::output::report::Counts;
use crate::output::results::Entry;
use crate::output::stage::{self, Published};

/// Publishes the staged output of a job that is `publishing`, files its original, ends the job.
/// A job whose staged output is gone waits again, its original stays.
pub fn publish(ctx: &Context, job: &Job) -> Result<End, String> {
    block_in_place(|| {
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let mut entry = entry(job)?;
        let output = job.output.clone().unwrap_or_else(|| job.source.clone());
        let mut path = output.clone();
        let mut replaces = job.replaces.then_some(&*job.source);
        let mut number = 1;
        loop {
            match stage::publish(&ctx.places.output, job.id, &path, replaces)
                .map_err(|e| text(&e))?
            {
                Published::Done => break,
                Published::Lost => {
                    tracing::warn!(
                        "{}: its staged output is gone, it is read again",
                        job.source.display()
                    );
                    ctx.ledger.undecide(job.id).map_err(|e| text(&e))?;
                    return Ok(End::Again);
                }
                Published::Taken => {}
            }
            // Somebody else's folder has this name: the first that nobody has.
            replaces = None;
            loop {
                number += 1;
                path = output.with_file_name(durable::numbered(
                    output.file_name().unwrap_or_default(),
                    number,
                ));
                if ctx
                    .ledger
                    .rename_output(job.id, &path)
                    .map_err(|e| text(&e))?
                {
                    break;
                }
            }
        }
        // A crash may have left the new name in the ledger only.
        entry.output_directory = format!("{}/", ctx.places.output.join(&path).display());
        if let Some(Filing { done, .. }) = &ctx.places.filing {
            entry.original_moved_to =
                file(ctx, job, done)?.map(|p| p.to_string_lossy().into_owned());
        }
        let summary = serde_json::to_string(&entry).map_err(|e| text(&e))?;
        ctx.ledger
            .finish(job.id, State::Done, &summary)
            .map_err(|e| text(&e))?;
        event::done(&finished(job, &entry), job.reason.as_deref());
        Ok(End::Done)
    })
}

/// What is told of an end in the log.
fn finished<'a>(job: &'a Job, entry: &Entry) -> event::Finished<'a> {
    event::Finished {
        name: &job.source,
        pages: entry.pages,
        read: entry.page_status.read(),
        seconds: entry.seconds,
        attempts: entry.attempts,
    }
}

/// How far a document came that failed.
#[derive(Clone, Copy)]
pub struct Reached {
    /// Pages it has; 0 when it never opened.
    pub pages: u32,
    /// What came of those that were looked at.
    pub counts: Counts,
    pub started: Instant,
}

impl Reached {
    /// Not even its first page.
    pub fn nothing(started: Instant) -> Self {
        Self {
            pages: 0,
            counts: Counts::default(),
            started,
        }
    }
}

/// Ends a job with a reason.
pub fn fail(ctx: &Context, job: &Job, reason: &str, reached: Reached) -> Result<End, String> {
    let seconds = reached.started.elapsed().as_secs_f64();
    let entry = Entry {
        input_path: original(ctx, job).to_string_lossy().into_owned(),
        output_directory: String::new(),
        processed_at: jiff::Zoned::now().strftime("%FT%T%.3f%:z").to_string(),
        success: false,
        error: Some(reason.to_owned()),
        pages: reached.pages,
        original_moved_to: None,
        seconds: (seconds * 1000.0).round() / 1000.0,
        attempts: job.attempts,
        engine: ctx.reader.identity.engine.clone(),
        page_status: reached.counts,
    };
    let summary = serde_json::to_string(&entry).map_err(|e| e.to_string())?;
    ctx.ledger
        .decide(job.id, State::Failing, Some(reason), &summary)
        .map_err(|e| e.to_string())?;
    let job = Job {
        state: State::Failing,
        reason: Some(reason.to_owned()),
        summary: Some(summary),
        ..job.clone()
    };
    file_failed(ctx, &job)
}

/// Files the original of a job that is `failing`, with its reason beside it, and ends the job.
pub fn file_failed(ctx: &Context, job: &Job) -> Result<End, String> {
    block_in_place(|| {
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let mut entry = entry(job)?;
        durable::remove_dir_all(&stage::folder(&ctx.places.output, job.id))
            .map_err(|e| text(&e))?;
        if let Some(Filing { failed, .. }) = &ctx.places.filing
            && let Some(to) = file(ctx, job, failed)?
        {
            // The name it has in `failed/`, which may be a numbered one.
            let name = to.strip_prefix(failed).unwrap_or(&to).to_string_lossy();
            let reason = json!({
                "file": job.source.to_string_lossy(),
                "reason": entry.error,
                "what_to_do": format!("mend the cause, then: dropleaf retry {}", quoted(&name)),
                "failed_at": entry.processed_at,
                "attempts": entry.attempts,
                "pages": entry.pages,
                "pages_read": entry.page_status.read(),
            });
            let mut bytes = serde_json::to_vec_pretty(&reason).map_err(|e| text(&e))?;
            bytes.push(b'\n');
            durable::write_atomic(&durable::beside(&to, REASON), &bytes).map_err(|e| text(&e))?;
            entry.original_moved_to = Some(to.to_string_lossy().into_owned());
        }
        let summary = serde_json::to_string(&entry).map_err(|e| text(&e))?;
        ctx.ledger
            .finish(job.id, State::Failed, &summary)
            .map_err(|e| text(&e))?;
        event::failed(
            &finished(job, &entry),
            entry.error.as_deref().unwrap_or_default(),
        );
        Ok(End::Failed)
    })
}

/// A name as a shell reads it as one word.
fn quoted(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"./_-+,".contains(&b);
    if name.bytes().all(plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
}

/// What follows the name of a failed original in the name of its reason.
pub const REASON: &str = ".reason.json";

fn entry(job: &Job) -> Result<Entry, String> {
    serde_json::from_str(job.summary.as_deref().unwrap_or_default()).map_err(|e| {
        format!(
            "the ledger's summary of {} cannot be read: {e}",
            job.source.display()
        )
    })
}

/// Moves the original under `root`, subfolders mirrored; finds it there when that was done before
/// a crash. `None`: it is nowhere, somebody took it.
fn file(ctx: &Context, job: &Job, root: &Path) -> Result<Option<PathBuf>, String> {
    let from = original(ctx, job);
    let folder = root.join(job.source.parent().unwrap_or(Path::new("")));
    let name = job.source.file_name().unwrap_or(job.source.as_os_str());
    if !Stamp::of(&from).is_ok_and(|stamp| stamp == job.stamp) {
        // Filed before a crash; or gone; or changed, which makes it another arrival that stays.
        let there = filed(job, &folder, name);
        if there.is_none() {
            tracing::warn!(
                "{}: its original is no longer in the inbox, nothing was moved",
                job.source.display()
            );
        }
        return Ok(there);
    }
    // A crash between the copy to another file system and the removal leaves both.
    if device(&from) != device(root)
        && let Some(there) = filed(job, &folder, name)
    {
        durable::remove_file(&from).map_err(|e| e.to_string())?;
        return Ok(Some(there));
    }
    durable::move_into(&from, &folder, name, job.number)
        .map(Some)
        .map_err(|e| e.to_string())
}

/// The original where an interrupted run moved it: the same file by size, time and inode, or
/// content where the move made a copy.
fn filed(job: &Job, folder: &Path, name: &OsStr) -> Option<PathBuf> {
    let mut number = job.number.max(1);
    loop {
        let path = folder.join(durable::numbered(name, number));
        let stamp = Stamp::of(&path).ok()?;
        let same = stamp.size == job.stamp.size && stamp.mtime_ns == job.stamp.mtime_ns;
        if same
            && (stamp.inode == job.stamp.inode
                || (job.digest.is_some() && durable::digest(&path).ok() == job.digest))
        {
            return Some(path);
        }
        number += 1;
    }
}

fn device(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).ok().map(|m| m.dev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_name_is_one_word() {
        assert_eq!(quoted("x/a-2.pdf"), "x/a-2.pdf");
        assert_eq!(quoted("my scan's.pdf"), r"'my scan'\''s.pdf'");
    }
}
