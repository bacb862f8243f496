//! What a document's child is asked for: to open it, for images and characters of pages.
//!
//! A child that dies or is past its limit is counted and replaced, up to the bounds of `DEATHS`
//! and `TIMEOUTS`. The agent itself never opens a document further than its first bytes.

use std::time::Duration;

use super::pages::Leaf;
use super::{DEATHS, Halt, TIMEOUTS, Work};
use crate::agent::Context;
use crate::document::{Child, DocumentError, Kind, Opened, sniff};
use crate::observe::event;
use crate::page::{PageChars, PageImage};

impl Work<'_> {
    pub(super) fn sniff(&mut self) -> Result<(), Halt> {
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
            Kind::Epub => {
                self.is_epub = true;
                if !named("epub") {
                    event::other_name(&self.job.source, "an EPUB");
                }
                Ok(())
            }
            Kind::Other => Err(Halt::Damaged(
                "is neither a PDF nor an EPUB: its first bytes are not those of one".into(),
            )),
        }
    }

    /// A child that holds the document open; a death counts and is tried once more.
    pub(super) async fn open(&mut self) -> Result<(Child, Opened), Halt> {
        loop {
            let installation = &self.ctx.installation;
            let mut child = Child::spawn(
                &installation.exe,
                &installation.pdfium,
                &self.config.pdf,
                &self.config.epub,
            )
            .map_err(|e| Halt::Machine(e.to_string()))?;
            match alive(self.ctx, child.open(self.path)).await? {
                Ok(opened) => {
                    tracing::debug!(
                        "{}: {} pages, {}",
                        self.job.source.display(),
                        opened.pages,
                        opened.sandbox
                    );
                    self.opened += 1;
                    return Ok((child, opened));
                }
                // A book that took so long once takes as long again.
                Err(e @ DocumentError::TimedOut(_)) if self.is_epub => {
                    return Err(Halt::Reason(format!("opening it {e}")));
                }
                Err(e) => self.excuse(e)?,
            }
        }
    }

    /// Takes a fault of the child, and a new child; not if it has died too often.
    pub(super) async fn replace(
        &mut self,
        child: &mut Child,
        fault: DocumentError,
    ) -> Result<(), Halt> {
        self.excuse(fault)?;
        (*child, _) = self.open().await?;
        Ok(())
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

    /// The image of a leaf, or why it has none; a dead child is replaced.
    pub(super) async fn image(
        &mut self,
        child: &mut Child,
        leaf: Leaf,
    ) -> Result<Result<PageImage, String>, Halt> {
        loop {
            let wish = self.ctx.reader.wish;
            let rendered = match leaf {
                Leaf::Page(page) => child.render(page, wish).await,
                Leaf::Picture(picture) => child.render_picture(picture, wish).await,
            };
            self.ctx.beat();
            match rendered {
                Ok(image) => return Ok(Ok(image)),
                Err(DocumentError::PageRefused(why)) => return Ok(Err(why)),
                Err(e) => {
                    let why = e.to_string();
                    let timed_out = matches!(e, DocumentError::TimedOut(_));
                    self.replace(child, e).await?;
                    if timed_out {
                        return Ok(Err(why));
                    }
                }
            }
        }
    }

    /// The characters of a page, where the reader can use them. Pages are read without them all
    /// the same: a child that they kill is replaced without blame, and asked for no more.
    pub(super) async fn chars(
        &mut self,
        child: &mut Child,
        page: u32,
    ) -> Result<Option<PageChars>, Halt> {
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
}

/// Seconds between signs of life while a document is opened: typesetting a book takes a while.
const ALIVE: Duration = Duration::from_secs(5);

/// Waits for `work`, which has a limit of its own, and says meanwhile that the agent lives; not
/// longer than the agent is to.
async fn alive<T>(ctx: &Context, work: impl Future<Output = T>) -> Result<T, Halt> {
    tokio::pin!(work);
    let mut ticks = tokio::time::interval(ALIVE);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = ctx.stop.wait() => return Err(Halt::Stopped),
            _ = ticks.tick() => ctx.beat(),
        }
    }
}
