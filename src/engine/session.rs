//! ONNX Runtime: the only file that names `ort`. Loads the library once, chooses the device,
//! runs graphs on named tensors.

use std::path::{Path, PathBuf};

use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{OutputSelector, RunOptions, Session, SessionInputValue};
use ort::value::TensorRef;

use super::EngineError;
use crate::config::Device;

/// File name of the library in the data folder's `lib/` (CPU) and `lib/cuda/` (CPU and CUDA).
pub const LIBRARY: &str = "libonnxruntime.so.1.31.1";

/// A tensor lent to a graph or by it: 32-bit floats, row-major.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub shape: &'a [i64],
    pub data: &'a [f32],
}

/// A run that failed: the runtime's own words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RunError(pub String);

/// Named tensors in and out: the seam for arithmetic fakes in tests.
pub trait Graph: Send {
    /// Runs the graph and hands the outputs named at its loading to `take`, in that order.
    fn run(
        &mut self,
        inputs: &[(&str, View<'_>)],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError>;
}

/// Where sessions run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Cpu,
    Cuda,
}

/// The loaded library. A process has one: the first call of [`Runtime::load`] decides which.
pub struct Runtime {
    environment: Environment,
    threads: usize,
    cuda: bool,
    library: PathBuf,
}

impl Runtime {
    /// Loads the library under `lib`, the one with CUDA where `device` allows it and it is there.
    /// `threads` 0 means as many as there are cores.
    pub fn load(lib: &Path, device: Device, threads: usize) -> Result<Self, EngineError> {
        let with_cuda = lib.join("cuda").join(LIBRARY);
        let cuda = device != Device::Cpu && with_cuda.is_file();
        if device == Device::Cuda && !cuda {
            return Err(EngineError::Config {
                what: "engine.device = \"cuda\"".into(),
                why: format!("{} is not there", with_cuda.display()),
                hint: "run packaging/fetch-assets --cuda, or set engine.device = \"auto\"".into(),
            });
        }
        let library = if cuda { with_cuda } else { lib.join(LIBRARY) };
        if !library.is_file() {
            return Err(EngineError::Config {
                what: "ONNX Runtime".into(),
                why: format!("{} is not there", library.display()),
                hint: "run packaging/fetch-assets".into(),
            });
        }
        if cuda {
            preload(&lib.join("cuda"));
        }
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            n => n,
        };
        let machine = |why: String| EngineError::Machine {
            what: format!("cannot load {}", library.display()),
            why,
        };
        let environment = ort::init_from(&library)
            .map_err(|e| machine(e.to_string()))?
            .with_name("dropleaf")
            .with_telemetry(false)
            .with_global_thread_pool(pool(threads).map_err(|e| machine(e.to_string()))?)
            .build()
            .map_err(|e| machine(e.to_string()))?;
        Ok(Self {
            environment,
            threads,
            cuda,
            library,
        })
    }

    /// Whether the loaded library can use CUDA.
    pub fn has_cuda(&self) -> bool {
        self.cuda
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    pub fn library(&self) -> &Path {
        &self.library
    }

    /// Loads a model; `outputs` names what runs hand out, in that order (empty: all).
    /// On [`Place::Cuda`] a provider that cannot be loaded is an error, never a silent CPU run.
    pub fn session(
        &self,
        model: &Path,
        place: Place,
        outputs: &[&str],
    ) -> Result<OrtGraph, EngineError> {
        let machine = |why: String| EngineError::Machine {
            what: format!("cannot load {}", model.display()),
            why,
        };
        let session = self
            .build(model, place, false)
            .map_err(|e| machine(e.to_string()))?;
        let all: Vec<String> = session
            .outputs()
            .iter()
            .map(|o| o.name().to_owned())
            .collect();
        let outputs: Vec<String> = if outputs.is_empty() {
            all.clone()
        } else {
            outputs.iter().map(|&s| s.to_owned()).collect()
        };
        if let Some(missing) = outputs.iter().find(|o| !all.contains(o)) {
            return Err(machine(format!(
                "it has no output \"{missing}\", it has {}",
                all.join(", ")
            )));
        }
        Ok(OrtGraph { session, outputs })
    }

    /// Loads a model that runs on the calling thread alone, on the CPU; for runs side by side.
    pub fn single_threaded(&self, model: &Path) -> Result<OrtGraph, EngineError> {
        let session = self
            .build(model, Place::Cpu, true)
            .map_err(|e| EngineError::Machine {
                what: format!("cannot load {}", model.display()),
                why: e.to_string(),
            })?;
        let outputs = session
            .outputs()
            .iter()
            .map(|o| o.name().to_owned())
            .collect();
        Ok(OrtGraph { session, outputs })
    }

    fn build(&self, model: &Path, place: Place, single: bool) -> ort::Result<Session> {
        let mut builder = Session::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            // Memory of a shape once met would be kept for every width of line: pages would add up.
            .with_memory_pattern(false)?;
        if single {
            builder = builder
                .with_independent_thread_pool()?
                .with_intra_threads(1)?;
        }
        if place == Place::Cuda {
            let cuda = ort::ep::CUDA::default()
                .with_conv_algorithm_search(ort::ep::cuda::ConvAlgorithmSearch::Heuristic)
                .with_arena_extend_strategy(ort::ep::ArenaExtendStrategy::SameAsRequested);
            builder = builder.with_execution_providers([cuda.build().error_on_failure()])?;
        }
        builder.commit_from_file(model)
    }
}

fn pool(threads: usize) -> ort::Result<GlobalThreadPoolOptions> {
    // Without spinning, threads of a pool that waits leave the cores to the document children.
    GlobalThreadPoolOptions::default()
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        .with_spin_control(false)
}

/// The CUDA provider has no RPATH: what it needs is loaded by name beforehand. A file that cannot
/// be loaded here is named by the provider's own error later.
fn preload(folder: &Path) {
    const FIRST: [&str; 6] = [
        "libcudart",
        "libcublasLt",
        "libcublas",
        "libcurand",
        "libcufft",
        "libcudnn",
    ];
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    files.sort();
    for first in FIRST {
        for file in &files {
            let name = file
                .file_name()
                .and_then(|n| n.to_str())
                .unwrap_or_default();
            if name.starts_with(&format!("{first}.so"))
                && let Err(e) = ort::util::preload_dylib(file)
            {
                tracing::warn!("cannot load {}: {e}", file.display());
            }
        }
    }
}

/// A session of ONNX Runtime.
pub struct OrtGraph {
    session: Session,
    outputs: Vec<String>,
}

impl OrtGraph {
    /// A text of the model's own metadata.
    pub fn metadata(&self, key: &str) -> Option<String> {
        self.session.metadata().ok()?.custom(key)
    }
}

impl Graph for OrtGraph {
    fn run(
        &mut self,
        inputs: &[(&str, View<'_>)],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        let mut run = || -> ort::Result<()> {
            let mut values: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
            for (name, view) in inputs {
                values.push((
                    name,
                    TensorRef::from_array_view((view.shape, view.data))?.into(),
                ));
            }
            let mut selector = OutputSelector::no_default();
            for name in &self.outputs {
                selector = selector.with(name);
            }
            let options = RunOptions::new()?.with_outputs(selector);
            let outputs = self.session.run_with_options(values, &options)?;
            let mut views = Vec::with_capacity(self.outputs.len());
            let mut integers: Vec<(Vec<i64>, Vec<f32>)> = Vec::new();
            for name in &self.outputs {
                // Counts come as 32-bit integers.
                if let Ok((shape, data)) = outputs[name.as_str()].try_extract_tensor::<i32>() {
                    integers.push((shape.to_vec(), data.iter().map(|&v| v as f32).collect()));
                }
            }
            let mut converted = integers.iter();
            for name in &self.outputs {
                match outputs[name.as_str()].try_extract_tensor::<f32>() {
                    Ok((shape, data)) => views.push(View { shape, data }),
                    Err(e) => match converted.next() {
                        Some((shape, data)) => views.push(View { shape, data }),
                        None => return Err(e),
                    },
                }
            }
            take(&views);
            Ok(())
        };
        run().map_err(|e| RunError(e.to_string()))
    }
}
