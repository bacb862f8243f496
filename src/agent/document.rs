//! One document through the rooms.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::{JoinError, JoinSet, block_in_place};

use super::Context;
use super::filing::{self, Reached};
use super::verdict::verdict;
use crate::document::{Child, DocumentError, Kind, sniff};
use crate::durable::{self, FileError};
use crate::engine::{Cancel, Identity, ReadError, ReadTask};
use crate::job::{Job, LedgerError, Stamp, State};
use crate::observe::event;
use crate::output::report::{self, Counts};
use crate::output::results::Entry;
use crate::output::stage::Stage;
use crate::page::{PageChars, PageImage, PageStatus, Reading, Role};

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
        job: &job,
        path: &path,
        digest: &digest,
        reached: Reached::nothing(started),
        timeouts: 0,
        chars: ctx.reader.wants_chars,
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
    job: &'a Job,
    path: &'a Path,
    digest: &'a str,
    reached: Reached,
    timeouts: u32,
    /// Whether the PDF's own characters are asked for.
    chars: bool,
}

impl Work<'_> {
    fn identity(&self) -> &Identity {
        &self.ctx.reader.identity
    }

    async fn whole(&mut self) -> Result<Whole, Halt> {
        self.sniff()?;
        let (mut child, pages) = self.open().await?;
        self.reached.pages = pages;
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
            &self.ctx.config.output,
        )?;
        self.read(&mut child, &mut stage).await?;
        if !self.unchanged() {
            return Ok(Whole::Changed);
        }
        let (counts, note) = self.write(&mut child, &stage).await?;
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

    fn sniff(&self) -> Result<(), Halt> {
        let named = |ext: &str| {
            self.path
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case(ext))
        };
        let faulty = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::PermissionDenied => Halt::Reason(format!("cannot be read: {e}")),
            _ => Halt::Machine(format!("cannot read {}: {e}", self.path.display())),
        };
        match sniff(self.path).map_err(faulty)? {
            Kind::Pdf => {
                if !named("pdf") {
                    event::other_name(&self.job.source, "a PDF");
                }
                Ok(())
            }
            Kind::Epub => Err(Halt::Reason(
                "is an EPUB: this version reads PDF files only".into(),
            )),
            Kind::Other => Err(Halt::Damaged(
                "is neither a PDF nor an EPUB: its first bytes are not those of one".into(),
            )),
        }
    }

    /// A child that holds the document open; a death counts and is tried once more.
    async fn open(&mut self) -> Result<(Child, u32), Halt> {
        loop {
            let installation = &self.ctx.installation;
            let mut child = Child::spawn(
                &installation.exe,
                &installation.pdfium,
                &self.ctx.config.pdf,
            )
            .map_err(|e| Halt::Machine(e.to_string()))?;
            match child.open(self.path).await {
                Ok(opened) => {
                    tracing::debug!(
                        "{}: {} pages, {}",
                        self.job.source.display(),
                        opened.pages,
                        opened.sandbox
                    );
                    return Ok((child, opened.pages));
                }
                Err(e) => self.excuse(e)?,
            }
        }
    }

    /// Counts a fault of the child; `Ok` when the request may be made again.
    fn excuse(&mut self, error: DocumentError) -> Result<(), Halt> {
        let text = error.to_string();
        match error {
            DocumentError::Refused(why) | DocumentError::PageRefused(why) => Err(Halt::Reason(why)),
            DocumentError::Damaged(why) => Err(Halt::Damaged(why)),
            DocumentError::Machine(_) => Err(Halt::Machine(text)),
            DocumentError::TimedOut(_) => {
                event::child_died(&self.job.source, &text);
                self.timeouts += 1;
                if self.timeouts >= TIMEOUTS {
                    Err(Halt::Reason(text))
                } else {
                    Ok(())
                }
            }
            DocumentError::Died(_) => {
                event::child_died(&self.job.source, &text);
                let deaths = self.ctx.ledger.child_died(self.job.id)?;
                if deaths >= DEATHS {
                    Err(Halt::Reason(format!("{text}, {deaths} times")))
                } else {
                    Ok(())
                }
            }
        }
    }

    /// The image of a page, or why it has none; a dead child is replaced.
    async fn image(
        &mut self,
        child: &mut Child,
        page: u32,
    ) -> Result<Result<PageImage, String>, Halt> {
        loop {
            let rendered = child.render(page, self.ctx.reader.wish).await;
            self.ctx.beat();
            match rendered {
                Ok(image) => return Ok(Ok(image)),
                Err(DocumentError::PageRefused(why)) => return Ok(Err(why)),
                Err(e) => {
                    let why = e.to_string();
                    let timed_out = matches!(e, DocumentError::TimedOut(_));
                    self.excuse(e)?;
                    (*child, _) = self.open().await?;
                    if timed_out {
                        return Ok(Err(why));
                    }
                }
            }
        }
    }

    /// The characters of a page, where the reader can use them. Pages are read without them all
    /// the same: a child that they kill is replaced without blame, and asked for no more.
    async fn chars(&mut self, child: &mut Child, page: u32) -> Result<Option<PageChars>, Halt> {
        if !self.chars {
            return Ok(None);
        }
        match child.chars(page).await {
            Ok(chars) => Ok(Some(chars)),
            Err(DocumentError::PageRefused(_)) => Ok(None),
            Err(e) => {
                event::without_chars(&self.job.source, page, &e.to_string());
                self.chars = false;
                (*child, _) = self.open().await?;
                Ok(None)
            }
        }
    }

    /// Reads every page that has no reading yet; keeps readings, stages pictures.
    async fn read(&mut self, child: &mut Child, stage: &mut Stage) -> Result<(), Halt> {
        let identity = self.identity().clone();
        let kept = self.ctx.ledger.pages_read(
            self.digest,
            &identity.model_digest,
            &identity.settings_digest,
        )?;
        if !kept.is_empty() {
            event::resumed(&self.job.source, kept.len());
        }
        self.ctx.progress.opened(self.reached.pages, kept.len());
        let withdraw = Withdraw::default();
        let mut flying: JoinSet<Flight> = JoinSet::new();
        for page in 0..self.reached.pages {
            // What is read is kept at once: an interruption does not lose it, its image goes.
            while let Some(landed) = flying.try_join_next() {
                self.land(landed, stage)?;
            }
            let known = kept.binary_search(&page).is_ok();
            while !known && flying.len() >= WINDOW.max(self.ctx.reader.capacity) {
                if let Some(landed) = flying.join_next().await {
                    self.land(landed, stage)?;
                }
            }
            if self.ctx.stop.asked() {
                self.land_all(&mut flying, stage).await?;
                return Err(Halt::Stopped);
            }
            if known {
                let reading = self.kept(page)?;
                self.reached.counts.add(reading.status);
                // Pictures of an earlier attempt were never published: they are cut again.
                if reading.blocks.iter().any(|b| b.role() == Role::Figure)
                    && let Ok(image) = self.image(child, page).await?
                {
                    block_in_place(|| stage.pictures(&reading, page, &image))?;
                }
                self.ctx.beat();
                continue;
            }
            match self.image(child, page).await? {
                Ok(image) => {
                    let chars = self.chars(child, page).await?;
                    let permit = self.permit(&mut flying, stage).await?;
                    self.fly(&mut flying, page, image, chars, &withdraw.0, permit)?;
                }
                Err(why) => self.keep(page, &Reading::failed(why))?,
            }
        }
        self.land_all(&mut flying, stage).await
    }

    /// A place in the queue. Pages hold theirs until they are kept, so those that are ready are
    /// kept meanwhile: documents must not wait for each other's.
    async fn permit(
        &mut self,
        flying: &mut JoinSet<Flight>,
        stage: &mut Stage,
    ) -> Result<OwnedSemaphorePermit, Halt> {
        let acquire = Arc::clone(&self.ctx.queue).acquire_owned();
        tokio::pin!(acquire);
        loop {
            tokio::select! {
                permit = &mut acquire => return permit.map_err(|e| Halt::Machine(e.to_string())),
                Some(landed) = flying.join_next() => self.land(landed, stage)?,
            }
        }
    }

    fn fly(
        &self,
        flying: &mut JoinSet<Flight>,
        page: u32,
        image: PageImage,
        chars: Option<PageChars>,
        cancel: &Cancel,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), Halt> {
        let image = Arc::new(image);
        let (sender, reply) = oneshot::channel();
        let task = ReadTask {
            image: Arc::clone(&image),
            chars,
            cancel: cancel.clone(),
            // The permit goes with the image, to where both are let go.
            reply: Box::new(move |answer| {
                let _ = sender.send((answer, permit));
            }),
        };
        // Permits are fewer than places in the queue: this does not block.
        if !self.ctx.reader.submit(task) {
            return Err(Halt::Machine("the reader has ended".into()));
        }
        flying.spawn(async move {
            let (answer, permit) = match reply.await {
                Ok((answer, permit)) => (answer, Some(permit)),
                Err(_) => {
                    let why = "the engine failed on it; the log has the details";
                    (Err(ReadError::Page(why.into())), None)
                }
            };
            Flight {
                page,
                image,
                answer,
                _permit: permit,
            }
        });
        Ok(())
    }

    async fn land_all(
        &mut self,
        flying: &mut JoinSet<Flight>,
        stage: &mut Stage,
    ) -> Result<(), Halt> {
        while let Some(landed) = flying.join_next().await {
            self.land(landed, stage)?;
        }
        Ok(())
    }

    /// Takes one answer.
    fn land(&mut self, landed: Result<Flight, JoinError>, stage: &mut Stage) -> Result<(), Halt> {
        let flight = landed.map_err(|e| Halt::Machine(e.to_string()))?;
        let reading = match flight.answer {
            Ok(reading) => reading,
            Err(ReadError::Page(why)) => Reading::failed(why),
            Err(ReadError::Machine(why)) => return Err(Halt::Machine(why)),
            Err(ReadError::Cancelled) => return Err(Halt::Stopped),
        };
        block_in_place(|| stage.pictures(&reading, flight.page, &flight.image))?;
        self.keep(flight.page, &reading)
    }

    fn keep(&mut self, page: u32, reading: &Reading) -> Result<(), Halt> {
        if reading.status == PageStatus::Failed {
            event::page_failed(
                &self.job.source,
                page,
                reading.reason.as_deref().unwrap_or_default(),
            );
        } else {
            event::page(
                &self.job.source,
                page,
                reading.status.name(),
                reading.seconds,
            );
        }
        let json = serde_json::to_string(reading).map_err(|e| Halt::Machine(e.to_string()))?;
        let identity = self.identity();
        block_in_place(|| {
            self.ctx.ledger.keep_reading(
                self.digest,
                &identity.model_digest,
                &identity.settings_digest,
                page,
                &json,
            )
        })?;
        self.reached.counts.add(reading.status);
        self.ctx.beat();
        self.ctx.progress.page();
        Ok(())
    }

    fn kept(&self, page: u32) -> Result<Reading, Halt> {
        let identity = self.identity();
        let json = self.ctx.ledger.reading(
            self.digest,
            &identity.model_digest,
            &identity.settings_digest,
            page,
        )?;
        json.and_then(|json| serde_json::from_str(&json).ok())
            .ok_or_else(|| {
                Halt::Machine(format!(
                    "the ledger has lost the reading of page {}",
                    page + 1
                ))
            })
    }

    /// Whether the file is still the one that was read.
    fn unchanged(&self) -> bool {
        Stamp::of(self.path).is_ok_and(|stamp| stamp == self.job.stamp)
            && block_in_place(|| durable::digest(self.path))
                .is_ok_and(|digest| digest == self.digest)
    }

    /// Writes the texts, the report and the layout PDF; returns what is to be told about the last.
    async fn write(
        &mut self,
        child: &mut Child,
        stage: &Stage,
    ) -> Result<(Counts, Option<String>), Halt> {
        let identity = self.identity();
        let head = report::Head {
            schema: report::SCHEMA,
            version: env!("CARGO_PKG_VERSION").into(),
            job: self.job.id,
            source: self.job.source.to_string_lossy().into_owned(),
            sha256: self.digest.to_owned(),
            engine: identity.engine.clone(),
            model_digest: identity.model_digest.clone(),
            settings_digest: identity.settings_digest.clone(),
            device: identity.device.clone(),
            page_count: self.reached.pages,
        };
        let mut texts = stage.texts(&head)?;
        let mut fault: Option<DocumentError> = None;
        let mut first = None;
        for page in 0..self.reached.pages {
            let reading = self.kept(page)?;
            if reading.status == PageStatus::Failed && first.is_none() {
                first.clone_from(&reading.reason);
            }
            let overlay = texts.page(&reading, page)?;
            self.ctx.beat();
            if fault.is_none() {
                match child.draw(overlay).await {
                    // A page that cannot be opened cannot be drawn on; its place is kept.
                    Ok(()) | Err(DocumentError::PageRefused(_)) => {}
                    Err(e) => fault = Some(e),
                }
            }
        }
        if let Err(why) = verdict(&texts.counts(), first.as_deref()) {
            return Err(Halt::Reason(why));
        }
        if fault.is_none() {
            match child.save().await {
                Ok(bytes) => block_in_place(|| stage.layout_pdf(&bytes))?,
                Err(e) => fault = Some(e),
            }
        }
        self.ctx.beat();
        let note = fault.map(|e| format!("without a layout PDF: {e}"));
        let counts = block_in_place(|| texts.finish(note.as_deref()))?;
        block_in_place(|| stage.seal())?;
        Ok((counts, note))
    }
}

/// A claim on a place for long documents.
struct Long<'a>(Option<&'a Context>);

impl<'a> Long<'a> {
    fn claim(ctx: &'a Context, pages: u32) -> Result<Self, Halt> {
        let places = ctx.config.watch.documents.saturating_sub(1);
        if pages <= LONG || places == 0 {
            return Ok(Self(None));
        }
        let free = |n: usize| (n < places).then_some(n + 1);
        match ctx
            .long
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, free)
        {
            Ok(_) => Ok(Self(Some(ctx))),
            Err(_) => Err(Halt::Long),
        }
    }
}

impl Drop for Long<'_> {
    fn drop(&mut self) {
        if let Some(ctx) = self.0 {
            ctx.long.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Withdraws a document's pages from the reader when the document goes no further.
#[derive(Default)]
struct Withdraw(Cancel);

impl Drop for Withdraw {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A page that the reader has answered.
struct Flight {
    page: u32,
    image: Arc<PageImage>,
    answer: Result<Reading, ReadError>,
    /// Bounds the images in memory; gone where the engine failed.
    _permit: Option<OwnedSemaphorePermit>,
}

/// The path of a job's original in the inbox.
pub fn original(ctx: &Context, job: &Job) -> PathBuf {
    ctx.places.inbox.join(&job.source)
}
