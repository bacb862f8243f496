//! Progress bars for pages, documents and bytes; silent where standard error is no terminal.

use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Two bars: documents and pages. Clones share them.
#[derive(Clone)]
pub struct Progress(Option<(ProgressBar, ProgressBar)>);

impl Progress {
    pub fn none() -> Self {
        Self(None)
    }

    pub fn new(documents: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let style = |name: &str| {
            ProgressStyle::with_template(&format!(
                "{name:>10} {{bar:32}} {{pos}}/{{len}} {{per_sec}} {{wide_msg}}"
            ))
            .unwrap_or_else(|_| ProgressStyle::default_bar())
        };
        let bars = MultiProgress::new();
        let pages = bars.add(ProgressBar::new(0).with_style(style("pages")));
        let documents = bars.add(ProgressBar::new(documents).with_style(style("documents")));
        Self(Some((documents, pages)))
    }

    pub fn opened(&self, pages: u32, read_before: usize) {
        if let Some((_, bar)) = &self.0 {
            bar.inc_length(u64::from(pages));
            bar.inc(read_before as u64);
        }
    }

    pub fn page(&self) {
        if let Some((_, bar)) = &self.0 {
            bar.inc(1);
        }
    }

    /// A line above the bars; on standard error where there are none.
    pub fn line(&self, text: &str) {
        match &self.0 {
            Some((bar, _)) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    pub fn document(&self) {
        if let Some((bar, _)) = &self.0 {
            bar.inc(1);
        }
    }

    pub fn end(&self) {
        if let Some((documents, pages)) = &self.0 {
            pages.finish();
            documents.finish();
        }
    }
}

/// One bar, of bytes written.
pub struct Bytes(Option<ProgressBar>);

impl Bytes {
    pub fn new(what: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let style = ProgressStyle::with_template(&format!(
            "{what:>10} {{bar:32}} {{bytes}}/{{total_bytes}} {{bytes_per_sec}} {{eta}}"
        ))
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(Some(ProgressBar::new(0).with_style(style)))
    }

    pub fn at(&self, done: u64, total: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(total);
            bar.set_position(done);
        }
    }

    pub fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
