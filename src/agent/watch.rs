//! The agent: Prepared (locked, recovered, warmed) -> Running -> Draining.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::block_in_place;

use super::runner::Runner;
use super::{AgentError, Context, Filing, Installation, Places, start};
use crate::config::{Config, Renewed};
use crate::document::{Kind, sniff};
use crate::inbox::scan::scan_again;
use crate::inbox::settle::{Seen, Settle};
use crate::inbox::watch::Watch;
use crate::job::Ledger;
use crate::observe::event;
use crate::observe::logs::Logs;
use crate::observe::progress::Progress;
use crate::service::reload::Reload;
use crate::service::stop::Stop;
use crate::service::{lock, systemd};

/// Scans that hints ask for are at least this far apart.
const HINT_PAUSE: Duration = Duration::from_millis(200);
/// Time between scans where the file system sends no events.
const POLL: Duration = Duration::from_secs(5);
/// `processing_results.json` is written at most this often while documents come in.
const RESULTS_PAUSE: Duration = Duration::from_millis(250);
/// Longest time between attempts to write it where the disk takes nothing.
const LONGEST_RESULTS_PAUSE: Duration = Duration::from_secs(60);
/// Without a step made for so long while documents are in work, systemd is told nothing more.
const STALLED: Duration = Duration::from_secs(600);

/// What a running agent is given for the signal to read the settings again.
pub struct Reread<'a> {
    /// Reads the settings as at the start, the command line's own among them.
    pub settings: &'a dyn Fn() -> Result<Config, String>,
    pub logs: &'a Logs,
}

/// Watches the inbox until a stop signal; with `once` until nothing is left to do.
/// Returns whether any document failed during this run.
pub async fn watch(
    config: Config,
    installation: Installation,
    once: bool,
    reread: Reread<'_>,
) -> Result<bool, AgentError> {
    // From here on the signal does not end the process.
    let reload = Reload::listen().map_err(|e| AgentError::Machine(e.to_string()))?;
    let folders = config.folders.clone();
    check_folders(&config)?;
    let _lock = lock::lock(&folders.inbox)
        .map_err(|e| AgentError::Machine(format!("cannot lock {}: {e}", folders.inbox.display())))?
        .ok_or_else(|| AgentError::Config {
            what: format!("inbox {}", folders.inbox.display()),
            why: "another dropleaf watches it".into(),
            hint: "stop the other one, or give this one another inbox".into(),
        })?;
    let stop = Stop::listen().map_err(|e| AgentError::Machine(e.to_string()))?;
    let ledger = Ledger::open(&folders.state.join("ledger.sqlite"))?;
    let start_time = ledger.meta_or("start_time", &start::now())?;
    let places = Places {
        inbox: folders.inbox.clone(),
        output: folders.output.clone(),
        filing: Some(Filing {
            done: folders.done.clone(),
            failed: folders.failed.clone(),
        }),
    };
    // Events are collected from before the first scan.
    let watch = Watch::start(&folders.inbox, config.watch.polling);
    let began = Instant::now();
    let ctx = start::context(
        config,
        installation,
        places,
        ledger,
        Progress::none(),
        stop.clone(),
    )
    .await?;
    start::recover(&ctx)?;
    let identity = &ctx.reader.identity;
    event::ready(
        &identity.device,
        &identity.engine,
        began.elapsed().as_secs_f64(),
        &folders.inbox,
    );
    systemd::ready();
    Loop::new(&ctx, watch, start_time, once)
        .run(reload, reread)
        .await
}

fn quiet(config: &Config) -> Duration {
    Duration::from_secs_f64(config.watch.settle_seconds)
}

fn check_folders(config: &Config) -> Result<(), AgentError> {
    let f = &config.folders;
    for (what, folder) in [
        ("inbox", &f.inbox),
        ("output", &f.output),
        ("done", &f.done),
        ("failed", &f.failed),
        ("state", &f.state),
    ] {
        start::writable(what, folder)?;
    }
    let real = |p: &Path| p.canonicalize().unwrap_or_else(|_| p.to_path_buf());
    let inbox = real(&f.inbox);
    for (what, folder) in [
        ("output", &f.output),
        ("done", &f.done),
        ("failed", &f.failed),
    ] {
        if real(folder).starts_with(&inbox) {
            return Err(AgentError::Config {
                what: format!("{what} {}", folder.display()),
                why: "it lies inside the inbox, its files would be read again".into(),
                hint: format!(
                    "set folders.{what} to a folder outside {}",
                    f.inbox.display()
                ),
            });
        }
    }
    Ok(())
}

struct Loop<'a> {
    ctx: &'a Arc<Context>,
    runner: Runner,
    watch: Watch,
    settle: Settle,
    start_time: String,
    once: bool,
    left_alone: HashSet<PathBuf>,
    /// Folders of the inbox that cannot be read.
    unreadable: HashSet<PathBuf>,
    next_scan: Instant,
    last_scan: Instant,
    /// No scan before this, whatever the hints: the last one met a fault.
    not_before: Instant,
    /// Whether files wait to settle.
    settling: bool,
    results_due: bool,
    last_results: Option<Instant>,
    results_pause: Duration,
    any_failed: bool,
    progress: (u64, Instant),
}

impl<'a> Loop<'a> {
    fn new(ctx: &'a Arc<Context>, watch: Watch, start_time: String, once: bool) -> Self {
        let now = Instant::now();
        Self {
            ctx,
            runner: Runner::new(ctx),
            watch,
            settle: Settle::new(quiet(&ctx.config())),
            start_time,
            once,
            left_alone: HashSet::new(),
            unreadable: HashSet::new(),
            next_scan: now,
            last_scan: now,
            not_before: now,
            settling: true,
            results_due: true,
            last_results: None,
            results_pause: RESULTS_PAUSE,
            any_failed: false,
            progress: (0, now),
        }
    }

    async fn run(mut self, mut reload: Reload, reread: Reread<'_>) -> Result<bool, AgentError> {
        let mut draining = false;
        // Counted again only after what can change the number.
        let (mut open, mut recount) = (0, true);
        loop {
            let now = Instant::now();
            if !draining && now >= self.next_scan.max(self.not_before) {
                block_in_place(|| self.scan())?;
                recount = true;
            }
            self.runner.fill()?;
            let idle = self.runner.running() == 0;
            if draining && idle {
                break;
            }
            if std::mem::take(&mut recount) {
                open = self.ctx.ledger.counts()?.open;
            }
            self.results(idle && open == 0)?;
            if self.once && idle && open == 0 && !self.settling {
                break;
            }
            systemd::status(&format!(
                "{} documents in work, {open} open",
                self.runner.running()
            ));
            let deadline = self.deadline(draining);
            tokio::select! {
                left = self.runner.next() => {
                    let left = left?;
                    recount = true;
                    // Another file of the name may have come meanwhile.
                    self.settle.forget(&left.source);
                    if left.finished {
                        self.results_due = true;
                        self.any_failed |= !left.success;
                    }
                    if let Some(why) = left.fault.filter(|_| self.once) {
                        return Err(AgentError::Machine(why));
                    }
                    self.next_scan = self.next_scan.min(self.last_scan + HINT_PAUSE);
                }
                () = self.watch.happened() => {
                    self.next_scan = self.next_scan.min((self.last_scan + HINT_PAUSE).max(Instant::now()));
                }
                () = self.ctx.stop.wait(), if !draining => {
                    draining = true;
                    systemd::stopping();
                    event::draining(self.runner.running());
                }
                () = reload.asked() => self.renew(&reread),
                () = tokio::time::sleep_until(deadline.into()) => {}
            }
        }
        self.results_pause = RESULTS_PAUSE;
        self.results(true)?;
        event::stopped();
        Ok(self.any_failed)
    }

    /// Reads the settings again and applies those that can be applied; all stay as they are when
    /// one cannot be read.
    fn renew(&mut self, reread: &Reread<'_>) {
        let new = block_in_place(reread.settings);
        let mut config = Config::clone(&self.ctx.config());
        let renewed = new.and_then(|new| {
            let renewed = config.renew(&new);
            reread.logs.set_level(&config.log.level)?;
            Ok(renewed)
        });
        match renewed {
            Ok(Renewed { applied, restart }) => {
                self.settle.set_quiet(quiet(&config));
                self.ctx.set_config(config);
                event::settings_read(&applied, &restart);
                self.next_scan = Instant::now();
                self.results_due = true;
            }
            Err(why) => event::settings_kept(&why),
        }
    }

    /// When the loop must turn again without an event.
    fn deadline(&mut self, draining: bool) -> Instant {
        let now = Instant::now();
        let beats = self.ctx.beats.load(Ordering::Relaxed);
        if beats != self.progress.0 || self.runner.running() == 0 {
            self.progress = (beats, now);
        }
        let mut at = now + Duration::from_secs(60);
        if !draining {
            at = at.min(self.next_scan.max(self.not_before));
        }
        if let Some(put_off) = self.runner.deadline() {
            at = at.min(put_off.max(now + Duration::from_millis(10)));
        }
        if self.results_due {
            at = at.min(
                self.last_results
                    .map_or(now, |last| last + self.results_pause),
            );
        }
        if let Some(watchdog) = systemd::watchdog() {
            if now.duration_since(self.progress.1) < STALLED {
                systemd::alive();
            }
            at = at.min(now + watchdog);
        }
        at
    }

    fn results(&mut self, now: bool) -> Result<(), AgentError> {
        let rested = self
            .last_results
            .is_none_or(|last| last.elapsed() >= self.results_pause);
        let faulty = self.results_pause > RESULTS_PAUSE;
        if self.results_due && (rested || now && !faulty) {
            match block_in_place(|| start::write_results(self.ctx, &self.start_time)) {
                Ok(()) => {
                    self.results_due = false;
                    self.results_pause = RESULTS_PAUSE;
                }
                // The disk may be full: documents say so, too, and pause the run.
                Err(e) => {
                    tracing::error!("{e}");
                    self.results_pause = (self.results_pause * 4).min(LONGEST_RESULTS_PAUSE);
                }
            }
            self.last_results = Some(Instant::now());
        }
        Ok(())
    }

    fn scan(&mut self) -> Result<(), AgentError> {
        let config = self.ctx.config();
        let config = &config.watch;
        let inbox = &self.ctx.places.inbox;
        let rescan = Duration::from_secs_f64(config.rescan_seconds);
        let pause = if self.watch.has_events() {
            rescan
        } else {
            rescan.min(POLL)
        };
        let now = Instant::now();
        self.last_scan = now;
        self.next_scan = now + pause;
        let found = match scan_again(inbox, &config.ignore, &mut self.unreadable) {
            Ok(found) => found,
            Err(e) => {
                self.next_scan = now + POLL;
                self.not_before = self.next_scan;
                event::paused(
                    &format!("the inbox {} cannot be read: {e}", inbox.display()),
                    POLL.as_secs_f64(),
                );
                return Ok(());
            }
        };
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let seen: Vec<Seen> = found
            .into_iter()
            .map(|(path, stamp)| Seen {
                hand: self.watch.hand(&inbox.join(&path)),
                age: wall.saturating_sub(Duration::from_nanos(stamp.mtime_ns.max(0) as u64)),
                path,
                stamp,
            })
            .collect();
        let names: HashSet<PathBuf> = seen.iter().map(|s| inbox.join(&s.path)).collect();
        self.watch.retain(|path| names.contains(path));
        let (settled, next) = self.settle.observe(now, &seen);
        self.settling = next.is_some();
        if let Some(next) = next {
            self.next_scan = self
                .next_scan
                .min(now + next.max(Duration::from_millis(20)));
        }
        for (path, stamp) in settled {
            if !self.wanted(&path) {
                continue;
            }
            match self.ctx.ledger.admit(&path, stamp) {
                Ok(true) => {
                    event::arrived(&path);
                    self.results_due = true;
                }
                Ok(false) => {}
                Err(e) if self.once => return Err(e.into()),
                // The disk may be full: what was not admitted settles anew.
                Err(e) => {
                    self.settle.forget(&path);
                    if self.not_before <= now {
                        event::paused(&e.to_string(), POLL.as_secs_f64());
                        self.next_scan = now + POLL;
                        self.not_before = self.next_scan;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a file is an arrival: a PDF or EPUB by content, or one by name.
    fn wanted(&mut self, path: &Path) -> bool {
        let named = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("pdf") || e.eq_ignore_ascii_case("epub"));
        // One that cannot be opened fails with its reason when it is a document by name.
        let other = matches!(
            sniff(&self.ctx.places.inbox.join(path)),
            Ok(Kind::Other) | Err(_)
        );
        if other && !named {
            if self.left_alone.insert(path.to_path_buf()) {
                event::left_alone(path);
            }
            return false;
        }
        true
    }
}
