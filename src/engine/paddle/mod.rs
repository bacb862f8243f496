//! The embedded default engine: PP-OCR detection and recognition, page orientation,
//! PP-DocLayoutV3 with its reading order, tables, formulas from the text layer, and a formula model
//! of the user's own.
//!
//! A page is turned upright, its regions and lines are found on small copies, the lines are cut
//! from the page image itself and read in batches of similar width, and put into the regions.

mod compose;
mod deskew;
mod detect;
mod formula;
mod layer;
pub(super) mod layout;
mod line;
mod look;
pub(super) mod orientation;
pub(super) mod pixels;
mod recognise;
mod settle;
mod table;
mod windows;

use std::path::Path;
use std::time::Instant;

use crossbeam_channel::Receiver;
use sha2::{Digest, Sha256};

use self::formula::Model as Formulas;
use self::look::Seen;
use self::pixels::Pixels;
use self::recognise::{Alphabet, Recognise};
use self::table::Tables;
use super::blank::is_blank;
use super::session::{Graph, Place, RunError, Runtime};
use super::{EngineError, Identity, ReadError, ReadTask, Reader};
use crate::config::{Config, Device, TextLayer};
use crate::durable;
use crate::pack::{FORMULA, Pack};
use crate::page::{
    Block, Heading, ImageWish, PageBox, PageChars, PageImage, PageText, Reading, Rotation,
    TextSource,
};

/// Pixels per inch of page images: small print (6 points) still has 17 rows.
const DPI: f32 = 200.0;
/// Largest page image: an A2 page at 200 pixels per inch.
const MAX_PIXELS: u64 = 16_000_000;
/// Pixels per inch and longest side at which lines are looked for.
const DETECT_DPI: f32 = 144.0;
const DETECT_LONGEST: u32 = 2400;
/// Recognition sessions side by side at most; each holds its own copy of 21 MB of weights.
const MAX_RECOGNISERS: usize = 8;
/// Points of an inch.
const POINTS: f32 = 72.0;
/// Changes whenever the same page would be read otherwise.
const REVISION: u32 = 5;

/// What is said of a page whose text layer is not asked for.
const IMAGE: PageText = PageText {
    source: TextSource::Image,
    note: None,
};

pub struct Paddle {
    identity: Identity,
    orientation: orientation::Orientation,
    layout: layout::Layout,
    detect: detect::Detect,
    recognise: Recognise,
    tables: Tables,
    /// The user's own model, where there is one.
    formulas: Option<Formulas>,
    text_layer: TextLayer,
    /// The characters that recognition reads.
    known: layer::Known,
}

impl Paddle {
    /// Loads the packs in `models` that the settings name, with the library in `lib`.
    pub fn load(lib: &Path, models: &Path, config: &Config) -> Result<Self, EngineError> {
        let (engine, text_layer) = (&config.engine, config.paddle.text_layer);
        let packs = Packs {
            own: Pack::open(&models.join(engine.pack()), "paddle")?,
            formula: match &*config.paddle.formula {
                "" => None,
                name => Some(Pack::open(&models.join(name), FORMULA)?),
            },
        };
        let runtime = Runtime::load(lib, engine.device, engine.threads)?;
        if runtime.has_cuda() {
            let tried =
                Self::build(&runtime, &packs, Place::Cuda, text_layer).and_then(|mut paddle| {
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
        Self::build(&runtime, &packs, Place::Cpu, text_layer)
    }

    /// Loads the default pack in `models` on the CPU, whatever else `runtime` is used for. All text
    /// is read from the image, formulas as text.
    pub fn on_cpu(runtime: &Runtime, models: &Path) -> Result<Self, EngineError> {
        let packs = Packs {
            own: Pack::open(&models.join("paddle"), "paddle")?,
            formula: None,
        };
        Self::build(runtime, &packs, Place::Cpu, TextLayer::Never)
    }

    fn build(
        runtime: &Runtime,
        packs: &Packs,
        place: Place,
        text_layer: TextLayer,
    ) -> Result<Self, EngineError> {
        let pack = &packs.own;
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
        let characters = dictionary(characters, &recognition)?;
        let mut settings = format!(
            "paddle {REVISION} dpi {DPI} pixels {MAX_PIXELS} detect {DETECT_DPI} {DETECT_LONGEST} text layer {}",
            text_layer.name()
        );
        let mut formulas = None;
        if let Some(pack) = &packs.formula {
            settings.push_str(&format!(" formula {} {:?}", pack.digest(), pack.formula));
            formulas = Some(Formulas::load(runtime, pack, place)?);
        }
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
            tables: Self::tables(runtime, pack)?,
            formulas,
            text_layer,
            known: layer::Known::new(&characters),
        })
    }

    /// The models of tables run on the CPU everywhere: they are small, and SLANet-plus is a loop of
    /// tiny steps.
    fn tables(runtime: &Runtime, pack: &Pack) -> Result<Tables, EngineError> {
        let session = |role: &str| runtime.session(&pack.file(role)?, Place::Cpu, &[]);
        let lineless = session("table_lineless")?;
        let tokens = dictionary(
            lineless.metadata("character"),
            &pack.file("table_lineless")?,
        )?;
        Ok(Tables::new(
            Box::new(session("table_kind")?),
            Box::new(session("table_wired")?),
            Box::new(lineless),
            &tokens,
        ))
    }

    /// Reads one page from its image alone.
    pub fn read(&mut self, image: &PageImage) -> Result<Reading, RunError> {
        self.read_with(image, None)
    }

    /// Reads one page; `chars` are the PDF's own, used where they are trusted.
    pub fn read_with(
        &mut self,
        image: &PageImage,
        chars: Option<&PageChars>,
    ) -> Result<Reading, RunError> {
        let started = Instant::now();
        let dpi = image.dpi;
        let mut laps = Laps::new();
        if is_blank(image) {
            let seconds = started.elapsed().as_secs_f64();
            return Ok(Reading::of_blocks(Vec::new(), Rotation::None, seconds));
        }
        let chars = chars.filter(|_| self.text_layer == TextLayer::Auto);
        let Seen {
            page,
            pose,
            mut regions,
            lines,
            text,
        } = self.look(Pixels::from(image), dpi, chars, &mut laps)?;
        let (width, height) = (page.width as f32, page.height as f32);
        let mut rebuilt = self.tables.of_regions(&page, &regions, &lines)?;
        laps.lap("tables");
        let formulas = formula::of_regions(&page, &regions, &lines, chars, &pose);
        let places = regions.iter_mut().zip(&mut rebuilt);
        for ((region, rebuilt), formula) in places.zip(formulas) {
            if let Some(formula) = formula {
                // Its limits and brackets are no text beside it.
                region.at = formula.at;
                *rebuilt = Some(formula.markdown);
            }
        }
        if let Some(model) = &mut self.formulas {
            model.read_rest(&page, &regions, dpi, &mut rebuilt)?;
        }
        laps.lap("formulas");
        let blocks = compose::compose(&regions, &lines, &rebuilt, width, height)
            .into_iter()
            .map(|placed| Block {
                label: placed.label.into(),
                boxes: placed
                    .boxes
                    .into_iter()
                    .map(|at| {
                        let [x1, y1, x2, y2] = pose.to_displayed(at);
                        PageBox::from_fractions(x1, y1, x2, y2)
                    })
                    .collect(),
                content: placed.content,
                heading: placed.heading.map(|heading| Heading {
                    size: heading.size / dpi * POINTS,
                    ..heading
                }),
            })
            .collect();
        tracing::trace!(
            lines = lines.len(),
            regions = regions.len(),
            "{}",
            laps.text()
        );
        let mut reading =
            Reading::of_blocks(blocks, pose.rotation, started.elapsed().as_secs_f64());
        reading.text = Some(text);
        Ok(reading)
    }
}

/// What the engine is loaded from.
struct Packs {
    own: Pack,
    /// Of a formula model.
    formula: Option<Pack>,
}

/// A model's dictionary, which stands in its metadata.
fn dictionary(found: Option<String>, model: &Path) -> Result<String, EngineError> {
    found.ok_or_else(|| EngineError::Config {
        what: model.display().to_string(),
        why: "its metadata has no dictionary (\"character\")".into(),
        hint: "run packaging/fetch-assets --verify".into(),
    })
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

    fn wants_chars(&self) -> bool {
        self.text_layer == TextLayer::Auto
    }

    fn warm(&mut self) -> Result<(), ReadError> {
        // A small white page with a black bar: every model runs, recognition too.
        let (width, height) = (850u32, 1100u32);
        let mut rgb = vec![255u8; (width * height * 3) as usize];
        for row in rgb.chunks_exact_mut(width as usize * 3).skip(150).take(20) {
            row[450..1500].fill(0);
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
            let read = self.read_with(&task.image, task.chars.as_ref());
            let read = read.map_err(fault);
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
