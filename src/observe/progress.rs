//! Progress bars for pages and documents; silent where standard error is no terminal.

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
