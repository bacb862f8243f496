//! `dropleaf model verify`: a model pack against recorded values, stage by stage.

use std::path::{Path, PathBuf};

use super::{CONFIGURATION, CacheName, DeviceName, Failure, SOME_FAILED};
use crate::engine::deepseek::model::Model;
use crate::engine::deepseek::verify::{self, Row, Set, SetError, Summary, Tolerances, VerifyError};
use crate::pack::{DEEPSEEK_OCR, MANIFEST, Pack};

/// Tokens of the cache for a set that does not say how long its answers are.
const LEAST_CACHE: usize = 2048;
/// Cases of which each absent stage is told; of more, the number.
const TOLD: usize = 3;

#[derive(clap::Args)]
pub struct Arguments {
    /// A model pack: a folder under models/, or any folder with a pack.toml
    #[arg(value_name = "NAME|DIR")]
    model: PathBuf,
    /// Folder with reference.json, reference.safetensors and the cases' images
    #[arg(long, value_name = "DIR")]
    reference: PathBuf,
    #[arg(long, value_enum, help = "Where the model runs")]
    device: Option<DeviceName>,
    #[arg(long, value_enum, help = "How keys and values are kept")]
    cache: Option<CacheName>,
}

pub fn run(file: Option<PathBuf>, a: Arguments) -> Result<u8, Failure> {
    let (mut config, _) = super::load(file)?;
    config.engine.name = DEEPSEEK_OCR.into();
    if let Some(device) = a.device {
        config.engine.device = device.into();
    }
    if let Some(cache) = a.cache {
        config.deepseek.cache = cache.into();
    }
    let installation = super::installation(&config);
    let folder = find(&installation.models, &a.model)?;
    let set = Set::open(&a.reference)?;
    // One page at a time.
    config.deepseek.sequences = 1;
    config.deepseek.cache_tokens = LEAST_CACHE.max(verify::tokens_needed(&set)? + 1);
    config.deepseek.max_tokens = config.deepseek.cache_tokens;
    config.validate().map_err(Failure::config)?;

    let engine = |e| Failure::from(crate::agent::AgentError::from(e));
    let pack = Pack::open(&folder, DEEPSEEK_OCR).map_err(|e| engine(e.into()))?;
    let mut model = Model::open(&installation.lib, &pack, &config).map_err(engine)?;
    println!(
        "{} on {}, compared with {}",
        pack.name,
        model.device,
        a.reference.display()
    );
    println!();
    line("case", "stage", "found", "tolerance", "");
    let tolerances = Tolerances::of(model.place);
    let summary = verify::compare(&mut model, &set, tolerances, &mut tell)?;
    report(&summary);
    Ok(if summary.out > 0 { SOME_FAILED } else { 0 })
}

/// The folder of a pack: a name under `models`, else a path.
fn find(models: &Path, model: &Path) -> Result<PathBuf, Failure> {
    let named = models.join(model);
    [named, model.to_path_buf()]
        .into_iter()
        .find(|folder| folder.join(MANIFEST).is_file())
        .ok_or_else(|| Failure {
            code: CONFIGURATION,
            message: format!(
                "no model pack \"{}\": it is neither in {} nor a folder with a {MANIFEST}",
                model.display(),
                models.display()
            ),
            hint: Some(
                "dropleaf model list shows what there is; dropleaf model import makes a pack of a checkpoint".into(),
            ),
        })
}

fn line(case: &str, stage: &str, found: &str, tolerance: &str, verdict: &str) {
    println!("{case:<8} {stage:<17} {found:<48} {tolerance:<26} {verdict}");
}

fn tell(row: &Row) {
    line(
        &row.case,
        &row.stage,
        &row.agreement.to_string(),
        &row.agreement.tolerance(),
        if row.agreement.holds() { "ok" } else { "OUT" },
    );
}

fn report(summary: &Summary) {
    // Cases that lack the same are told together.
    let mut groups: Vec<(&[String], Vec<&str>)> = Vec::new();
    for (case, stages) in &summary.absent {
        match groups.iter_mut().find(|(of, _)| of == stages) {
            Some((_, cases)) => cases.push(case),
            None => groups.push((stages, vec![case])),
        }
    }
    println!();
    for (stages, cases) in groups {
        let cases = match cases.len() {
            0..=TOLD => cases.join(", "),
            n => format!("{} to {} ({n} cases)", cases[0], cases[n - 1]),
        };
        println!("absent in the set, {cases}: {}", stages.join(", "));
    }
    if !summary.unknown.is_empty() {
        println!("in the set, but no stage: {}", summary.unknown.join(", "));
    }
    println!("{} compared, {} out", summary.compared, summary.out);
}

impl From<SetError> for Failure {
    fn from(e: SetError) -> Self {
        Self {
            code: SOME_FAILED,
            message: e.to_string(),
            hint: Some("--reference names a folder with reference.json, reference.safetensors and the images that it names".into()),
        }
    }
}

impl From<VerifyError> for Failure {
    fn from(e: VerifyError) -> Self {
        match e {
            VerifyError::Set(e) => e.into(),
            VerifyError::Run(e) => Self::machine(e),
        }
    }
}
