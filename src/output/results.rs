//! `processing_results.json`: one object over all documents, in the schema that scripts of the
//! replaced batch program read, with more fields per file. Valid JSON at every moment.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::report::Counts;

pub const FILE: &str = "processing_results.json";
/// Version of the fields that the older schema does not have.
pub const SCHEMA: u32 = 1;

/// What is told about a finished document. The ledger keeps it as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub input_path: String,
    /// With a slash at its end; empty when there is no output.
    pub output_directory: String,
    /// ISO 8601 with zone.
    pub processed_at: String,
    pub success: bool,
    /// `null` or one sentence.
    pub error: Option<String>,
    /// 0 when the document never opened.
    pub pages: u32,
    pub original_moved_to: Option<String>,
    pub seconds: f64,
    pub attempts: u32,
    pub engine: String,
    pub page_status: Counts,
}

/// The numbers and times around the files.
#[derive(Clone, Debug)]
pub struct Around<'a> {
    pub start_time: &'a str,
    pub input_directory: &'a Path,
    pub output_directory: &'a Path,
    pub waiting: u64,
    pub successful: u64,
    pub failed: u64,
    /// Now, in ISO 8601 with zone: the `end_time` of a queue that is empty.
    pub now: &'a str,
}

/// The file's text. `files`: place in the order of finishing, key, and entry (JSON).
pub fn render<'a>(
    around: &Around<'_>,
    files: impl Iterator<Item = (u64, String, &'a str)>,
) -> String {
    let mut map = Map::new();
    for (index, key, entry) in files {
        let Ok(Value::Object(entry)) = serde_json::from_str(entry) else {
            continue;
        };
        let mut file = Map::new();
        file.insert("index".into(), index.into());
        file.extend(entry);
        // A name that came again: the newest stands, at its own place in the order.
        map.shift_remove(&key);
        map.insert(key, Value::Object(file));
    }
    let processed = around.successful + around.failed;
    let value = json!({
        "schema": SCHEMA,
        "start_time": around.start_time,
        "input_directory": around.input_directory.to_string_lossy(),
        "output_base_directory": around.output_directory.to_string_lossy(),
        "output_mode": "per_file_directory",
        "total_files": processed + around.waiting,
        "processed": processed,
        "successful": around.successful,
        "failed": around.failed,
        "files": map,
        "end_time": (around.waiting == 0).then_some(around.now),
    });
    // Maps with string keys and plain values always serialise.
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_the_older_schema_are_there() {
        let entry = Entry {
            input_path: "/in/a.pdf".into(),
            output_directory: "/out/a/".into(),
            processed_at: "2026-01-01T00:00:00+00:00".into(),
            success: true,
            error: None,
            pages: 3,
            original_moved_to: Some("/done/a.pdf".into()),
            seconds: 1.5,
            attempts: 1,
            engine: "paddle".into(),
            page_status: Counts {
                ok: 3,
                ..Counts::default()
            },
        };
        let entry = serde_json::to_string(&entry).unwrap();
        let mut around = Around {
            start_time: "s",
            input_directory: Path::new("/in"),
            output_directory: Path::new("/out"),
            waiting: 1,
            successful: 2,
            failed: 0,
            now: "n",
        };
        let files = || {
            [
                (1, "a.pdf".to_owned(), entry.as_str()),
                (2, "a.pdf".to_owned(), entry.as_str()),
            ]
            .into_iter()
        };
        let value: Value = serde_json::from_str(&render(&around, files())).unwrap();
        assert_eq!(value["total_files"], 3);
        assert_eq!(value["processed"], 2);
        assert_eq!(value["output_mode"], "per_file_directory");
        assert_eq!(value["end_time"], Value::Null);
        let file = &value["files"]["a.pdf"];
        for key in [
            "input_path",
            "output_directory",
            "processed_at",
            "success",
            "error",
            "pages",
        ] {
            assert!(file.get(key).is_some(), "{key}");
        }
        assert_eq!(file["index"], 2);
        around.waiting = 0;
        let value: Value = serde_json::from_str(&render(&around, files())).unwrap();
        assert_eq!(value["end_time"], "n");
    }
}
