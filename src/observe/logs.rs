//! Log files by day, with retention, and standard error for the journal.

use std::io::IsTerminal;
use std::path::Path;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config;

/// A filter that can be exchanged while lines are written.
type Level = reload::Handle<EnvFilter, Registry>;

/// Flushes the files when dropped.
pub struct Logs {
    #[expect(dead_code, reason = "held for its drop")]
    flush: Option<WorkerGuard>,
    files: Option<Level>,
    stderr: Level,
}

impl Logs {
    /// Changes `log.level`; where it cannot be read the old one stays.
    pub fn set_level(&self, level: &str) -> Result<(), String> {
        let (files, stderr) = (filter(level)?, quiet(filter(level)?)?);
        let set = |handle: &Level, filter| handle.reload(filter).map_err(|e| e.to_string());
        if let Some(handle) = &self.files {
            set(handle, files)?;
        }
        set(&self.stderr, stderr)
    }
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    // ONNX Runtime speaks through tracing: its warnings about node placement help nobody.
    let text = if level.contains(['=', ',']) {
        level.to_owned()
    } else {
        format!("{level},ort=error")
    };
    EnvFilter::try_new(&text).map_err(|e| format!("log.level \"{level}\": {e}"))
}

/// Without what standard error is told otherwise.
fn quiet(filter: EnvFilter) -> Result<EnvFilter, String> {
    let off = format!("{FILES_ONLY}=off")
        .parse()
        .map_err(|e| format!("{FILES_ONLY}: {e}"))?;
    Ok(filter.add_directive(off))
}

/// Target of what standard error is told otherwise.
pub const FILES_ONLY: &str = "dropleaf::ended";

/// Starts logging: to `folder` where one is given, and to standard error.
pub fn start(log: &config::Log, folder: Option<&Path>) -> Result<Logs, String> {
    let mut layers = Vec::new();
    let (mut flush, mut files_level) = (None, None);
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)
            .map_err(|e| format!("cannot create the log folder {}: {e}", folder.display()))?;
        let files = RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix("dropleaf")
            .filename_suffix("log")
            .max_log_files(log.keep.max(1))
            .build(folder)
            .map_err(|e| format!("cannot write to the log folder {}: {e}", folder.display()))?;
        let (writer, held) = tracing_appender::non_blocking(files);
        flush = Some(held);
        let layer = fmt::layer()
            .with_ansi(false)
            .with_writer(writer)
            .with_span_events(FmtSpan::NONE);
        let layer = if log.json {
            layer.json().boxed()
        } else {
            layer.with_target(false).boxed()
        };
        let (level, handle) = reload::Layer::new(filter(&log.level)?);
        files_level = Some(handle);
        layers.push(layer.with_filter(level).boxed());
    }
    // The journal has its own times; a terminal's reader has a clock.
    let stderr = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time();
    let (level, stderr_level) = reload::Layer::new(quiet(filter(&log.level)?)?);
    layers.push(stderr.with_filter(level).boxed());
    tracing_subscriber::registry()
        .with(layers)
        .try_init()
        .map_err(|e| e.to_string())?;
    Ok(Logs {
        flush,
        files: files_level,
        stderr: stderr_level,
    })
}
