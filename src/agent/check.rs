//! What stands in the way of a run.

use super::{AgentError, Installation, start};
use crate::config::Config;
use crate::engine::EngineError;
use crate::engine::resident::Resident;
use crate::pack::{FORMULA, Pack};

/// One thing that was looked at.
pub struct Found {
    pub what: String,
    pub fault: Option<Fault>,
}

pub struct Fault {
    pub why: String,
    pub hint: String,
    /// The machine is at fault, not the settings.
    pub machine: bool,
}

/// Looks at everything in turn. `quick`: without hashing models and without an inference.
pub fn check(config: &Config, installation: &Installation, quick: bool) -> Vec<Found> {
    let f = &config.folders;
    let mut out = Vec::new();
    let mut add = |what: String, result: Result<(), AgentError>| {
        let fault = result.err().map(|e| {
            let why = e.to_string();
            match e {
                AgentError::Config { why, hint, .. } => Fault {
                    why,
                    hint,
                    machine: false,
                },
                AgentError::Usage(_) => Fault {
                    why,
                    hint: "see dropleaf --help".into(),
                    machine: false,
                },
                AgentError::Machine(_) => Fault {
                    why,
                    hint: "see the log".into(),
                    machine: true,
                },
            }
        });
        let good = fault.is_none();
        out.push(Found { what, fault });
        good
    };
    for (what, folder) in [
        ("inbox", &f.inbox),
        ("output", &f.output),
        ("done", &f.done),
        ("failed", &f.failed),
        ("state", &f.state),
        ("log", &f.log),
    ] {
        add(
            format!("{what} {}", folder.display()),
            start::writable(what, folder),
        );
    }
    let pdfium = installation
        .pdfium
        .is_file()
        .then_some(())
        .ok_or_else(|| start::no_pdfium(installation));
    let mut whole = add(format!("pdfium {}", installation.pdfium.display()), pdfium);
    let mut packs = vec![(config.engine.pack(), &*config.engine.name)];
    if config.engine.name == "paddle" && !config.paddle.formula.is_empty() {
        packs.push((&config.paddle.formula, FORMULA));
    }
    for (name, engine) in packs {
        let folder = installation.models.join(name);
        let pack = Pack::open(&folder, engine);
        let verified = pack.and_then(|pack| if quick { Ok(()) } else { pack.verify() });
        whole &= add(
            format!("model pack {}", folder.display()),
            verified.map_err(|e| EngineError::from(e).into()),
        );
    }
    if !quick && whole {
        let (installation, config) = (installation.clone(), config.clone());
        let started = Resident::start(move || start::load(&installation, &config));
        let what = match &started {
            Ok(resident) => format!(
                "{} reads a page on {}",
                resident.identity.engine, resident.identity.device
            ),
            Err(_) => "reading a page".into(),
        };
        add(what, started.map(drop).map_err(Into::into));
    }
    out
}
