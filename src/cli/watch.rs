//! `dropleaf watch`.

use std::path::{Path, PathBuf};

use super::{CONFIGURATION, Failure, Overrides, SOME_FAILED};
use crate::agent;
use crate::agent::watch::Reread;
use crate::config::{Config, Source};
use crate::observe::{event, logs};

#[derive(clap::Args)]
pub struct Arguments {
    /// End when every document in the inbox is done or failed
    #[arg(long)]
    once: bool,
    #[arg(long, value_name = "DIR")]
    inbox: Option<PathBuf>,
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[arg(long, value_name = "DIR")]
    done: Option<PathBuf>,
    #[arg(long, value_name = "DIR")]
    failed: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
}

pub fn run(file: Option<PathBuf>, a: Arguments) -> Result<u8, Failure> {
    let (config, source) = settings(file.as_deref(), &a).map_err(Failure::config)?;
    let installation = super::installation(&config);
    let logs = logs::start(&config.log, Some(&config.folders.log)).map_err(|message| Failure {
        code: CONFIGURATION,
        message,
        hint: None,
    })?;
    event::configuration(&super::named(&source));
    let reread = Reread {
        settings: &|| settings(file.as_deref(), &a).map(|(config, _)| config),
        logs: &logs,
    };
    let ended = super::run(agent::watch::watch(config, installation, a.once, reread))
        .and_then(|ended| ended.map_err(Failure::from));
    if let Err(failure) = &ended {
        event::ended(&failure.message, failure.hint.as_deref());
    }
    let any_failed = ended?;
    Ok(if a.once && any_failed { SOME_FAILED } else { 0 })
}

/// The settings file with what the command line says otherwise; at the start and at each SIGHUP.
fn settings(file: Option<&Path>, a: &Arguments) -> Result<(Config, Source), String> {
    let (mut config, source) = crate::config::load(file)?;
    let folders = &mut config.folders;
    let named = [
        (&mut folders.inbox, &a.inbox),
        (&mut folders.output, &a.output),
        (&mut folders.done, &a.done),
        (&mut folders.failed, &a.failed),
    ];
    for (folder, named) in named {
        if let Some(named) = named {
            *folder =
                std::path::absolute(named).map_err(|e| format!("{}: {e}", named.display()))?;
        }
    }
    a.overrides.apply(&mut config);
    config.validate()?;
    Ok((config, source))
}
