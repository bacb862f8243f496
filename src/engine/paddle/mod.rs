//! The embedded default engine: PP-OCR detection and recognition, page orientation and
//! PP-DocLayoutV3 with its reading order.
//!
//! A page is turned upright, its regions and lines are found on small copies, the lines are cut
//! from the page image itself and read in batches of similar width, and put into the regions.

mod compose;
mod deskew;
mod detect;
mod layout;
mod line;
pub(super) mod orientation;
pub(super) mod pixels;
mod recognise;
mod settle;
mod windows;

use std::path::Path;
use std::time::Instant;

use crossbeam_channel::Receiver;
use sha2::{Digest, Sha256};

use self::pixels::Pixels;
use self::recognise::{Alphabet, Recognise};
use self::settle::Settled;
use super::blank::is_blank;
use super::session::{Graph, Place, RunError, Runtime};
use super::{EngineError, Identity, ReadError, ReadTask, Reader};
use crate::config::{self, Device};
use crate::durable;
use crate::pack::Pack;
use crate::page::{Block, ImageWish, PageBox, PageImage, Reading, Rotation};

/// Pixels per inch of page images: small print (6 points) still has 17 rows.
const DPI: f32 = 200.0;
/// Largest page image: an A2 page at 200 pixels per inch.
const MAX_PIXELS: u64 = 16_000_000;
/// Pixels per inch and longest side at which lines are looked for.
const DETECT_DPI: f32 = 144.0;
const DETECT_LONGEST: u32 = 2400;
/// Recognition sessions side by side at most; each holds its own copy of 21 MB of weights.
const MAX_RECOGNISERS: usize = 8;
/// Changes whenever the same page would be read otherwise.
const REVISION: u32 = 3;

pub struct Paddle {
    identity: Identity,
    orientation: orientation::Orientation,
    layout: layout::Layout,
    detect: detect::Detect,
    recognise: Recognise,
}

impl Paddle {
    /// Loads the pack in `models` that `engine` names, with the library in `lib`.
    pub fn load(lib: &Path, models: &Path, engine: &config::Engine) -> Result<Self, EngineError> {
        let folder = models.join(engine.pack());
        let pack = Pack::open(&folder, "paddle")?;
        let runtime = Runtime::load(lib, engine.device, engine.threads)?;
        if runtime.has_cuda() {
            let tried = Self::build(&runtime, &pack, Place::Cuda).and_then(|mut paddle| {
                // Only a real run shows that the device works.
                paddle.warm().map_err(|e| EngineError::Machine {
                    what: "CUDA".into(),
                    why: e.to_string(),
                })?;
                Ok(paddle)
            });
            match tried {
                Ok(paddle) => return Ok(paddle),
                Err(e) if engine.device == Device::Cuda => return Err(e),
                Err(e) => tracing::warn!("CUDA cannot be used, reading on the CPU: {e}"),
            }
        }
        Self::build(&runtime, &pack, Place::Cpu)
    }

    /// Loads the default pack in `models` on the CPU, whatever else `runtime` is used for.
    pub fn on_cpu(runtime: &Runtime, models: &Path) -> Result<Self, EngineError> {
        let pack = Pack::open(&models.join("paddle"), "paddle")?;
        Self::build(runtime, &pack, Place::Cpu)
    }

    fn build(runtime: &Runtime, pack: &Pack, place: Place) -> Result<Self, EngineError> {
        let graph = |role: &str, outputs: &[&str]| -> Result<Box<dyn Graph>, EngineError> {
            Ok(Box::new(runtime.session(
                &pack.file(role)?,
                place,
                outputs,
            )?))
        };
        let recognition = pack.file("recognition")?;
        let mut graphs: Vec<Box<dyn Graph>> = Vec::new();
        let mut characters = None;
        let count = if place == Place::Cuda {
            1
        } else {
            runtime.threads().clamp(1, MAX_RECOGNISERS)
        };
        for _ in 0..count {
            let session = if place == Place::Cuda {
                runtime.session(&recognition, place, &[])?
            } else {
                runtime.single_threaded(&recognition)?
            };
            characters = session.metadata("character");
            graphs.push(Box::new(session));
        }
        let characters = characters.ok_or_else(|| EngineError::Config {
            what: recognition.display().to_string(),
            why: "its metadata has no dictionary (\"character\")".into(),
            hint: "run packaging/fetch-assets --verify".into(),
        })?;
        let settings = format!(
            "paddle {REVISION} dpi {DPI} pixels {MAX_PIXELS} detect {DETECT_DPI} {DETECT_LONGEST}"
        );
        Ok(Self {
            identity: Identity {
                engine: "paddle".into(),
                model_digest: pack.digest(),
                settings_digest: durable::hex(&Sha256::digest(settings.as_bytes())),
                device: runtime.device_name(place),
            },
            orientation: orientation::Orientation::new(graph("orientation", &[])?),
            layout: layout::Layout::new(graph("layout", &layout::Layout::OUTPUTS)?),
            detect: detect::Detect::new(graph("detection", &[])?, DETECT_DPI, DETECT_LONGEST),
            recognise: Recognise::new(graphs, Alphabet::new(&characters)),
        })
    }

    /// Reads one page.
    pub fn read(&mut self, image: &PageImage) -> Result<Reading, RunError> {
        let started = Instant::now();
        let dpi = image.dpi;
        let mut laps = Laps::new();
        if is_blank(image) {
            let seconds = started.elapsed().as_secs_f64();
            return Ok(Reading::of_blocks(Vec::new(), Rotation::None, seconds));
        }
        let Settled { page, pose, boxes } = self.settle(Pixels::from(image), dpi)?;
        laps.lap("detection");
        let regions = self.layout.of(&page)?;
        laps.lap("layout");
        let (width, height) = (page.width as f32, page.height as f32);
        let boxes = compose::split(&boxes, &regions, width, height);
        let lines = self.recognise.of(&page, &boxes)?;
        laps.lap("recognition");
        let blocks = compose::compose(&regions, &lines, width, height)
            .into_iter()
            .map(|placed| {
                let [x1, y1, x2, y2] = pose.to_displayed(placed.at);
                Block {
                    label: placed.label.into(),
                    boxes: vec![PageBox::from_fractions(x1, y1, x2, y2)],
                    content: placed.content,
                }
            })
            .collect();
        tracing::trace!(
            lines = boxes.len(),
            regions = regions.len(),
            "{}",
            laps.text()
        );
        Ok(Reading::of_blocks(
            blocks,
            pose.rotation,
            started.elapsed().as_secs_f64(),
        ))
    }
}

/// Seconds of the steps of a page.
struct Laps {
    last: Instant,
    laps: Vec<(&'static str, f64)>,
}

impl Laps {
    fn new() -> Self {
        Self {
            last: Instant::now(),
            laps: Vec::new(),
        }
    }

    fn lap(&mut self, name: &'static str) {
        self.laps.push((name, self.last.elapsed().as_secs_f64()));
        self.last = Instant::now();
    }

    fn text(&self) -> String {
        self.laps
            .iter()
            .map(|(name, s)| format!("{name} {s:.3} s"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl Reader for Paddle {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn wish(&self) -> ImageWish {
        ImageWish {
            dpi: DPI,
            max_pixels: MAX_PIXELS,
        }
    }

    fn warm(&mut self) -> Result<(), ReadError> {
        // A white letter page with a black bar: every model runs, recognition too.
        let (width, height) = (1700u32, 2200u32);
        let mut rgb = vec![255u8; (width * height * 3) as usize];
        for row in rgb.chunks_exact_mut(width as usize * 3).skip(300).take(20) {
            row[900..3000].fill(0);
        }
        let image = PageImage {
            width,
            height,
            rgb,
            dpi: DPI,
        };
        self.read(&image)
            .map(drop)
            .map_err(|e| ReadError::Machine(e.to_string()))
    }

    fn serve(&mut self, tasks: &Receiver<ReadTask>) {
        for task in tasks {
            if task.cancel.is_cancelled() {
                (task.reply)(Err(ReadError::Cancelled));
                continue;
            }
            let read = self.read(&task.image).map_err(fault);
            (task.reply)(read);
        }
    }
}

/// Whether the page or the machine is to blame, by the runtime's words.
fn fault(error: RunError) -> ReadError {
    if error.is_machine() {
        ReadError::Machine(error.0)
    } else {
        ReadError::Page(format!("the engine cannot read it: {error}"))
    }
}
