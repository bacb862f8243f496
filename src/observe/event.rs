//! Every line that an operator reads, one function each.

use std::path::Path;

use tracing::{debug, error, info, warn};

pub fn ready(device: &str, engine: &str, seconds: f64, inbox: &Path) {
    info!(
        "ready: {engine} on {device}, loaded in {seconds:.1} s; watching {}",
        inbox.display()
    );
}

pub fn configuration(source: &str) {
    info!("dropleaf {}, settings: {source}", env!("CARGO_PKG_VERSION"));
}

pub fn arrived(name: &Path) {
    debug!("{}: arrived", name.display());
}

pub fn left_alone(name: &Path) {
    info!(
        "{}: neither a PDF nor an EPUB, left where it is",
        name.display()
    );
}

pub fn other_name(name: &Path, kind: &str) {
    info!("{}: is {kind} under another name", name.display());
}

fn counted(pages: u32) -> String {
    format!("{pages} page{}", if pages == 1 { "" } else { "s" })
}

/// A document's end.
pub struct Finished<'a> {
    pub name: &'a Path,
    pub pages: u32,
    pub failed_pages: u32,
    pub seconds: f64,
    pub attempts: u32,
    /// What may be missing although the document is done.
    pub note: Option<&'a str>,
}

pub fn done(f: &Finished<'_>) {
    let rate = f64::from(f.pages) / f.seconds.max(1e-3);
    let mut text = format!(
        "{}: done, {} in {:.1} s, {rate:.2} pages/s",
        f.name.display(),
        counted(f.pages),
        f.seconds
    );
    if f.failed_pages > 0 {
        text.push_str(&format!(", {} could not be read", counted(f.failed_pages)));
    }
    if f.attempts > 1 {
        text.push_str(&format!(", attempt {}", f.attempts));
    }
    if let Some(note) = f.note {
        text.push_str(&format!("; {note}"));
    }
    info!("{text}");
}

pub fn failed(name: &Path, reason: &str, attempts: u32) {
    warn!(
        "{}: failed after {attempts} attempt(s): {reason}",
        name.display()
    );
}

pub fn later(name: &Path, why: &str, seconds: f64) {
    info!("{}: {why}; tried again in {seconds:.0} s", name.display());
}

pub fn changed(name: &Path) {
    info!(
        "{}: changed while it was read, reading it again",
        name.display()
    );
}

pub fn gone(name: &Path) {
    info!("{}: taken away before it was read", name.display());
}

pub fn page(name: &Path, page: u32, status: &str, seconds: f64) {
    debug!(
        "{}: page {} {status}, {seconds:.2} s",
        name.display(),
        page + 1
    );
}

pub fn page_failed(name: &Path, page: u32, reason: &str) {
    warn!(
        "{}: page {} could not be read: {reason}",
        name.display(),
        page + 1
    );
}

pub fn child_died(name: &Path, how: &str) {
    warn!("{}: {how}", name.display());
}

pub fn panicked(name: &Path, why: &str) {
    error!("{}: {why}", name.display());
}

pub fn without_chars(name: &Path, page: u32, why: &str) {
    warn!(
        "{}: its own characters cannot be had, page {}: {why}; reading without them",
        name.display(),
        page + 1
    );
}

pub fn resumed(name: &Path, pages: usize) {
    info!(
        "{}: going on, {} read before",
        name.display(),
        counted(pages as u32)
    );
}

pub fn recovered(name: &Path, what: &str) {
    info!("{}: {what} after an interruption", name.display());
}

pub fn paused(why: &str, seconds: f64) {
    error!("paused: {why}; no document is to blame, trying again in {seconds:.0} s");
}

pub fn going_on() {
    info!("going on");
}

pub fn draining(documents: usize) {
    info!("stopping: pages in work are finished first ({documents} documents open)");
}

/// Why the agent ended. For the log files: standard error hears it from the command itself.
pub fn ended(why: &str, hint: Option<&str>) {
    match hint {
        Some(hint) => error!(target: super::logs::FILES_ONLY, "ended: {why}; {hint}"),
        None => error!(target: super::logs::FILES_ONLY, "ended: {why}"),
    }
}

pub fn stopped() {
    info!("stopped");
}
