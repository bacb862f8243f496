//! The engine `deepseek-ocr`: a vision-language model read with page by page, many pages together.
//!
//! A page image becomes views ([`preprocess`], on helper threads), the views become image rows
//! ([`vision`]), these and a prompt ([`tokens`]) make a sequence, and the sequences of all pages
//! are decoded step by step ([`schedule`], [`decoder`]) until each has said its page, which is then
//! understood ([`reading`], on a helper thread). A page enters between two steps and leaves as soon as
//! it has ended.

mod answer;
pub mod bench;
pub mod cache;
pub mod decoder;
mod detokenize;
mod fallback;
pub mod fixed;
pub mod guard;
mod ladder;
pub mod model;
mod numbers;
pub mod preprocess;
pub mod reading;
pub mod records;
mod resample;
pub mod rows;
pub mod schedule;
mod seeing;
mod sight;
mod stages;
mod threads;
pub mod tokens;
mod understanding;
pub mod verify;
pub mod vision;

#[cfg(test)]
mod fixtures;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Receiver;
use sha2::{Digest, Sha256};

use self::decoder::Way;
use self::fallback::Fallback;
use self::guard::Rule;
use self::model::Model;
use self::rows::Rows;
use self::schedule::{Key, Request, Schedule, Settings};
use self::sight::Look;
use self::stages::{Stage, StageTimes};
use self::threads::{Prepared, Preparers};
use self::understanding::Understanding;
use super::paddle::orientation::Orientation;
use super::session::{Place, RunError};
use super::{EngineError, Identity, ReadError, ReadTask, Reader};
use crate::config::{Cache, Config, Mode};
use crate::durable;
use crate::pack::{DEEPSEEK_OCR, Pack};
use crate::page::{ImageWish, Reading, Rotation, Tried};

/// Pixels per inch of page images, as the published code renders pages.
const DPI: f32 = 144.0;
/// Largest page image: an A2 page at 144 pixels per inch. No mode looks at more than 4 million.
const MAX_PIXELS: u64 = 8_000_000;
/// Pages that the vision model sees together on CUDA, where enough wait: launching its kernels takes
/// the host some 11 ms a run, which is longer than a page of few views takes the device.
const TOGETHER: usize = 4;
/// Pages that are made ready beside those that are decoded, so that some are there when a place
/// becomes free: as many that the model has seen, and as many that it will see next.
const AHEAD: usize = 2 * TOGETHER;
/// Sequences of a step from which on a thread of its own looks for loops while the device computes:
/// for fewer, starting it (some 50 microseconds) costs more.
const LOOKED_AT_BESIDE: usize = 64;
/// Tokens that the made-up page of the first reading may take beyond its prompt.
const WARM_TOKENS: usize = 4;
/// Changes whenever the same page would be read otherwise.
const REVISION: u32 = 2;

/// How a page is tried: what a retry of the same page may change.
#[derive(Clone, Debug, PartialEq)]
struct Attempt {
    mode: Mode,
    /// With `<image>` where the image goes.
    prompt: String,
    settings: Settings,
}

/// Work of a fixed size, for measurements: the same number of tokens for every page, which are not
/// the model's own.
#[derive(Clone, Copy, Debug)]
struct Forced {
    tokens: usize,
    settings: Settings,
}

impl Forced {
    /// Pages of so many tokens, and nothing else that ends them.
    fn tokens(tokens: usize) -> Self {
        Self {
            tokens,
            settings: bench::endless(usize::MAX),
        }
    }
}

/// A page on its way.
struct Page {
    task: ReadTask,
    attempt: Attempt,
    since: Instant,
    rotation: Rotation,
    /// The page is larger than a tile.
    tiled: bool,
    /// Of the ladder; 0 is the first attempt.
    rung: usize,
    /// There once the vision graph has run.
    rows: Option<Rows>,
    /// Attempts that failed.
    tried: Vec<Tried>,
    /// The longest of what they gave.
    best: Option<Reading>,
}

pub struct DeepSeek {
    identity: Identity,
    model: Model,
    first: Attempt,
    schedule: Schedule,
    preparers: Preparers,
    understanding: Understanding,
    fallback: Fallback,
    /// Pages by the key of their sequence.
    pages: BTreeMap<Key, Page>,
    /// Pages whose views are there.
    prepared: VecDeque<Prepared>,
    next: Key,
    forced: Option<Forced>,
    /// Where the time of [`Reader::serve`] goes.
    spent: StageTimes,
}

impl DeepSeek {
    /// Loads the pack in `models` that the settings name, with the library in `lib`.
    pub fn load(lib: &Path, models: &Path, config: &Config) -> Result<Self, EngineError> {
        let (model, pack) = Model::load(lib, models, config)?;
        let wanted = &config.deepseek;
        let first = Attempt {
            mode: wanted.mode,
            prompt: wanted.prompt_text(),
            settings: Settings {
                max_tokens: wanted.max_tokens,
                rule: Some(Rule::PUBLISHED),
                watch_loops: true,
                stop: true,
            },
        };
        let orientation = orientation(&model, models);
        // Who reads when the model cannot, the precision and the size of the cache change readings.
        let cache = match wanted.cache {
            Cache::Bfloat16 => "cache",
            Cache::Int8 => "int8 cache",
        };
        let default = Pack::open(&models.join("paddle"), "paddle").map(|pack| pack.digest());
        let settings = format!(
            "{DEEPSEEK_OCR} {REVISION} dpi {DPI} {MAX_PIXELS} turned {} fallback {} {:?} {cache} {} {:?} {first:?} forced {:?}",
            orientation.is_some(),
            default.as_deref().unwrap_or("none"),
            model.place,
            model.cache_tokens(),
            model.geometry,
            wanted.forced_tokens,
        );
        let look = Look::new(&model.geometry, orientation, model.uploads.clone());
        let threads = match model.place {
            // The runtime's own threads take all cores.
            Place::Cpu => 1,
            Place::Cuda => threads::MOST,
        };
        Ok(Self {
            identity: Identity {
                engine: DEEPSEEK_OCR.into(),
                model_digest: pack.digest(),
                settings_digest: durable::hex(&Sha256::digest(settings.as_bytes())),
                device: model.device.clone(),
            },
            first,
            schedule: model.schedule(),
            preparers: Preparers::start(threads, look)?,
            understanding: Understanding::start(model.tokenizer.clone())?,
            fallback: Fallback::start(Arc::clone(&model.runtime), models.into())?,
            model,
            pages: BTreeMap::new(),
            prepared: VecDeque::new(),
            next: 0,
            forced: wanted.forced_tokens.map(Forced::tokens),
            spent: StageTimes::new(Instant::now()),
        })
    }

    /// The model, for measurements and comparisons.
    pub fn model(&mut self) -> &mut Model {
        &mut self.model
    }

    /// What was done since the last stage was `stage`.
    fn lap(&mut self, stage: Stage) {
        self.spent.lap(stage, Instant::now());
    }

    /// Tells the log where the time went, when there is nothing to do.
    fn tell_times(&mut self) {
        if let Some(account) = self.spent.account(Instant::now()) {
            tracing::info!("{account}");
        }
    }

    fn force(&mut self, forced: Option<Forced>) {
        self.forced = forced;
    }

    /// Orders the views of a page as its attempt wants them.
    fn order(&mut self, key: Key) {
        let Some(page) = self.pages.get(&key) else {
            return;
        };
        let (image, mode) = (Arc::clone(&page.task.image), page.attempt.mode);
        if !self.preparers.order(key, image, mode) {
            let why = "the threads for page images have ended".into();
            self.answer(key, Err(ReadError::Machine(why)));
        }
    }

    /// Takes pages in that wait, as long as there is room.
    fn take_in(&mut self, tasks: &Receiver<ReadTask>) {
        while self.pages.len() < self.capacity()
            && let Ok(task) = tasks.try_recv()
        {
            self.begin(task);
        }
    }

    /// Takes a page in.
    fn begin(&mut self, task: ReadTask) {
        if task.cancel.is_cancelled() {
            (task.reply)(Err(ReadError::Cancelled));
            return;
        }
        let key = self.next;
        self.next += 1;
        let page = Page {
            task,
            attempt: self.first.clone(),
            since: Instant::now(),
            rotation: Rotation::None,
            tiled: false,
            rung: 0,
            rows: None,
            tried: Vec::new(),
            best: None,
        };
        self.pages.insert(key, page);
        self.order(key);
    }

    fn drop_cancelled(&mut self) {
        let gone: Vec<Key> = self
            .pages
            .iter()
            .filter(|(_, page)| page.task.cancel.is_cancelled())
            .map(|(&key, _)| key)
            .collect();
        for key in gone {
            self.answer(key, Err(ReadError::Cancelled));
        }
    }

    /// One step of all sequences.
    fn step(&mut self) {
        self.lap(Stage::Intake);
        let (step, ended) = self.schedule.plan();
        self.lap(Stage::Planning);
        if !ended.is_empty() {
            for finished in ended {
                self.settle(finished);
            }
            self.lap(Stage::Answers);
        }
        let Some(step) = step else { return };
        let pages = &self.pages;
        let rows = |key| pages.get(&key).and_then(|page: &Page| page.rows.as_ref());
        let (decoder, schedule) = (&mut self.model.decoder, &mut self.schedule);
        let ran = std::thread::scope(|scope| {
            if step.sequences() >= LOOKED_AT_BESIDE {
                scope.spawn(|| schedule.look());
            }
            decoder.run(&step, &rows, false)
        });
        self.lap(match self.model.decoder.way() {
            Way::Ordinary => Stage::Ordinary,
            Way::Repeated => Stage::Repeated,
            Way::Recording => Stage::Recording,
        });
        match ran {
            Ok(chosen) => {
                let ended = self.schedule.advance(&step, &chosen.tokens);
                self.lap(Stage::Advancing);
                if !ended.is_empty() {
                    for finished in ended {
                        self.settle(finished);
                    }
                    self.lap(Stage::Answers);
                }
            }
            Err(e) if e.is_memory() && self.schedule.shrink() => tracing::warn!(
                "memory is short, {} pages at most are decoded together from now on: {e}",
                self.schedule.sequences()
            ),
            // A step holds many pages: none of them is to blame.
            Err(e) => self.fail_all(&e),
        }
    }

    /// The machine is at fault: no page is to blame, and none goes on.
    fn fail_all(&mut self, error: &RunError) {
        // What was said is not lost.
        self.collect(true);
        self.schedule.clear();
        for (_, page) in std::mem::take(&mut self.pages) {
            (page.task.reply)(Err(ReadError::Machine(error.0.clone())));
        }
    }
}

/// The orientation model of the default pack, on one CPU thread; without it pages are taken as
/// they lie, and the log says so.
fn orientation(model: &Model, models: &Path) -> Option<Orientation> {
    let load = || -> Result<Orientation, EngineError> {
        let pack = Pack::open(&models.join("paddle"), "paddle")?;
        let graph = model.runtime.single_threaded(&pack.file("orientation")?)?;
        Ok(Orientation::new(Box::new(graph)))
    };
    load()
        .inspect_err(|e| tracing::warn!("turned pages are not set upright: {e}"))
        .ok()
}

impl Reader for DeepSeek {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn wish(&self) -> ImageWish {
        ImageWish {
            dpi: DPI,
            max_pixels: MAX_PIXELS,
        }
    }

    fn wants_chars(&self) -> bool {
        true
    }

    fn capacity(&self) -> usize {
        self.schedule.sequences() + AHEAD
    }

    fn warm(&mut self) -> Result<(), ReadError> {
        let failed = |e: RunError| ReadError::Machine(e.0);
        let image = model::made_up_page(448, 448);
        let attempt = &self.first;
        let (_, prompt, rows) = self
            .model
            .page(&image, attempt.mode, &attempt.prompt)
            .map_err(failed)?;
        let request = Request {
            key: 0,
            settings: Settings {
                max_tokens: prompt.ids.len() + WARM_TOKENS,
                ..attempt.settings
            },
            prompt: prompt.ids.iter().map(|&id| id as u32).collect(),
            image_rows: prompt.image_rows,
            forced: Vec::new(),
        };
        let rows = BTreeMap::from([(0, rows)]);
        self.model
            .generate(vec![request], &rows, false, &mut |_, _| {})
            .map(drop)
            .map_err(failed)
    }

    fn serve(&mut self, tasks: &Receiver<ReadTask>) {
        // What a panic may have left: its pages have no one to answer to.
        self.schedule.clear();
        self.pages.clear();
        self.spent.resume(Instant::now());
        loop {
            if self.pages.is_empty() {
                // A queue that is empty for a moment is no end of work.
                let next = tasks.try_recv().or_else(|_| {
                    self.lap(Stage::Intake);
                    self.tell_times();
                    tasks.recv()
                });
                self.lap(Stage::Waiting);
                match next {
                    Ok(task) => self.begin(task),
                    Err(_) => return,
                }
            }
            self.take_in(tasks);
            self.drop_cancelled();
            if !self.pages.is_empty() {
                let batch = self.ready();
                self.project(batch);
                self.step();
            }
            self.collect(false);
            self.lap(Stage::Answers);
        }
    }
}
