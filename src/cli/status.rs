//! `dropleaf status`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Failure;
use crate::job::Ledger;
use crate::service::lock;

#[derive(clap::Args)]
pub struct Arguments {
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Every finished document, not only the newest failures
    #[arg(long)]
    history: bool,
}

/// Failures shown without `--history`.
const NEWEST: usize = 5;

pub fn run(file: Option<PathBuf>, a: Arguments) -> Result<u8, Failure> {
    let (config, source) = super::load(file)?;
    let path = config.folders.state.join("ledger.sqlite");
    if !path.is_file() {
        println!(
            "no document was ever seen: {} is not there (settings: {})",
            path.display(),
            super::named(&source)
        );
        return Ok(0);
    }
    let ledger = Ledger::open(&path).map_err(Failure::machine)?;
    let running = matches!(lock::lock(&config.folders.inbox), Ok(None));
    let counts = ledger.counts().map_err(Failure::machine)?;
    let open = ledger.open_jobs().map_err(Failure::machine)?;
    let limit = if a.history {
        usize::MAX
    } else {
        config.output.results_limit
    };
    let mut finished: Vec<Value> = ledger
        .finished(limit)
        .map_err(Failure::machine)?
        .into_iter()
        .map(|f| {
            let mut entry: Value = serde_json::from_str(&f.summary).unwrap_or_default();
            if let Some(map) = entry.as_object_mut() {
                map.insert("name".into(), f.source.to_string_lossy().into());
                map.insert("index".into(), f.index.into());
            }
            entry
        })
        .collect();
    if !a.history {
        finished.retain(|e| e["success"] == false);
        finished.drain(..finished.len().saturating_sub(NEWEST));
    }
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    if a.json {
        let open: Vec<Value> = open
            .iter()
            .map(|j| json!({ "name": j.source.to_string_lossy(), "state": j.state.name(), "attempts": j.attempts }))
            .collect();
        let value = json!({
            "running": running, "inbox": config.folders.inbox.to_string_lossy(), "open": open,
            "done": counts.done, "failed": counts.failed,
            (if a.history { "history" } else { "last_failures" }): finished,
        });
        println!(
            "{}",
            serde_json::to_string_pretty(&value).map_err(Failure::machine)?
        );
        return Ok(0);
    }
    println!(
        "inbox    {} ({})",
        config.folders.inbox.display(),
        if running {
            "watched"
        } else {
            "nobody watches it"
        }
    );
    println!("open     {}", counts.open);
    println!("done     {}", counts.done);
    println!("failed   {}", counts.failed);
    for job in open.iter().take(20) {
        println!("  {} {}", job.state.name(), job.source.display());
    }
    if open.len() > 20 {
        println!("  and {} more", open.len() - 20);
    }
    if !finished.is_empty() {
        println!(
            "{}",
            if a.history {
                "finished"
            } else {
                "last failures"
            }
        );
    }
    for e in &finished {
        let end = if e["success"] == true {
            format!("{} pages", e["pages"])
        } else {
            text(&e["error"])
        };
        println!("  {} {}: {end}", text(&e["processed_at"]), text(&e["name"]));
    }
    Ok(0)
}
