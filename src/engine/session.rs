//! ONNX Runtime: this file and those in `session/` are the only ones that name `ort`. Loads the
//! library once, chooses the device, runs graphs on named tensors.
//!
//! Engines see none of this: they know [`Graph`].

mod arena;
mod cuda;
mod device;
mod locked;
mod operators;
mod replay;
mod run;
mod tensor;
mod upload;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::{Environment, GlobalThreadPoolOptions};
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;

use self::cuda::Cuda;
pub use self::cuda::Memory;
pub use self::device::OnDevice;
pub use self::run::{Assigned, OrtGraph};
pub use self::tensor::{Data, ElementType, Graph, Resident, RunError, View};
pub use self::upload::{Part, PartType, Upload, Uploads};

use super::EngineError;
use crate::config::Device;

/// File name of the library in the data folder's `lib/` (CPU) and `lib/cuda/` (CPU and CUDA).
pub const LIBRARY: &str = "libonnxruntime.so.1.31.1";

/// Where sessions run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Cpu,
    Cuda,
}

/// The loaded library, and what of it one engine may use.
#[derive(Clone)]
pub struct Runtime {
    environment: Environment,
    threads: usize,
    /// The device, where the library can use one.
    cuda: Option<Arc<Cuda>>,
    library: PathBuf,
}

/// The library of this process: it can be loaded once, and stays.
static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// Loads the library under `lib`, the one with CUDA where `wanted` allows it and it is there.
    /// `threads` 0 means as many as there are cores. A process that has loaded one keeps it, with
    /// its threads, whatever is asked later.
    pub fn load(lib: &Path, wanted: Device, threads: usize) -> Result<Self, EngineError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let mut runtime = match &*loaded {
            Some(runtime) => runtime.clone(),
            None => loaded.insert(Self::first(lib, wanted, threads)?).clone(),
        };
        match wanted {
            Device::Cpu => runtime.cuda = None,
            Device::Cuda if runtime.cuda.is_none() => {
                return Err(EngineError::Config {
                    what: "engine.device = \"cuda\"".into(),
                    why: format!(
                        "{} is loaded already, which cannot use CUDA",
                        runtime.library.display()
                    ),
                    hint: "start again with this setting".into(),
                });
            }
            Device::Cuda | Device::Auto => {}
        }
        Ok(runtime)
    }

    fn first(lib: &Path, wanted: Device, threads: usize) -> Result<Self, EngineError> {
        let with_cuda = lib.join("cuda").join(LIBRARY);
        let has_cuda = wanted != Device::Cpu && with_cuda.is_file();
        if wanted == Device::Cuda && !has_cuda {
            return Err(EngineError::Config {
                what: "engine.device = \"cuda\"".into(),
                why: format!("{} is not there", with_cuda.display()),
                hint: "run packaging/fetch-assets --cuda, or set engine.device = \"auto\"".into(),
            });
        }
        let library = if has_cuda {
            with_cuda
        } else {
            lib.join(LIBRARY)
        };
        if !library.is_file() {
            return Err(EngineError::Config {
                what: "ONNX Runtime".into(),
                why: format!("{} is not there", library.display()),
                hint: "run packaging/fetch-assets".into(),
            });
        }
        let cuda = if has_cuda {
            let folder = lib.join("cuda");
            preload(&folder);
            let device = Cuda::open(&folder);
            if device.is_none() && wanted == Device::Cuda {
                return Err(EngineError::Config {
                    what: "engine.device = \"cuda\"".into(),
                    why: format!(
                        "CUDA's runtime library is neither in {} nor on the system",
                        folder.display()
                    ),
                    hint: "run packaging/fetch-assets --cuda".into(),
                });
            }
            device.map(Arc::new)
        } else {
            None
        };
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
        arena::share(&environment).map_err(|e| machine(e.to_string()))?;
        Ok(Self {
            environment,
            threads,
            cuda,
            library,
        })
    }

    /// Whether this engine may use CUDA.
    pub fn has_cuda(&self) -> bool {
        self.cuda.is_some()
    }

    /// Memory of the device, or why it cannot be learnt.
    pub fn device_memory(&self) -> Result<Memory, EngineError> {
        let machine = |why: String| EngineError::Machine {
            what: "the memory of the GPU".into(),
            why,
        };
        match &self.cuda {
            None => Err(machine("no CUDA library was loaded".into())),
            Some(cuda) => cuda.memory().map_err(machine),
        }
    }

    /// Where sessions on `place` run, for people: `CPU (2 threads)`, `CUDA (NVIDIA H200)`.
    pub fn device_name(&self, place: Place) -> String {
        match place {
            Place::Cpu => format!("CPU ({} threads)", self.threads),
            Place::Cuda => match cuda::name() {
                Some(name) => format!("CUDA ({name})"),
                None => "CUDA".into(),
            },
        }
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
        self.load_graph(model, place, outputs, false)
    }

    /// The same of a session on CUDA whose runs can be recorded ([`Graph::record`]); on the CPU
    /// every session's can.
    pub fn recording_session(
        &self,
        model: &Path,
        place: Place,
        outputs: &[&str],
    ) -> Result<OrtGraph, EngineError> {
        self.load_graph(model, place, outputs, place == Place::Cuda)
    }

    fn load_graph(
        &self,
        model: &Path,
        place: Place,
        outputs: &[&str],
        graphs: bool,
    ) -> Result<OrtGraph, EngineError> {
        let machine = |why: String| EngineError::Machine {
            what: format!("cannot load {}", model.display()),
            why,
        };
        let session = self
            .build(model, place, false, graphs)
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
        let cuda = match place {
            Place::Cpu => None,
            Place::Cuda => self.cuda.clone(),
        };
        let graph = OrtGraph::new(session, outputs, cuda);
        Ok(if graphs { graph.with_graphs() } else { graph })
    }

    /// Loads a model that runs on the calling thread alone, on the CPU; for runs side by side.
    pub fn single_threaded(&self, model: &Path) -> Result<OrtGraph, EngineError> {
        let session =
            self.build(model, Place::Cpu, true, false)
                .map_err(|e| EngineError::Machine {
                    what: format!("cannot load {}", model.display()),
                    why: e.to_string(),
                })?;
        let outputs = session
            .outputs()
            .iter()
            .map(|o| o.name().to_owned())
            .collect();
        Ok(OrtGraph::new(session, outputs, None))
    }

    fn build(
        &self,
        model: &Path,
        place: Place,
        single: bool,
        graphs: bool,
    ) -> ort::Result<Session> {
        let mut builder = Session::builder(&self.environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            // Memory of a shape once met would be kept for every width of line: pages would add up.
            .with_memory_pattern(false)?
            // For OrtGraph::assigned.
            .with_config_entry("session.record_ep_graph_assignment_info", "1")?;
        if single {
            builder = builder
                .with_independent_thread_pool()?
                .with_intra_threads(1)?;
        }
        if place == Place::Cpu {
            builder = builder.with_env_allocators()?;
        } else {
            let cuda = ort::ep::CUDA::default()
                .with_cuda_graph(graphs)
                .with_conv_algorithm_search(ort::ep::cuda::ConvAlgorithmSearch::Heuristic)
                .with_arena_extend_strategy(ort::ep::ArenaExtendStrategy::SameAsRequested);
            builder = builder
                .with_operators(operators::domain()?)?
                .with_execution_providers([cuda.build().error_on_failure()])?;
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
