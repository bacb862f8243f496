//! What every run begins with: folders, ledger, reader, and what an interrupted run left.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use tokio::sync::Semaphore;

use super::{AgentError, Context, Installation, Places};
use crate::config::{Config, ENGINES};
use crate::durable;
use crate::engine::resident::{QUEUE, Resident};
use crate::engine::{EngineError, Reader, deepseek::DeepSeek, paddle::Paddle};
use crate::job::{Ledger, State};
use crate::observe::event;
use crate::observe::progress::Progress;
use crate::output::results::{self, Around};
use crate::output::stage;
use crate::service::stop::Stop;

/// Creates a folder and shows that it can be written to.
pub fn writable(what: &str, folder: &Path) -> Result<(), AgentError> {
    let config = |why: String| AgentError::Config {
        what: format!("{what} {}", folder.display()),
        why,
        hint:
            "create it and give it to the user that runs dropleaf, or name another in the settings"
                .into(),
    };
    durable::create_dir_all(folder).map_err(|e| config(e.source.to_string()))?;
    tempfile::Builder::new()
        .prefix(".dropleaf-")
        .tempfile_in(folder)
        .map(drop)
        .map_err(|e| config(format!("cannot be written to: {e}")))
}

/// pdfium is missing.
pub fn no_pdfium(installation: &Installation) -> AgentError {
    AgentError::Config {
        what: "pdfium".into(),
        why: format!("{} is not there", installation.pdfium.display()),
        hint: "run packaging/fetch-assets".into(),
    }
}

/// Loads the engine that the settings name. Blocks for seconds.
pub fn load(installation: &Installation, config: &Config) -> Result<Box<dyn Reader>, EngineError> {
    let (lib, models) = (&installation.lib, &installation.models);
    match &*config.engine.name {
        "paddle" => Ok(Box::new(Paddle::load(lib, models, &config.engine)?)),
        "deepseek-ocr" => Ok(Box::new(DeepSeek::load(lib, models, config)?)),
        name => Err(EngineError::Config {
            what: format!("engine.name = \"{name}\""),
            why: "there is no such engine".into(),
            hint: format!("set one of {}", ENGINES.join(", ")),
        }),
    }
}

/// Starts the reader on its thread.
async fn resident(installation: &Installation, config: &Config) -> Result<Resident, AgentError> {
    let (installation, config) = (installation.clone(), config.clone());
    let started =
        tokio::task::spawn_blocking(move || Resident::start(move || load(&installation, &config)));
    Ok(started
        .await
        .map_err(|e| AgentError::Machine(e.to_string()))??)
}

pub async fn context(
    config: Config,
    installation: Installation,
    places: Places,
    ledger: Ledger,
    progress: Progress,
    stop: Stop,
) -> Result<Arc<Context>, AgentError> {
    if !installation.pdfium.is_file() {
        return Err(no_pdfium(&installation));
    }
    let reader = resident(&installation, &config).await?;
    Ok(Arc::new(Context {
        config,
        installation,
        places,
        ledger,
        queue: Arc::new(Semaphore::new(QUEUE + reader.capacity - 1)),
        reader,
        stop,
        progress,
        long: AtomicUsize::new(0),
        pages_read: AtomicU64::new(0),
    }))
}

/// Clears what an interrupted run had begun to stage; what it had decided is finished by the
/// runner, as any job.
pub fn recover(ctx: &Context) -> Result<(), AgentError> {
    let mut staged = Vec::new();
    for job in ctx.ledger.open_jobs()? {
        if job.state == State::Publishing {
            event::recovered(&job.source, "publishing");
            staged.push(job.id);
        }
    }
    Ok(stage::sweep(&ctx.places.output, &staged)?)
}

/// Writes `processing_results.json`.
pub fn write_results(ctx: &Context, start_time: &str, stopped: bool) -> Result<(), AgentError> {
    let counts = ctx.ledger.counts()?;
    let finished = ctx.ledger.finished(ctx.config.output.results_limit)?;
    let now = now();
    let around = Around {
        start_time,
        input_directory: &ctx.places.inbox,
        output_directory: &ctx.places.output,
        waiting: if stopped { 0 } else { counts.open },
        successful: counts.done,
        failed: counts.failed,
        now: &now,
    };
    let files = finished.iter().map(|f| {
        (
            f.index,
            f.source.to_string_lossy().into_owned(),
            f.summary.as_str(),
        )
    });
    durable::write_atomic(
        &ctx.places.output.join(results::FILE),
        results::render(&around, files).as_bytes(),
    )?;
    Ok(())
}

/// ISO 8601 with zone.
pub fn now() -> String {
    jiff::Zoned::now().strftime("%FT%T%.3f%:z").to_string()
}
