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
    /// 0 when it never opened.
    pub pages: u32,
    /// Pages that were read or found blank.
    pub read: u32,
    pub seconds: f64,
    pub attempts: u32,
}

impl Finished<'_> {
    fn rate(&self, pages: u32) -> f64 {
        f64::from(pages) / self.seconds.max(1e-3)
    }

    fn attempt(&self) -> String {
        if self.attempts > 1 {
            format!(", attempt {}", self.attempts)
        } else {
            String::new()
        }
    }
}

/// `note`: what may be missing although the document is done.
pub fn done(f: &Finished<'_>, note: Option<&str>) {
    info!("{}", done_line(f, note));
}

fn done_line(f: &Finished<'_>, note: Option<&str>) -> String {
    let mut text = format!(
        "{}: done, {} in {:.1} s, {:.2} pages/s",
        f.name.display(),
        counted(f.pages),
        f.seconds,
        f.rate(f.pages)
    );
    let lost = f.pages.saturating_sub(f.read);
    if lost > 0 {
        text.push_str(&format!(", {} could not be read", counted(lost)));
    }
    text.push_str(&f.attempt());
    if let Some(note) = note {
        text.push_str(&format!("; {note}"));
    }
    text
}

pub fn failed(f: &Finished<'_>, reason: &str) {
    warn!("{}", failed_line(f, reason));
}

fn failed_line(f: &Finished<'_>, reason: &str) -> String {
    format!(
        "{}: failed, {} of {} read in {:.1} s, {:.2} pages/s{}: {reason}",
        f.name.display(),
        f.read,
        counted(f.pages),
        f.seconds,
        f.rate(f.read),
        f.attempt()
    )
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

pub fn picture_failed(name: &Path, picture: u32, reason: &str) {
    warn!(
        "{}: picture {} could not be read: {reason}",
        name.display(),
        picture + 1
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

/// The settings were read again: which of the changed ones are in force now, which are not yet.
pub fn settings_read(applied: &[String], restart: &[String]) {
    let mut text = "settings read again".to_owned();
    if applied.is_empty() && restart.is_empty() {
        text.push_str(": nothing has changed");
    }
    if !applied.is_empty() {
        text.push_str(&format!("; in force now: {}", applied.join(", ")));
    }
    if !restart.is_empty() {
        text.push_str(&format!("; after a restart only: {}", restart.join(", ")));
    }
    info!("{text}");
}

pub fn settings_kept(why: &str) {
    error!("settings cannot be read again, those in force stay: {why}");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_documents_end_is_one_line_of_pages_seconds_rate_and_outcome() {
        let mut f = Finished {
            name: Path::new("x/a.pdf"),
            pages: 3,
            read: 2,
            seconds: 4.0,
            attempts: 1,
        };
        assert_eq!(
            done_line(&f, None),
            "x/a.pdf: done, 3 pages in 4.0 s, 0.75 pages/s, 1 page could not be read"
        );
        f.attempts = 2;
        assert_eq!(
            failed_line(&f, "the child died"),
            "x/a.pdf: failed, 2 of 3 pages read in 4.0 s, 0.50 pages/s, attempt 2: the child died"
        );
        (f.pages, f.read, f.attempts) = (0, 0, 1);
        assert_eq!(
            failed_line(&f, "is damaged"),
            "x/a.pdf: failed, 0 of 0 pages read in 4.0 s, 0.00 pages/s: is damaged"
        );
    }
}
