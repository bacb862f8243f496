//! `dropleaf retry`: failed originals go back into the inbox.

use std::path::{Path, PathBuf};

use super::{Failure, SOME_FAILED, USAGE};
use crate::agent::REASON;
use crate::durable;

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct Arguments {
    /// Names as they stand in failed/
    #[arg(value_name = "NAME")]
    names: Vec<PathBuf>,
    /// Every failed document
    #[arg(long)]
    all: bool,
}

pub fn run(file: Option<PathBuf>, a: Arguments) -> Result<u8, Failure> {
    let (config, _) = super::load(file)?;
    let (failed, inbox) = (&config.folders.failed, &config.folders.inbox);
    let names = if a.all {
        every(failed).map_err(Failure::machine)?
    } else {
        a.names
    };
    if names.is_empty() {
        println!("nothing in {}", failed.display());
        return Ok(0);
    }
    let mut missing = 0;
    for name in names {
        // A name, or the path of a file in failed/.
        let below = std::path::absolute(&name)
            .ok()
            .and_then(|p| p.strip_prefix(failed).ok().map(Path::to_path_buf))
            .unwrap_or_else(|| name.clone());
        let from = failed.join(&below);
        let inside = below
            .components()
            .all(|c| matches!(c, std::path::Component::Normal(_)));
        if !inside || !from.is_file() {
            eprintln!(
                "dropleaf: {} is not in {}",
                name.display(),
                failed.display()
            );
            missing += 1;
            continue;
        }
        let folder = inbox.join(below.parent().unwrap_or(Path::new("")));
        let file_name = below.file_name().unwrap_or(below.as_os_str());
        let to = durable::move_into(&from, &folder, file_name, 1).map_err(Failure::machine)?;
        durable::remove_file(&durable::beside(&from, REASON)).map_err(Failure::machine)?;
        println!("{} -> {}", from.display(), to.display());
    }
    Ok(if missing == 0 {
        0
    } else if a.all {
        SOME_FAILED
    } else {
        USAGE
    })
}

/// Every file below `failed` that is not a reason.
fn every(failed: &Path) -> std::io::Result<Vec<PathBuf>> {
    let found = crate::inbox::scan::scan(failed, &[])?;
    Ok(found
        .into_iter()
        .map(|(path, _)| path)
        .filter(|p| !p.to_string_lossy().ends_with(REASON))
        .collect())
}
