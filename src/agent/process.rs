//! `dropleaf process`: the same work once, on files that stay where they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::runner::Runner;
use super::{AgentError, Installation, Places, start};
use crate::config::Config;
use crate::document::{Kind, sniff};
use crate::durable;
use crate::inbox::scan::scan;
use crate::job::{Ledger, Stamp};
use crate::observe::progress::Progress;
use crate::service::lock;
use crate::service::stop::Stop;

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    pub done: u64,
    pub failed: u64,
    pub stopped: bool,
}

/// Reads `inputs` (files, or folders with all below them) into `out`.
pub async fn process(
    config: Config,
    installation: Installation,
    inputs: &[PathBuf],
    out: &Path,
) -> Result<Sum, AgentError> {
    let (root, files) = collect(inputs, &config.watch.ignore)?;
    let out = std::path::absolute(out)
        .map_err(|e| AgentError::Usage(format!("{}: {e}", out.display())))?;
    start::writable("the output folder", &out)?;
    start::writable("the state folder", &config.folders.state)?;
    let out = out
        .canonicalize()
        .map_err(|e| AgentError::Machine(format!("{}: {e}", out.display())))?;
    let _lock = lock::lock(&out)
        .map_err(|e| AgentError::Machine(format!("cannot lock {}: {e}", out.display())))?
        .ok_or_else(|| {
            AgentError::Usage(format!("another dropleaf writes to {}", out.display()))
        })?;
    let stop = Stop::listen().map_err(|e| AgentError::Machine(e.to_string()))?;
    let mut ledger = Ledger::open(&config.folders.state.join(ledger_name(&out)))?;
    let mut stamps = BTreeMap::new();
    for file in &files {
        let meta = std::fs::metadata(root.join(file))
            .map_err(|e| AgentError::Usage(format!("{}: {e}", file.display())))?;
        stamps.insert(file.as_path(), Stamp::of_metadata(&meta));
    }
    ledger.begin_run(&root, &|source| stamps.get(source).copied())?;
    let start_time = start::now();
    for (file, stamp) in &stamps {
        ledger.admit(file, *stamp)?;
    }
    let progress = Progress::new(files.len() as u64);
    let places = Places {
        inbox: root,
        output: out,
        filing: None,
    };
    let ctx = start::context(
        config,
        installation,
        places,
        ledger,
        progress.clone(),
        stop.clone(),
    )
    .await?;
    start::recover(&ctx)?;
    let mut runner = Runner::new(&ctx);
    loop {
        runner.fill()?;
        if runner.running() == 0 {
            break;
        }
        let left = runner.next().await?;
        if let Some(why) = left.fault {
            return Err(AgentError::Machine(why));
        }
        if left.finished {
            progress.document();
            start::write_results(&ctx, &start_time)?;
        }
    }
    progress.end();
    start::write_results(&ctx, &start_time)?;
    failures(&ctx.ledger, &ctx.places.output)?;
    let counts = ctx.ledger.counts()?;
    Ok(Sum {
        done: counts.done,
        failed: counts.failed,
        stopped: stop.asked(),
    })
}

/// Writes `failed.json`: what failed, and why; an empty list when nothing did.
fn failures(ledger: &Ledger, out: &Path) -> Result<(), AgentError> {
    let mut list = Vec::new();
    for f in ledger.finished(usize::MAX)? {
        let entry: serde_json::Value = serde_json::from_str(&f.summary).unwrap_or_default();
        if entry["success"] == false {
            list.push(json!({ "file": f.source.to_string_lossy(), "reason": entry["error"], "pages": entry["pages"] }));
        }
    }
    let mut bytes =
        serde_json::to_vec_pretty(&list).map_err(|e| AgentError::Machine(e.to_string()))?;
    bytes.push(b'\n');
    Ok(durable::write_atomic(&out.join("failed.json"), &bytes)?)
}

/// Each output folder has a ledger of its own.
fn ledger_name(out: &Path) -> String {
    use sha2::{Digest, Sha256};
    use std::os::unix::ffi::OsStrExt;
    let digest = durable::hex(&Sha256::digest(out.as_os_str().as_bytes()));
    format!("process-{}.sqlite", &digest[..16])
}

/// The common folder of the inputs, and the files below it. Files are taken as they are named;
/// of a folder, those that are documents by content or by name.
fn collect(inputs: &[PathBuf], ignore: &[String]) -> Result<(PathBuf, Vec<PathBuf>), AgentError> {
    let mut files: BTreeSet<PathBuf> = BTreeSet::new();
    let mut root: Option<PathBuf> = None;
    for input in inputs {
        let usage = |e: std::io::Error| AgentError::Usage(format!("{}: {e}", input.display()));
        let path = input.canonicalize().map_err(usage)?;
        let folder = if path.is_dir() {
            for (file, _) in scan(&path, ignore).map_err(usage)? {
                let file = path.join(file);
                let named = file.extension().is_some_and(|e| {
                    e.eq_ignore_ascii_case("pdf") || e.eq_ignore_ascii_case("epub")
                });
                if named || matches!(sniff(&file), Ok(Kind::Pdf | Kind::Epub)) {
                    files.insert(file);
                }
            }
            path
        } else {
            let folder = path.parent().unwrap_or(Path::new("/")).to_path_buf();
            files.insert(path);
            folder
        };
        root = Some(match root {
            Some(root) => common(&root, &folder),
            None => folder,
        });
    }
    let root = root.ok_or_else(|| AgentError::Usage("no file or folder was named".into()))?;
    if files.is_empty() {
        return Err(AgentError::Usage(
            "nothing to process: no PDF or EPUB in what was named".into(),
        ));
    }
    let files = files
        .into_iter()
        .map(|f| f.strip_prefix(&root).map(Path::to_path_buf).unwrap_or(f))
        .collect();
    Ok((root, files))
}

fn common(a: &Path, b: &Path) -> PathBuf {
    a.components()
        .zip(b.components())
        .take_while(|(x, y)| x == y)
        .map(|(x, _)| x)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_named_below_their_common_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("x/y")).unwrap();
        std::fs::write(root.join("x/a.pdf"), "%PDF-1.4").unwrap();
        std::fs::write(root.join("x/y/b.bin"), "%PDF-1.4").unwrap();
        std::fs::write(root.join("x/y/notes.txt"), "words").unwrap();
        std::fs::write(root.join("c.pdf"), "%PDF-1.4").unwrap();
        let (found, files) = collect(&[root.join("x"), root.join("c.pdf")], &[]).unwrap();
        assert_eq!(found, root);
        assert_eq!(
            files,
            [PathBuf::from("c.pdf"), "x/a.pdf".into(), "x/y/b.bin".into()]
        );
        assert!(collect(&[root.join("missing")], &[]).is_err());
        std::fs::create_dir(root.join("empty")).unwrap();
        assert!(collect(&[root.join("empty")], &[]).is_err());
    }
}
