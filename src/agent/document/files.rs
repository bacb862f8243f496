//! A document's files from its readings: texts, report, layout PDF, in the staged folder.
//!
//! Page by page from the ledger, so that memory does not grow with the document. A layout PDF
//! that cannot be had fails no document; it is told. Nothing is published here.

use tokio::task::block_in_place;

use super::super::verdict::verdict;
use super::{Halt, Work};
use crate::document::{Child, DocumentError};
use crate::output::report::{self, Counts};
use crate::output::stage::Stage;
use crate::page::PageStatus;

impl Work<'_> {
    /// Writes the texts, the report and the layout PDF; returns what is to be told about the last.
    pub(super) async fn write(
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
