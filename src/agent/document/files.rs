//! A document's files from its readings: texts, report, layout PDF, in the staged folder.
//!
//! Page by page from the ledger, so that memory does not grow with the document: once to see what
//! only the whole shows, once to write. A layout PDF
//! that cannot be had fails no document; it is told. Nothing is published here.

use tokio::task::block_in_place;

use super::super::verdict::verdict;
use super::pages::Leaf;
use super::{Halt, Work};
use crate::document::{Child, DocumentError};
use crate::durable::FileError;
use crate::output::flow;
use crate::output::levels::{self, Levels};
use crate::output::report::{self, Counts};
use crate::output::running::{self, Heads};
use crate::output::stage::Stage;
use crate::output::title;
use crate::page::{PageStatus, Reading};

impl Work<'_> {
    /// Writes the texts, the report and the layout PDF; returns what is to be told about the last.
    pub(super) async fn write(
        &mut self,
        child: &mut Child,
        stage: &mut Stage,
    ) -> Result<(Counts, Option<String>), Halt> {
        let identity = self.identity().clone();
        let head = report::Head {
            schema: report::SCHEMA,
            version: env!("CARGO_PKG_VERSION").into(),
            job: self.job.id,
            source: self.job.source.to_string_lossy().into_owned(),
            sha256: self.digest.to_owned(),
            engine: identity.engine,
            model_digest: identity.model_digest,
            settings_digest: identity.settings_digest,
            device: identity.device,
            page_count: self.reached.pages,
            book: self.book.clone(),
        };
        let mut texts = stage.texts(&head)?;
        let opened = self.opened;
        let mut fault: Option<DocumentError> = None;
        let mut first = None;
        let overall = self.overall()?;
        // Where nothing stands between pages, paragraphs go on over them in the Markdown.
        let joined = self.book.is_none() && self.config.output.page_separator.is_empty();
        let mut ahead: Option<Reading> = None;
        let mut shortened: Option<Reading> = None;
        for page in 0..self.reached.pages {
            let reading = match ahead.take() {
                Some(reading) => reading,
                None => self.labelled(child, page, &overall).await?,
            };
            if reading.status == PageStatus::Failed && first.is_none() {
                first.clone_from(&reading.reason);
            }
            let mut shown = shortened.take();
            if joined && page + 1 < self.reached.pages {
                let next = self.labelled(child, page + 1, &overall).await?;
                let (mut whole, mut rest) =
                    (shown.unwrap_or_else(|| reading.clone()), next.clone());
                shortened = flow::carry(&mut whole, &mut rest).then_some(rest);
                shown = Some(whole);
                ahead = Some(next);
            }
            let shown = shown.as_ref().unwrap_or(&reading);
            let markdown = self.markdown(child, page, shown).await?;
            let overlay = texts.page(&reading, page, &markdown)?;
            self.ctx.beat();
            if fault.is_none() {
                match child.draw(overlay).await {
                    // A page that cannot be opened cannot be drawn on; its place is kept.
                    Ok(()) | Err(DocumentError::PageRefused(_)) => {}
                    Err(e) => {
                        let gone = matches!(e, DocumentError::Died(_) | DocumentError::TimedOut(_));
                        fault = Some(e);
                        // A book is asked on; that it could not be drawn on is no blame.
                        if gone && self.book.is_some() {
                            (*child, _) = self.open().await?;
                        }
                    }
                }
            }
        }
        if let Err(why) = verdict(&texts.counts(), first.as_deref()) {
            return Err(Halt::Reason(why));
        }
        self.pictures(child, stage).await?;
        if fault.is_none() && self.opened != opened {
            fault = Some(DocumentError::Died("what it had drawn is lost".into()));
        }
        if fault.is_none() {
            fault = layout_pdf(child, stage, || self.ctx.beat()).await?;
        }
        self.ctx.beat();
        let note = fault.map(|e| format!("without a layout PDF: {e}"));
        let counts = block_in_place(|| texts.finish(note.as_deref()))?;
        block_in_place(|| stage.seal())?;
        Ok((counts, note))
    }

    /// What the document's pages tell together. A book's have no heads but those it is typeset with,
    /// and its headings are its own.
    fn overall(&self) -> Result<Overall, Halt> {
        let (mut running, mut headings) = (running::Survey::default(), levels::Survey::default());
        let pages = if self.book.is_none() {
            self.reached.pages
        } else {
            0
        };
        for page in 0..pages {
            let reading = block_in_place(|| self.kept(Leaf::Page(page)))?;
            running.add(page, &reading);
            self.ctx.beat();
        }
        let heads = running.finish();
        for page in 0..pages {
            let mut reading = block_in_place(|| self.kept(Leaf::Page(page)))?;
            heads.label(page, &mut reading);
            headings.add(&reading);
            self.ctx.beat();
        }
        Ok(Overall {
            heads,
            levels: headings.finish(),
        })
    }

    /// A page's reading in the light of the whole document.
    async fn labelled(
        &mut self,
        child: &mut Child,
        page: u32,
        overall: &Overall,
    ) -> Result<Reading, Halt> {
        let mut reading = self.reading(child, page).await?;
        overall.heads.label(page, &mut reading);
        overall.levels.set(&mut reading);
        if page == 0 && self.book.is_none() {
            title::promote(&mut reading);
        }
        Ok(reading)
    }
}

/// What only all pages of a document show.
struct Overall {
    heads: Heads,
    levels: Levels,
}

/// Brings the layout PDF from the child into the staged folder, a piece at a time. A fault of the
/// child is returned, and then nothing of the file is left.
async fn layout_pdf(
    child: &mut Child,
    stage: &Stage,
    beat: impl Fn(),
) -> Result<Option<DocumentError>, FileError> {
    let mut saving = match child.save().await {
        Ok(saving) => saving,
        Err(e) => return Ok(Some(e)),
    };
    let mut file = block_in_place(|| stage.layout_pdf())?;
    loop {
        match saving.piece().await {
            Ok(Some(bytes)) => block_in_place(|| file.write(&bytes))?,
            Ok(None) => {
                block_in_place(|| file.finish())?;
                return Ok(None);
            }
            Err(fault) => {
                block_in_place(|| file.discard())?;
                return Ok(Some(fault));
            }
        }
        beat();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsStr;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::config;
    use crate::document::protocol::{Reply, write_frame};
    use crate::output::stage::{self, Published};
    use crate::page::Rotation;

    /// Publishes a document whose child says `replies` and dies; the fault and the files.
    async fn published(replies: &[(Reply, &[u8])]) -> (Option<String>, BTreeMap<String, Vec<u8>>) {
        let dir = tempfile::tempdir().unwrap();
        let (said, script) = (dir.path().join("said"), dir.path().join("child"));
        let mut frames = Vec::new();
        for (reply, payload) in replies {
            write_frame(&mut frames, reply, payload).unwrap();
        }
        std::fs::write(&said, frames).unwrap();
        std::fs::write(
            &script,
            format!("#!/bin/sh\nexec /bin/cat '{}'\n", said.display()),
        )
        .unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        let mut child = Child::spawn(
            &script,
            Path::new("none"),
            &config::Pdf::default(),
            &config::Epub::default(),
        )
        .unwrap();

        let stage =
            Stage::create(dir.path(), 1, OsStr::new("a"), &config::Output::default()).unwrap();
        let head = report::Head {
            schema: report::SCHEMA,
            version: "0".into(),
            job: 1,
            source: "a.pdf".into(),
            sha256: String::new(),
            engine: "test".into(),
            model_digest: String::new(),
            settings_digest: String::new(),
            device: "CPU".into(),
            page_count: 1,
            book: None,
        };
        let mut texts = stage.texts(&head).unwrap();
        let reading = Reading::of_blocks(Vec::new(), Rotation::None, 0.1);
        texts.page(&reading, 0, "").unwrap();
        let beats = AtomicU32::new(0);
        let fault = layout_pdf(&mut child, &stage, || {
            beats.fetch_add(1, Ordering::Relaxed);
        })
        .await
        .unwrap();
        let chunks = replies.iter().filter(|(r, _)| *r == Reply::Chunk).count();
        assert_eq!(beats.into_inner() as usize, chunks);
        let note = fault.map(|e| e.to_string());
        texts.finish(note.as_deref()).unwrap();
        stage.seal().unwrap();
        let done = stage::publish(dir.path(), 1, Path::new("a"), None).unwrap();
        assert_eq!(done, Published::Done);
        let files = std::fs::read_dir(dir.path().join("a"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, std::fs::read(path).unwrap())
            })
            .collect();
        (note, files)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_layout_pdf_is_published_whole_or_not_at_all() {
        let (chunk, end) = (Reply::Chunk, Reply::End);
        let whole = [
            (chunk.clone(), &b"%PDF-"[..]),
            (chunk.clone(), b"1.7"),
            (end, b""),
        ];
        let (fault, files) = published(&whole).await;
        assert_eq!(fault, None);
        assert_eq!(files["a_layouts.pdf"], b"%PDF-1.7");

        let refused = Reply::Refused("cannot be saved".into());
        for (replies, why) in [
            (vec![(chunk.clone(), &b"%PDF-"[..]), (chunk, b"1")], "died"),
            (
                vec![(Reply::Chunk, b"%PDF-"), (refused, b"")],
                "cannot be saved",
            ),
            (vec![(Reply::Drawn, b"")], "unexpected reply"),
            (vec![], "died"),
        ] {
            let (fault, files) = published(&replies).await;
            assert!(fault.is_some_and(|f| f.contains(why)), "{why}");
            let names: Vec<_> = files.keys().map(String::as_str).collect();
            assert_eq!(names, ["a.json", "a.mmd", "a_det.mmd"], "{why}");
            let report = String::from_utf8_lossy(&files["a.json"]);
            assert!(report.contains(why), "{report}");
        }
    }
}
