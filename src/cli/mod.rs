//! The command line: one file per command; errors become message, hint and exit code here.

mod bench;
mod check;
mod config;
mod model;
mod process;
mod retry;
mod status;
mod verify;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::agent::{AgentError, Installation};
use crate::config::{Cache, Config, Device, Mode, Source, TextLayer};
use crate::engine::session::LIBRARY;

/// Turns PDF files into Markdown, boxes, a layout PDF and pictures.
#[derive(Parser)]
#[command(name = "dropleaf", version, max_term_width = 100)]
struct Cli {
    /// Settings file (default: the user's, then /etc/dropleaf/dropleaf.toml, then built in)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Watch the inbox; what is dropped there is read, the original moves to done/ or failed/
    Watch(watch::Arguments),
    /// Read files or folders once and leave the originals where they are
    Process(process::Arguments),
    /// Show the queue and the newest failures
    Status(status::Arguments),
    /// Move failed documents back into the inbox
    Retry(retry::Arguments),
    /// Look at settings, folders, libraries and models, and read one page
    Check(check::Arguments),
    /// List model packs, or make one of a checkpoint
    Model(model::Arguments),
    /// Print the settings in force
    Config(config::Arguments),
    #[command(hide = true)]
    DocumentWorker {
        #[arg(long)]
        library: PathBuf,
        #[arg(long)]
        memory_mb: u64,
    },
}

/// Settings that several commands take.
#[derive(Args, Default)]
struct Overrides {
    #[arg(long, value_name = "NAME", help = "Engine: paddle or deepseek-ocr")]
    engine: Option<String>,
    #[arg(long, value_name = "NAME", help = "Model pack: a folder under models/")]
    model: Option<String>,
    #[arg(long, value_enum, help = "Where the engine runs")]
    device: Option<DeviceName>,
    #[arg(
        long,
        value_enum,
        help = "Whether paddle uses the text that a PDF itself holds"
    )]
    text_layer: Option<TextLayerName>,
    #[arg(long, value_enum, help = "How deepseek-ocr sees a page")]
    mode: Option<ModeName>,
    #[arg(
        long,
        value_name = "TEXT",
        help = "What deepseek-ocr is asked: markdown, ocr, figure, plain or your own text"
    )]
    prompt: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ModeName {
    Gundam,
    Base,
    Large,
    Small,
    Tiny,
}

#[derive(Clone, Copy, ValueEnum)]
enum DeviceName {
    Auto,
    Cuda,
    Cpu,
}

/// How deepseek-ocr keeps keys and values.
#[derive(Clone, Copy, ValueEnum)]
enum CacheName {
    Bfloat16,
    Int8,
}

#[derive(Clone, Copy, ValueEnum)]
enum TextLayerName {
    Auto,
    Never,
}

impl From<TextLayerName> for TextLayer {
    fn from(name: TextLayerName) -> Self {
        match name {
            TextLayerName::Auto => Self::Auto,
            TextLayerName::Never => Self::Never,
        }
    }
}

impl From<CacheName> for Cache {
    fn from(name: CacheName) -> Self {
        match name {
            CacheName::Bfloat16 => Self::Bfloat16,
            CacheName::Int8 => Self::Int8,
        }
    }
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Gundam => Self::Gundam,
            ModeName::Base => Self::Base,
            ModeName::Large => Self::Large,
            ModeName::Small => Self::Small,
            ModeName::Tiny => Self::Tiny,
        }
    }
}

impl From<DeviceName> for Device {
    fn from(name: DeviceName) -> Self {
        match name {
            DeviceName::Auto => Self::Auto,
            DeviceName::Cuda => Self::Cuda,
            DeviceName::Cpu => Self::Cpu,
        }
    }
}

impl Overrides {
    fn apply(&self, config: &mut Config) {
        if let Some(engine) = &self.engine {
            config.engine.name.clone_from(engine);
        }
        if let Some(model) = &self.model {
            config.engine.model.clone_from(model);
        }
        if let Some(device) = self.device {
            config.engine.device = device.into();
        }
        if let Some(text_layer) = self.text_layer {
            config.paddle.text_layer = text_layer.into();
        }
        if let Some(mode) = self.mode {
            config.deepseek.mode = mode.into();
        }
        if let Some(prompt) = &self.prompt {
            config.deepseek.prompt.clone_from(prompt);
        }
    }
}

/// What went wrong, for people and for scripts.
struct Failure {
    /// 1 documents failed, 2 usage, 70 bug, 75 machine, 78 configuration (`sysexits.h`).
    code: u8,
    message: String,
    hint: Option<String>,
}

const SOME_FAILED: u8 = 1;
const USAGE: u8 = 2;
const BUG: u8 = 70;
const MACHINE: u8 = 75;
const CONFIGURATION: u8 = 78;
/// Exit status of a run that a signal ended.
const INTERRUPTED: u8 = 130;

impl Failure {
    fn config(message: String) -> Self {
        Self {
            code: CONFIGURATION,
            message,
            hint: Some("dropleaf config --default prints every setting".into()),
        }
    }

    fn machine(message: impl ToString) -> Self {
        Self {
            code: MACHINE,
            message: message.to_string(),
            hint: None,
        }
    }
}

impl From<AgentError> for Failure {
    fn from(e: AgentError) -> Self {
        let message = e.to_string();
        match e {
            AgentError::Config { hint, .. } => Self {
                code: CONFIGURATION,
                message,
                hint: Some(hint),
            },
            AgentError::Usage(_) => Self {
                code: USAGE,
                message,
                hint: None,
            },
            AgentError::Machine(_) => Self {
                code: MACHINE,
                message,
                hint: None,
            },
        }
    }
}

/// Runs the program; the exit code is `main`'s.
pub fn main() -> ExitCode {
    crate::service::memory::give_back();
    let cli = Cli::parse();
    let ran = match cli.command {
        Command::DocumentWorker { library, memory_mb } => {
            return crate::document::worker::run(&library, memory_mb);
        }
        Command::Watch(a) => watch::run(cli.config, a),
        Command::Process(a) => process::run(cli.config, a),
        Command::Status(a) => status::run(cli.config, a),
        Command::Retry(a) => retry::run(cli.config, a),
        Command::Check(a) => check::run(cli.config, a),
        Command::Model(a) => model::run(cli.config, a),
        Command::Config(a) => config::run(cli.config, a),
    };
    match ran {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("dropleaf: {}", failure.message);
            if let Some(hint) = failure.hint {
                eprintln!("  hint: {hint}");
            }
            ExitCode::from(failure.code)
        }
    }
}

fn load(file: Option<PathBuf>) -> Result<(Config, Source), Failure> {
    crate::config::load(file.as_deref()).map_err(Failure::config)
}

fn named(source: &Source) -> String {
    match source {
        Source::File(path) => path.display().to_string(),
        Source::Defaults => "the defaults (no settings file was found)".into(),
    }
}

/// Where libraries and models are.
fn installation(config: &Config) -> Installation {
    let data = &config.folders.data;
    Installation {
        // This very program, also when an update has replaced its file meanwhile.
        exe: "/proc/self/exe".into(),
        pdfium: data.join("lib/libpdfium.so"),
        lib: data.join("lib"),
        models: data.join("models"),
    }
}

/// Runs the shell: signals, timers, child processes.
fn run<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .map_err(|e| Failure {
            code: BUG,
            message: format!("cannot start: {e}"),
            hint: None,
        })?;
    Ok(runtime.block_on(work))
}

/// The library that `check` names.
fn runtime_library(installation: &Installation) -> PathBuf {
    installation.lib.join(LIBRARY)
}
