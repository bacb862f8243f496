//! `<stem>.json`: what is known about a document, page by page.

use serde::Serialize;

use crate::page::{Book, PageBox, PageStatus, PageText, Reading, Rotation, Tried};

/// Version of the report's fields.
pub const SCHEMA: u32 = 2;

/// What stands before the pages.
#[derive(Clone, Debug, Serialize)]
pub struct Head {
    pub schema: u32,
    /// Version of dropleaf.
    pub version: String,
    /// Number of the job in the ledger.
    pub job: i64,
    /// Path relative to the inbox.
    pub source: String,
    /// SHA-256 of the original, hexadecimal.
    pub sha256: String,
    pub engine: String,
    pub model_digest: String,
    pub settings_digest: String,
    pub device: String,
    pub page_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub book: Option<Book>,
}

#[derive(Serialize)]
struct Page<'a> {
    page: u32,
    status: PageStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<u32>,
    rotation: Rotation,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a PageText>,
    #[serde(skip_serializing_if = "<[Tried]>::is_empty")]
    tried: &'a [Tried],
    blocks: Vec<BlockLine<'a>>,
}

#[derive(Serialize)]
struct BlockLine<'a> {
    label: &'a str,
    boxes: &'a [PageBox],
}

/// One page as a line of JSON. `page` counts from 0.
pub fn page(reading: &Reading, page: u32) -> serde_json::Result<String> {
    serde_json::to_string(&Page {
        page,
        status: reading.status,
        reason: reading.reason.as_deref(),
        seconds: (reading.seconds * 1000.0).round() / 1000.0,
        tokens: reading.tokens,
        rotation: reading.rotation,
        text: reading.text.as_ref(),
        tried: &reading.tried,
        blocks: reading
            .blocks
            .iter()
            .map(|b| BlockLine {
                label: &b.label,
                boxes: &b.boxes,
            })
            .collect(),
    })
}

/// The report's beginning, up to the first page.
pub fn begin(head: &Head) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(head)?;
    text.truncate(text.trim_end().trim_end_matches('}').trim_end().len());
    text.push_str(",\n  \"pages\": [");
    Ok(text)
}

/// The report's end. `layout_error` says why there is no layout PDF.
pub fn end(status: &Counts, layout_error: Option<&str>) -> serde_json::Result<String> {
    Ok(format!(
        "\n  ],\n  \"page_status\": {},\n  \"layout_pdf_error\": {}\n}}\n",
        serde_json::to_string(status)?,
        serde_json::to_string(&layout_error)?
    ))
}

/// How many pages have each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    pub ok: u32,
    pub blank: u32,
    pub looped: u32,
    pub truncated: u32,
    pub fallback: u32,
    pub failed: u32,
}

impl Counts {
    pub fn add(&mut self, status: PageStatus) {
        *match status {
            PageStatus::Ok => &mut self.ok,
            PageStatus::Blank => &mut self.blank,
            PageStatus::Looped => &mut self.looped,
            PageStatus::Truncated => &mut self.truncated,
            PageStatus::Fallback => &mut self.fallback,
            PageStatus::Failed => &mut self.failed,
        } += 1;
    }

    pub fn total(&self) -> u32 {
        self.read() + self.failed
    }

    /// Pages that were read or found blank.
    pub fn read(&self) -> u32 {
        self.ok + self.blank + self.looped + self.truncated + self.fallback
    }
}
