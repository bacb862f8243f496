//! `dropleaf model`: what is under `models/`, and how a checkpoint gets there.

use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::{BUG, CONFIGURATION, Failure, INTERRUPTED, MACHINE, USAGE};
use crate::import::{self, ImportError, Options};
use crate::observe::progress::Bytes;
use crate::pack::{MANIFEST, Pack, Storage};
use crate::service::stop::Stop;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the model packs that are there
    List,
    /// Make a model pack of a DeepSeek-OCR checkpoint
    Import(Import),
    /// Measure a DeepSeek-OCR pack on this machine
    Bench(super::bench::Arguments),
    /// Compare a DeepSeek-OCR pack with recorded values, stage by stage
    Verify(super::verify::Arguments),
}

#[derive(clap::Args)]
struct Import {
    /// Folder with config.json, tokenizer.json and *.safetensors
    #[arg(value_name = "DIR")]
    checkpoint: PathBuf,
    /// Name of the pack (default: that of DIR)
    #[arg(long)]
    name: Option<String>,
    /// How weights are stored: bf16 for CUDA and CPU, f32 for the CPU alone
    #[arg(long, value_enum, default_value = "bf16")]
    dtype: StorageName,
    /// What the pack says about its licence (default: the first line of DIR/LICENSE)
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    /// Replace a pack of that name
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum StorageName {
    Bf16,
    F32,
}

pub fn run(file: Option<PathBuf>, a: Arguments) -> Result<u8, Failure> {
    let (config, _) = super::load(file.clone())?;
    let models = super::installation(&config).models;
    match a.command {
        Command::List => list(&models),
        Command::Import(a) => import(&models, a),
        Command::Bench(a) => super::bench::run(file, a),
        Command::Verify(a) => super::verify::run(file, a),
    }
}

fn list(models: &std::path::Path) -> Result<u8, Failure> {
    let mut folders: Vec<PathBuf> = match std::fs::read_dir(models) {
        Ok(entries) => entries.flatten().map(|e| e.path()).collect(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Failure::machine(format!("{}: {e}", models.display()))),
    };
    folders.retain(|f| {
        let hidden = f
            .file_name()
            .is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        !hidden && f.join(MANIFEST).is_file()
    });
    folders.sort();
    if folders.is_empty() {
        println!("no model pack is in {}", models.display());
    }
    let mut code = 0;
    for folder in folders {
        let shown = folder.file_name().unwrap_or_default().to_string_lossy();
        match Pack::open_any(&folder) {
            Ok(pack) => {
                let storage = match pack.deepseek.as_ref().map(|g| g.dtype) {
                    Some(Storage::Bf16) => "bf16",
                    Some(Storage::F32) => "f32",
                    None => "-",
                };
                let bytes: u64 = pack
                    .files()
                    .filter_map(|(_, path)| path.metadata().ok())
                    .map(|m| m.len())
                    .sum();
                println!(
                    "{shown}  {}  {storage}  {} MB  {}",
                    pack.engine,
                    bytes.div_ceil(1_000_000),
                    if pack.licence.is_empty() {
                        "-"
                    } else {
                        &pack.licence
                    },
                );
            }
            Err(e) => {
                println!("{shown}  FAULT: {}; hint: {}", e.why, e.hint);
                code = CONFIGURATION;
            }
        }
    }
    Ok(code)
}

fn import(models: &std::path::Path, a: Import) -> Result<u8, Failure> {
    let options = Options {
        name: a.name,
        storage: match a.dtype {
            StorageName::Bf16 => Storage::Bf16,
            StorageName::F32 => Storage::F32,
        },
        licence: a.licence,
        replace: a.force,
    };
    let imported = super::run(async {
        let stop = Stop::listen().map_err(|e| Failure::machine(format!("signals: {e}")))?;
        let bar = Bytes::new("import");
        let imported = tokio::task::block_in_place(|| {
            import::import(&a.checkpoint, models, &options, &mut |done, total| {
                bar.at(done, total);
                if stop.asked() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
        });
        bar.end();
        imported.map_err(Failure::from)
    })??;
    println!(
        "imported {} tensors, {} MB: {}",
        imported.tensors,
        imported.bytes.div_ceil(1_000_000),
        imported.path.display()
    );
    println!(
        "read with it: --engine deepseek-ocr --model {}",
        imported.name
    );
    Ok(0)
}

impl From<ImportError> for Failure {
    fn from(e: ImportError) -> Self {
        Self {
            code: match e {
                ImportError::Exists { .. } => USAGE,
                ImportError::Space { .. } | ImportError::Write(_) => MACHINE,
                ImportError::Cancelled => INTERRUPTED,
                ImportError::Bug(_) => BUG,
                _ => CONFIGURATION,
            },
            hint: e.hint(),
            message: e.to_string(),
        }
    }
}
