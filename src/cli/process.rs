//! `dropleaf process`.

use std::path::PathBuf;

use super::{CONFIGURATION, Failure, INTERRUPTED, Overrides, SOME_FAILED};
use crate::agent;
use crate::observe::logs;

#[derive(clap::Args)]
pub struct Arguments {
    /// PDF files, or folders with all below them
    #[arg(required = true, value_name = "FILE|DIR")]
    inputs: Vec<PathBuf>,
    /// Where the outputs go; subfolders are mirrored
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
    /// For measurements with the engine deepseek-ocr: every page takes N tokens, made up and not the
    /// model's own
    #[arg(long, value_name = "N", hide = true, value_parser = clap::value_parser!(u32).range(1..=7000))]
    forced_tokens: Option<u32>,
}

pub fn run(file: Option<PathBuf>, a: Arguments) -> Result<u8, Failure> {
    let (mut config, _) = super::load(file)?;
    a.overrides.apply(&mut config);
    config.deepseek.forced_tokens = a.forced_tokens.map(|n| n as usize);
    config.validate().map_err(Failure::config)?;
    let installation = super::installation(&config);
    let _logs = logs::start(&config.log, None).map_err(|message| Failure {
        code: CONFIGURATION,
        message,
        hint: None,
    })?;
    let sum = super::run(agent::process::process(
        config,
        installation,
        &a.inputs,
        &a.out,
    ))??;
    eprintln!(
        "{} done, {} failed: {}",
        sum.done,
        sum.failed,
        a.out.join("processing_results.json").display()
    );
    Ok(match sum {
        _ if sum.stopped => {
            eprintln!("interrupted; the same command goes on where this one stopped");
            INTERRUPTED
        }
        _ if sum.failed > 0 => {
            eprintln!("why: {}", a.out.join("failed.json").display());
            SOME_FAILED
        }
        _ => 0,
    })
}
