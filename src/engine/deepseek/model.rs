//! A loaded DeepSeek-OCR pack: its graphs on one device, its tokenizer, and the size of its cache.
//!
//! The reader ([`super::DeepSeek`]) is built on this, and so are comparisons and measurements: each
//! stage can be run alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::cache::{Blocks, Layout, device_blocks};
use super::decoder::{Chosen, Decoder};
use super::fixed;
use super::preprocess::{self, Views};
use super::rows::Rows;
use super::schedule::{End, Finished, Key, Limits, Request, Schedule, Settings, Step};
use super::tokens::{Prompt, Tokenizer};
use super::vision::{self, Seen, Vision};
use crate::config::{Cache, Config, DeepSeek as Wanted, Device, Mode};
use crate::engine::EngineError;
use crate::engine::session::{ElementType, OrtGraph, Place, RunError, Runtime, Uploads};
use crate::pack::{CACHE_8_HEAD_DIMS, DEEPSEEK_OCR, Geometry, Pack, Storage};
use crate::page::PageImage;

/// Tokens of a step on the CPU: few, so that a page that begins does not hold the others up.
const CPU_STEP_TOKENS: usize = 256;
/// Tokens of a step on CUDA: 8 pages of 1,000 begin together.
const CUDA_STEP_TOKENS: usize = 8192;
/// Bytes that the scores of one layer may take on the CPU. The graph holds a few such tensors at a
/// time.
const CPU_SCORES: usize = 256 << 20;
/// Pixels of views that run together. On the CPU one large view: SAM's global layers hold 0.8 GB of
/// scores for it. On CUDA the tiles of four pages.
const CPU_PIXELS: usize = 1024 * 1024;
const CUDA_PIXELS: usize = 10 * 1024 * 1024;
/// Bytes of the device's memory that are left free for each size of steps, for its recording comes
/// later: for some 600 kernels with their arguments, and for what a size that was not met before
/// takes beside. An estimate.
const RECORD_BYTES: usize = 16 << 20;
/// Tokens of the least cache that a device must have room for: one page with tiles and some text.
const LEAST_CACHE: usize = 2048;
/// Pages whose views may be on the device before the model sees them, 10 MB each: all that are made
/// ready, and those of the threads that make them.
const UPLOADS: usize = super::AHEAD + 2 * super::threads::MOST;

/// The decoder over a cache of 8 bits, as packs name it.
const DECODER_8: &str = "decoder_cuda8";
const ON_CUDA_ALONE: &str = "the model reads on the CPU, and only CUDA has a cache of 8 bits";
const OTHER_CACHE: &str = "set deepseek.cache = \"bfloat16\"";

pub struct Model {
    pub geometry: Geometry,
    pub tokenizer: Tokenizer,
    pub vision: Vision,
    pub decoder: Decoder,
    /// Places on the device for the views of pages.
    pub uploads: Option<Uploads>,
    /// Where it runs, for people.
    pub device: String,
    pub place: Place,
    pub runtime: Arc<Runtime>,
    limits: Limits,
    /// Blocks of the cache.
    blocks: usize,
    loading: Loading,
}

/// Where the time of loading goes, in seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Loading {
    sessions: f64,
    /// Runs that take the memory that later ones want, and the cache.
    first_runs: f64,
    recording: f64,
}

impl Model {
    /// Loads the pack that the settings name, where they say. `auto` takes CUDA when a real run on
    /// it works, and the log says why if not.
    pub fn load(lib: &Path, models: &Path, config: &Config) -> Result<(Self, Pack), EngineError> {
        let folder = models.join(config.engine.pack());
        let pack = Pack::open(&folder, DEEPSEEK_OCR)?;
        let model = Self::open(lib, &pack, config)?;
        Ok((model, pack))
    }

    /// The same for a pack that is open.
    pub fn open(lib: &Path, pack: &Pack, config: &Config) -> Result<Self, EngineError> {
        let geometry = geometry(pack)?;
        if config.deepseek.cache == Cache::Int8 {
            can_have_8_bits(pack, &geometry, config.engine.device)?;
        }
        let wanted = match (config.engine.device, geometry.dtype) {
            (Device::Cuda, Storage::F32) => {
                return Err(EngineError::Config {
                    what: format!("engine.device = \"cuda\" with {}", pack.folder.display()),
                    why:
                        "the pack stores 32-bit floats, which PagedAttention on CUDA does not take"
                            .into(),
                    hint: "import the checkpoint with --dtype bf16, or set engine.device = \"cpu\""
                        .into(),
                });
            }
            (Device::Auto, Storage::F32) => {
                tracing::info!(
                    "{} stores 32-bit floats: reading on the CPU",
                    pack.folder.display()
                );
                Device::Cpu
            }
            (device, _) => device,
        };
        let runtime = Arc::new(Runtime::load(lib, wanted, config.engine.threads)?);
        if wanted != Device::Cpu && runtime.has_cuda() {
            match Self::on(&runtime, pack, Place::Cuda, &config.deepseek) {
                Ok(model) => return Ok(model),
                // The CPU has no cache of 8 bits: what is wrong with CUDA is what is to be told.
                Err(e) if wanted == Device::Cuda || config.deepseek.cache == Cache::Int8 => {
                    return Err(e);
                }
                Err(e) => tracing::warn!("CUDA cannot be used, reading on the CPU: {e}"),
            }
        }
        if wanted == Device::Auto && !runtime.has_cuda() {
            tracing::info!(
                "no library for CUDA under {}: reading on the CPU",
                lib.display()
            );
        }
        Self::on(&runtime, pack, Place::Cpu, &config.deepseek)
    }

    /// Loads the pack on `place` and runs its largest step there. Steps are recorded where that is
    /// wanted and works.
    pub fn on(
        runtime: &Arc<Runtime>,
        pack: &Pack,
        place: Place,
        wanted: &Wanted,
    ) -> Result<Self, EngineError> {
        let model = Self::recording(runtime, pack, place, wanted)?;
        let times = model.loading;
        let steps = match model.decoder.records() {
            (_, 0) => String::new(),
            (recorded, sizes) => format!(
                ", recording {recorded} of {sizes} sizes of steps {:.1} s",
                times.recording
            ),
        };
        tracing::info!(
            "{} on {}: cache of {} tokens; sessions {:.1} s, first runs {:.1} s{steps}",
            pack.name,
            model.device,
            model.cache_tokens(),
            times.sessions,
            times.first_runs
        );
        Ok(model)
    }

    fn recording(
        runtime: &Arc<Runtime>,
        pack: &Pack,
        place: Place,
        wanted: &Wanted,
    ) -> Result<Self, EngineError> {
        if place != Place::Cuda || !wanted.cuda_graphs {
            return Self::load_on(runtime, pack, place, wanted, false);
        }
        // A session that failed to record may be left in the midst of it: what follows is a new one.
        let why = match Self::load_on(runtime, pack, place, wanted, true) {
            Ok(mut model) => match model.record() {
                Ok(()) => return Ok(model),
                Err(e) => e.to_string(),
            },
            // No other way of running steps would help.
            Err(e @ EngineError::Config { .. }) => return Err(e),
            Err(e) => e.to_string(),
        };
        let model = Self::load_on(runtime, pack, place, wanted, false)?;
        tracing::warn!("CUDA graphs cannot be used, decoding goes on without them: {why}");
        Ok(model)
    }

    fn load_on(
        runtime: &Arc<Runtime>,
        pack: &Pack,
        place: Place,
        wanted: &Wanted,
        graphs: bool,
    ) -> Result<Self, EngineError> {
        let geometry = geometry(pack)?;
        let (element, roles) = match (place, wanted.cache) {
            (Place::Cpu, Cache::Bfloat16) => (ElementType::F32, ["vision_cpu", "decoder_cpu"]),
            (Place::Cpu, Cache::Int8) => return Err(not_8_bits(ON_CUDA_ALONE.into(), OTHER_CACHE)),
            (Place::Cuda, Cache::Bfloat16) => (ElementType::Bf16, ["vision_cuda", "decoder_cuda"]),
            (Place::Cuda, Cache::Int8) => (ElementType::Bf16, ["vision_cuda", DECODER_8]),
        };
        let layout = match wanted.cache {
            Cache::Bfloat16 => Layout::Plain(element),
            Cache::Int8 => Layout::Int8,
        };
        let [vision, decoder] = roles;
        let graph = |role: &str, outputs: &[&str]| -> Result<OrtGraph, EngineError> {
            let path = pack.file(role)?;
            let graph = if graphs && role == decoder {
                runtime.recording_session(&path, place, outputs)?
            } else {
                runtime.session(&path, place, outputs)?
            };
            if place == Place::Cuda {
                all_on_cuda(&graph, &path)?;
            }
            Ok(graph)
        };
        let pixels = match place {
            Place::Cpu => CPU_PIXELS,
            Place::Cuda => CUDA_PIXELS,
        };
        let step_tokens = match (wanted.step_tokens, place) {
            (0, Place::Cpu) => CPU_STEP_TOKENS,
            (0, Place::Cuda) => CUDA_STEP_TOKENS,
            (n, _) => n,
        };
        let cpu_blocks = wanted.cache_tokens.div_ceil(geometry.block_tokens.max(1));
        let sequences = match place {
            // A page has two blocks at least: more pages would only hold their images in memory.
            Place::Cpu => wanted.sequences.min(cpu_blocks / 2).max(1),
            Place::Cuda => wanted.sequences,
        };
        let limits = Limits {
            sequences,
            // Every sequence that decodes has its place in a step.
            step_tokens: step_tokens.max(sequences),
            scores: match place {
                Place::Cpu => CPU_SCORES / (geometry.heads * size_of::<f32>()).max(1),
                Place::Cuda => usize::MAX,
            },
            positions: geometry.max_positions,
            eos: geometry.eos,
        };
        let began = Instant::now();
        let tokens = pack.file("tokenizer")?;
        let (vision, tokenizer, decoder) = std::thread::scope(|scope| {
            let vision = scope.spawn(|| graph(vision, &["projected"]));
            let tokenizer = scope.spawn(|| Tokenizer::load(&tokens, &geometry));
            let decoder = graph(decoder, &["tokens"]);
            (joined(vision), joined(tokenizer), decoder)
        });
        let (tokenizer, decoder) = (tokenizer?, decoder?);
        let positions = pack.file("positions")?;
        let vision = Vision::new(Box::new(vision?), &positions, &geometry, pixels)?;
        let sessions = began.elapsed().as_secs_f64();
        let routers = decoder.named("router.");
        let decoder = Decoder::new(Box::new(decoder), element, layout, &geometry, routers);
        let mut model = Self {
            geometry,
            tokenizer,
            vision,
            decoder,
            uploads: None,
            device: runtime.device_name(place),
            place,
            runtime: Arc::clone(runtime),
            limits,
            blocks: 0,
            loading: Loading {
                sessions,
                ..Loading::default()
            },
        };
        let began = Instant::now();
        let failed = |e: RunError| EngineError::Machine {
            what: format!("the first run of {}", pack.folder.display()),
            why: e.0,
        };
        match place {
            Place::Cpu => model.keep(cpu_blocks).map_err(failed)?,
            Place::Cuda => {
                let page = made_up_page(1192, 1684);
                let views = preprocess::prepare(&page, wanted.mode, &model.geometry);
                model.fill(&views).map_err(failed)?;
                let memory = runtime.device_memory()?;
                let records = if graphs {
                    fixed::sizes(sequences).len()
                } else {
                    0
                };
                let blocks = device_blocks(
                    memory.total,
                    memory
                        .free
                        .saturating_sub(records * RECORD_BYTES + model.rows_bytes(&views)),
                    wanted.gpu_memory_utilization,
                    model.decoder.block_bytes(),
                    (wanted.sequences * model.needed(wanted.max_tokens))
                        .max(model.needed(LEAST_CACHE)),
                );
                if blocks < model.needed(LEAST_CACHE) {
                    return Err(no_room(&memory, wanted.gpu_memory_utilization));
                }
                model.keep(blocks).map_err(failed)?;
            }
        }
        model.loading.first_runs = began.elapsed().as_secs_f64();
        Ok(model)
    }

    /// Bytes of the image rows that are on the device at once: those of all pages in work, each of
    /// `views`, and twice those of a step.
    fn rows_bytes(&self, views: &Views) -> usize {
        let of_page = self.vision.rows_of_page(views.into());
        let rows = (self.limits.sequences + super::AHEAD) * of_page + 2 * self.limits.step_tokens;
        rows * self.geometry.hidden * size_of::<half::bf16>()
    }

    fn needed(&self, tokens: usize) -> usize {
        tokens.div_ceil(self.geometry.block_tokens)
    }

    /// Gives the decoder a cache of `blocks` blocks, all zero.
    pub fn keep(&mut self, blocks: usize) -> Result<(), RunError> {
        self.decoder.keep(blocks)?;
        self.blocks = blocks;
        Ok(())
    }

    /// Makes steps for up to as many sequences as are decoded together ready to be recorded.
    pub fn record(&mut self) -> Result<(), RunError> {
        let began = Instant::now();
        let sizes = fixed::sizes(self.limits.sequences);
        self.decoder.record(&sizes, self.limits.positions)?;
        self.loading.recording = began.elapsed().as_secs_f64();
        Ok(())
    }

    /// Runs the largest batch of the views of a page and, at the same time, the largest step, so that
    /// the runtime holds all memory that it will want beside the cache.
    fn fill(&mut self, views: &Views) -> Result<(), RunError> {
        let bytes = vision::pixels(views).iter().map(|view| view.len()).sum();
        let uploads = self.vision.graph.uploads(UPLOADS, bytes);
        self.uploads = uploads.unwrap_or_else(|e| {
            tracing::warn!("page images are copied by the runs that read them: {e}");
            None
        });
        let length = self.geometry.max_positions.min(self.limits.step_tokens) / 2;
        let count = (self.limits.step_tokens / length.max(1)).max(1);
        self.keep(count * self.needed(length + 1))?;
        let requests = (0..count as Key)
            .map(|key| Request {
                key,
                prompt: vec![self.geometry.bos; length],
                image_rows: Vec::new(),
                settings: Settings {
                    max_tokens: length + 1,
                    rule: None,
                    watch_loops: false,
                    stop: false,
                },
                forced: Vec::new(),
            })
            .collect();
        let schedule = self.schedule();
        let (vision, decoder) = (&mut self.vision, &mut self.decoder);
        std::thread::scope(|scope| {
            // Most of a first run is the host's: it loads kernels and looks for the best.
            let seen = scope.spawn(|| largest_batches(vision, views));
            let said = generate(
                decoder,
                schedule,
                requests,
                &BTreeMap::new(),
                false,
                &mut |_, _| {},
            );
            match seen.join() {
                Ok(seen) => seen.and(said.map(drop)),
                // The panic hook has logged it.
                Err(_) => Err(RunError("the vision graph's first run failed".into())),
            }
        })
    }

    /// Tokens that the cache holds.
    pub fn cache_tokens(&self) -> usize {
        self.blocks * self.geometry.block_tokens
    }

    /// Bytes of the device's memory in use, by anyone, and in all; `None` on the CPU.
    pub fn device_memory(&self) -> Option<(usize, usize)> {
        let memory = match self.place {
            Place::Cpu => return None,
            Place::Cuda => self.runtime.device_memory().ok()?,
        };
        Some((memory.total.saturating_sub(memory.free), memory.total))
    }

    /// A schedule over the whole cache.
    pub fn schedule(&self) -> Schedule {
        Schedule::new(
            self.limits,
            Blocks::new(self.blocks, self.geometry.block_tokens),
            self.tokenizer.whitelist(),
        )
    }

    /// A page image as the model gets it: its views, its prompt and its projected rows.
    pub fn page(
        &mut self,
        image: &PageImage,
        mode: Mode,
        prompt: &str,
    ) -> Result<(Views, Prompt, Rows), RunError> {
        let views = preprocess::prepare(image, mode, &self.geometry);
        let prompt = self.tokenizer.prompt(prompt, &views);
        let rows = self.rows(&[(&views).into()])?;
        let rows = rows.into_iter().next();
        let rows = rows.ok_or_else(|| RunError("a page gave no image rows".into()))?;
        Ok((views, prompt, rows))
    }

    /// The projected rows of each page: its tiles in row order, then its global view.
    pub fn rows(&mut self, pages: &[Seen<'_>]) -> Result<Vec<Rows>, RunError> {
        self.vision.pages(pages)
    }

    /// Computes `requests` together until all have ended; `watch` sees each step and what came of
    /// it, with logits where they are wanted. `rows` holds the projected rows of each request.
    pub fn generate(
        &mut self,
        requests: Vec<Request>,
        rows: &BTreeMap<Key, Rows>,
        logits: bool,
        watch: &mut dyn FnMut(&Step, &Chosen),
    ) -> Result<Vec<Finished>, RunError> {
        let schedule = self.schedule();
        generate(&mut self.decoder, schedule, requests, rows, logits, watch)
    }

    /// Computes `requests`, which show no images, with the router's scores of each step.
    pub fn generate_routed(
        &mut self,
        requests: Vec<Request>,
        watch: &mut dyn FnMut(&Step, &[Vec<f32>]),
    ) -> Result<(), RunError> {
        let mut schedule = self.schedule();
        for request in requests {
            schedule
                .enter(request)
                .map_err(|e| RunError(e.to_string()))?;
        }
        while let (Some(step), _) = schedule.plan() {
            let (chosen, routed) = self.decoder.routed(&step)?;
            watch(&step, &routed);
            schedule.advance(&step, &chosen.tokens);
        }
        Ok(())
    }
}

/// What a thread of the load gave.
fn joined<T>(
    thread: std::thread::ScopedJoinHandle<'_, Result<T, EngineError>>,
) -> Result<T, EngineError> {
    // The panic hook has logged it.
    thread.join().unwrap_or_else(|_| {
        Err(EngineError::Machine {
            what: "a thread that loads the model".into(),
            why: "it failed; the log has the details".into(),
        })
    })
}

/// See [`Model::generate`]; `schedule` is empty.
fn generate(
    decoder: &mut Decoder,
    mut schedule: Schedule,
    requests: Vec<Request>,
    rows: &BTreeMap<Key, Rows>,
    logits: bool,
    watch: &mut dyn FnMut(&Step, &Chosen),
) -> Result<Vec<Finished>, RunError> {
    for request in requests {
        schedule
            .enter(request)
            .map_err(|e| RunError(e.to_string()))?;
    }
    let mut out = Vec::new();
    loop {
        let (step, ended) = schedule.plan();
        if let Some(Finished {
            end: End::NoRoom { capacity },
            ..
        }) = ended.first()
        {
            return Err(RunError(format!(
                "a sequence needs more than the whole cache of {capacity} tokens"
            )));
        }
        let Some(step) = step else { return Ok(out) };
        let chosen = decoder.run(&step, &|key| rows.get(&key), logits)?;
        watch(&step, &chosen);
        out.extend(schedule.advance(&step, &chosen.tokens));
    }
}

/// Runs as many views of each size of a page as go together.
fn largest_batches(vision: &mut Vision, views: &Views) -> Result<(), RunError> {
    for view in [Some(&views.global), views.tiles.first()]
        .into_iter()
        .flatten()
    {
        let views = vec![view; vision.pixels() / side_area(view)];
        vision.project(&views)?;
    }
    Ok(())
}

fn side_area(view: &preprocess::View) -> usize {
    (view.side as usize * view.side as usize).max(1)
}

/// A white page with a black bar.
pub fn made_up_page(width: u32, height: u32) -> PageImage {
    let mut rgb = vec![255u8; width as usize * height as usize * 3];
    let row = width as usize * 3;
    for row in rgb.chunks_exact_mut(row).skip(height as usize / 4).take(20) {
        let (from, to) = (row.len() / 4, row.len() / 2);
        row[from..to].fill(0);
    }
    PageImage {
        width,
        height,
        rgb,
        dpi: super::DPI,
    }
}

fn geometry(pack: &Pack) -> Result<Geometry, EngineError> {
    pack.deepseek.clone().ok_or_else(|| EngineError::Config {
        what: format!("model pack {}", pack.folder.display()),
        why: "the table [deepseek] is missing".into(),
        hint: "import the checkpoint again: dropleaf model import DIR --force".into(),
    })
}

/// Refuses a cache of 8 bits where the device or the pack cannot have one.
fn can_have_8_bits(pack: &Pack, geometry: &Geometry, device: Device) -> Result<(), EngineError> {
    if device == Device::Cpu {
        return Err(not_8_bits(ON_CUDA_ALONE.into(), OTHER_CACHE));
    }
    if geometry.dtype == Storage::F32 {
        let why = format!("{} stores 32-bit floats, for the CPU alone", pack.name);
        let hint = "import the checkpoint with --dtype bf16, or set deepseek.cache = \"bfloat16\"";
        return Err(not_8_bits(why, hint));
    }
    if !CACHE_8_HEAD_DIMS.contains(&(geometry.head_dim as u64)) {
        let why = format!(
            "the heads of {} have {} elements, and there are kernels for {CACHE_8_HEAD_DIMS:?}",
            pack.name, geometry.head_dim
        );
        return Err(not_8_bits(why, OTHER_CACHE));
    }
    if pack.file(DECODER_8).is_err() {
        let why = format!(
            "{} has no graph for it ({DECODER_8})",
            pack.folder.display()
        );
        let hint = "import the checkpoint again: dropleaf model import DIR --force";
        return Err(not_8_bits(why, hint));
    }
    Ok(())
}

fn not_8_bits(why: String, hint: &str) -> EngineError {
    EngineError::Config {
        what: "deepseek.cache = \"int8\"".into(),
        why,
        hint: hint.into(),
    }
}

/// Refuses a graph of which the runtime left more than shape arithmetic on the CPU.
fn all_on_cuda(graph: &OrtGraph, path: &Path) -> Result<(), EngineError> {
    let machine = |why: String| EngineError::Machine {
        what: path.display().to_string(),
        why,
    };
    let strays = graph.strays().map_err(|e| machine(e.0))?;
    match &strays[..] {
        [] => Ok(()),
        [first, ..] => Err(machine(format!(
            "{} of its nodes would run on the CPU, the first is {} ({})",
            strays.len(),
            first.node,
            first.operator
        ))),
    }
}

fn no_room(memory: &crate::engine::session::Memory, share: f64) -> EngineError {
    let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
    EngineError::Config {
        what: format!("deepseek.gpu_memory_utilization = {share}"),
        why: format!(
            "of {:.1} GiB {:.1} are in use already, which leaves no room for the cache",
            gib(memory.total),
            gib(memory.total.saturating_sub(memory.free))
        ),
        hint: "raise it, or free memory of the GPU".into(),
    }
}
