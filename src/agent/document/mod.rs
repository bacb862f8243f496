//! One document through the rooms, from an open job to its end.
//!
//! `child` asks the document's process, `book` what a book has beside its pages, `pages` brings
//! pages through the reader, `files` writes what came of them, `long` keeps a place for letters.
//! What a fault means for the document is decided here: its own fault files it, the machine's never does, a file that changed is read
//! again. The original is not touched before the outcome is durable.

mod book;
mod child;
mod files;
mod long;
mod pages;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::block_in_place;

use self::long::Long;
use super::Context;
use super::filing::{self, Reached};
use crate::config::Config;
use crate::durable::{self, FileError};
use crate::engine::Identity;
use crate::job::{Job, LedgerError, Stamp, State};
use crate::observe::event;
use crate::output::results::Entry;
use crate::output::stage::Stage;
use crate::page::Book;

/// Pages of one document in work at once, where the reader does not take more together.
const WINDOW: usize = 3;
/// Deaths of the child that end a document.
pub const DEATHS: u32 = 2;
/// Requests past their limit that end a document.
const TIMEOUTS: u32 = 3;
/// Pages above which a document is long: one slot is kept free of such, so that a letter does not
/// wait behind books.
const LONG: u32 = 50;
/// A damaged file that was changed within this time may still be on its way.
const FRESH: Duration = Duration::from_secs(60);

/// Why a file that was named and went has failed.
const GONE: &str = "was taken away";

/// How a document left the rooms.
pub enum End {
    Done,
    Failed,
    /// Waits for this long; nothing was decided.
    Later(Duration),
    /// The file changed or went: the next scan decides.
    Again,
    /// As many long documents are in work as may be.
    Long,
    /// The machine is at fault.
    Machine(String),
    Stopped,
}

/// Why a document goes no further.
enum Halt {
    /// The document's own fault.
    Reason(String),
    Damaged(String),
    Long,
    Machine(String),
    Stopped,
}

impl From<FileError> for Halt {
    fn from(e: FileError) -> Self {
        Self::Machine(e.to_string())
    }
}

impl From<LedgerError> for Halt {
    fn from(e: LedgerError) -> Self {
        Self::Machine(e.to_string())
    }
}

/// Takes a job to its end; one that was decided before an interruption or a fault of the machine
/// is published or filed.
pub async fn run(ctx: &Arc<Context>, job: Job) -> End {
    let ended = match job.state {
        State::Publishing => filing::publish(ctx, &job),
        State::Failing => filing::file_failed(ctx, &job),
        _ => attempt(ctx, job).await,
    };
    match ended {
        Ok(end) => end,
        Err(why) => End::Machine(why),
    }
}

async fn attempt(ctx: &Arc<Context>, job: Job) -> Result<End, String> {
    let started = Instant::now();
    let path = ctx.places.inbox.join(&job.source);
    let machine = |e: LedgerError| e.to_string();
    // A file that went or changed is another arrival.
    match Stamp::of(&path) {
        Ok(stamp) if stamp == job.stamp => {}
        Ok(_) => {
            again(ctx, &job)?;
            return Ok(End::Again);
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            event::gone(&job.source);
            // Who named the file is told that it went; an inbox is as its owner wants it.
            if ctx.places.filing.is_none() {
                return filing::fail(ctx, &job, GONE, Reached::nothing(started));
            }
            ctx.ledger.withdraw(job.id).map_err(machine)?;
            return Ok(End::Again);
        }
        Err(e) => return Err(format!("cannot look at {}: {e}", path.display())),
    }
    let digest = match block_in_place(|| durable::digest(&path)) {
        Ok(digest) => digest,
        Err(e) if e.not_found() => return Ok(End::Again),
        Err(e) if e.source.kind() == std::io::ErrorKind::PermissionDenied => {
            let why = format!("cannot be read: {}", e.source);
            return filing::fail(ctx, &job, &why, Reached::nothing(started));
        }
        Err(e) => return Err(e.to_string()),
    };
    let replace = ctx.places.filing.is_none();
    let taken = |p: &Path| ctx.places.output.join(p).symlink_metadata().is_ok();
    let job = ctx
        .ledger
        .begin(job.id, &digest, replace, &taken)
        .map_err(machine)?;
    let mut work = Work {
        ctx,
        config: ctx.config(),
        job: &job,
        path: &path,
        digest: &digest,
        reached: Reached::nothing(started),
        timeouts: 0,
        chars: ctx.reader.wants_chars,
        is_epub: false,
        opened: 0,
        book: None,
    };
    match work.whole().await {
        Ok(Whole::Published(job)) => filing::publish(ctx, &job),
        Ok(Whole::Changed) => {
            event::changed(&job.source);
            again(ctx, &job)?;
            Ok(End::Again)
        }
        Err(Halt::Stopped) => Ok(End::Stopped),
        Err(Halt::Long) => ctx
            .ledger
            .put_off(job.id)
            .map_err(machine)
            .map(|()| End::Long),
        // Another file by now, or none: what was found is not about it.
        Err(Halt::Machine(_) | Halt::Reason(_) | Halt::Damaged(_)) if other(&path, &job) => {
            event::changed(&job.source);
            again(ctx, &job)?;
            Ok(End::Again)
        }
        Err(Halt::Machine(why)) => Err(why),
        Err(Halt::Damaged(why)) if ctx.places.filing.is_some() && fresh(&path).is_some() => {
            let wait = fresh(&path).unwrap_or(FRESH);
            event::later(&job.source, &why, wait.as_secs_f64());
            Ok(End::Later(wait))
        }
        Err(Halt::Reason(why) | Halt::Damaged(why)) => filing::fail(ctx, &job, &why, work.reached),
    }
}

/// A file that is no longer the one that was admitted: where an inbox is watched it settles anew,
/// else it is taken as it is now.
fn again(ctx: &Context, job: &Job) -> Result<(), String> {
    if ctx.places.filing.is_some() {
        return ctx.ledger.withdraw(job.id).map_err(|e| e.to_string());
    }
    match Stamp::of(&original(ctx, job)) {
        Ok(stamp) => ctx
            .ledger
            .admit(&job.source, stamp)
            .map(drop)
            .map_err(|e| e.to_string()),
        // The next attempt tells.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(format!("{}: {e}", job.source.display())),
    }
}

/// Whether the file is not the one that was admitted; one that cannot be looked at may be.
fn other(path: &Path, job: &Job) -> bool {
    match Stamp::of(path) {
        Ok(stamp) => stamp != job.stamp,
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    }
}

/// How long a file is still fresh.
fn fresh(path: &Path) -> Option<Duration> {
    let age = SystemTime::now()
        .duration_since(std::fs::metadata(path).ok()?.modified().ok()?)
        .ok()?;
    FRESH.checked_sub(age).filter(|left| !left.is_zero())
}

enum Whole {
    /// Staged and decided.
    Published(Job),
    /// The file is not the one that was read.
    Changed,
}

struct Work<'a> {
    ctx: &'a Arc<Context>,
    /// The settings under which the document is read, whatever changes meanwhile.
    config: Arc<Config>,
    job: &'a Job,
    path: &'a Path,
    digest: &'a str,
    reached: Reached,
    timeouts: u32,
    /// Whether the PDF's own characters are asked for.
    chars: bool,
    is_epub: bool,
    /// How often the document was opened.
    opened: u32,
    /// What the child says of a document that is a book.
    book: Option<Book>,
}

impl Work<'_> {
    fn identity(&self) -> &Identity {
        &self.ctx.reader.identity
    }

    async fn whole(&mut self) -> Result<Whole, Halt> {
        self.sniff()?;
        let (mut child, opened) = self.open().await?;
        let pages = opened.pages;
        self.reached.pages = pages;
        self.book = opened.book;
        let _long = Long::claim(self.ctx, pages)?;
        let output = self
            .job
            .output
            .clone()
            .unwrap_or_else(|| self.job.source.clone());
        let stem = self
            .job
            .source
            .file_stem()
            .unwrap_or(self.job.source.as_os_str());
        let mut stage = Stage::create(
            &self.ctx.places.output,
            self.job.id,
            stem,
            &self.config.output,
        )?;
        self.read(&mut child, &mut stage).await?;
        if !self.unchanged() {
            return Ok(Whole::Changed);
        }
        let (counts, note) = self.write(&mut child, &mut stage).await?;
        let summary = Entry {
            input_path: self.path.to_string_lossy().into_owned(),
            output_directory: format!("{}/", self.ctx.places.output.join(&output).display()),
            processed_at: jiff::Zoned::now().strftime("%FT%T%.3f%:z").to_string(),
            success: true,
            error: None,
            pages,
            original_moved_to: None,
            seconds: (self.reached.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
            attempts: self.job.attempts,
            engine: self.identity().engine.clone(),
            page_status: counts,
        };
        let summary = serde_json::to_string(&summary).map_err(|e| Halt::Machine(e.to_string()))?;
        self.ctx
            .ledger
            .decide(self.job.id, State::Publishing, note.as_deref(), &summary)?;
        let job = Job {
            state: State::Publishing,
            reason: note,
            summary: Some(summary),
            ..self.job.clone()
        };
        Ok(Whole::Published(job))
    }

    /// Whether the file is still the one that was read.
    fn unchanged(&self) -> bool {
        Stamp::of(self.path).is_ok_and(|stamp| stamp == self.job.stamp)
            && block_in_place(|| durable::digest(self.path))
                .is_ok_and(|digest| digest == self.digest)
    }
}

/// The path of a job's original in the inbox.
pub fn original(ctx: &Context, job: &Job) -> PathBuf {
    ctx.places.inbox.join(&job.source)
}
