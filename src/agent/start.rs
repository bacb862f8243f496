//! What every run begins with: folders, ledger, reader, and what an interrupted run left.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, RwLock};

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
    let blame = |why: String, e: &io::Error| {
        let what = format!("{what} {}", folder.display());
        if !by_settings(e.kind()) {
            return AgentError::Machine(format!("{what}: {why}"));
        }
        let hint =
            "create it and give it to the user that runs dropleaf, or name another in the settings";
        AgentError::Config {
            what,
            why,
            hint: hint.into(),
        }
    };
    durable::create_dir_all(folder).map_err(|e| blame(e.source.to_string(), &e.source))?;
    tempfile::Builder::new()
        .prefix(".dropleaf-")
        .tempfile_in(folder)
        .map(drop)
        .map_err(|e| blame(format!("cannot be written to: {e}"), &e))
}

/// Whether other settings or owners mend it; a full disk or a share that is gone is not mended so.
fn by_settings(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{AlreadyExists, NotADirectory, PermissionDenied, ReadOnlyFilesystem};
    matches!(
        kind,
        // A file stands where the folder should be.
        AlreadyExists | NotADirectory | PermissionDenied | ReadOnlyFilesystem
    )
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
        "paddle" => Ok(Box::new(Paddle::load(lib, models, config)?)),
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
        settings: RwLock::new(Arc::new(config)),
        installation,
        places,
        ledger,
        queue: Arc::new(Semaphore::new(QUEUE + reader.capacity - 1)),
        reader,
        stop,
        progress,
        long: AtomicUsize::new(0),
        beats: AtomicU64::new(0),
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

/// Writes `processing_results.json`. An interrupted run tells what still waits.
pub fn write_results(ctx: &Context, start_time: &str) -> Result<(), AgentError> {
    let counts = ctx.ledger.counts()?;
    let finished = ctx.ledger.finished(ctx.config().output.results_limit)?;
    let now = now();
    let around = Around {
        start_time,
        input_directory: &ctx.places.inbox,
        output_directory: &ctx.places.output,
        waiting: counts.open,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_settings_can_mend_is_blamed_on_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        for folder in [file.clone(), file.join("below")] {
            let refused = writable("output", &folder);
            assert!(matches!(refused, Err(AgentError::Config { .. })));
        }
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::NotFound] {
            assert!(!by_settings(kind));
        }
        assert!(!by_settings(io::Error::from_raw_os_error(5).kind()));
        assert!(writable("output", &dir.path().join("new")).is_ok());
    }
}
