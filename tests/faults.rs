//! What the tests of the deepseek engine must see, and what its reader does when a page goes wrong:
//! each fault of `tests/data/tiny-reader/STATS.md` that can be made from outside is made, and must
//! be found by the comparison that the other tests make. ("GELU for quick-GELU" is code: the stage
//! `clip` of `tests/deepseek.rs` covers it.)
#![allow(clippy::unwrap_used)]

#[path = "support/numbers.rs"]
mod numbers;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::unbounded;
use dropleaf::config::{Config, Device, Mode};
use dropleaf::engine::deepseek::DeepSeek;
use dropleaf::engine::deepseek::guard::Rule;
use dropleaf::engine::deepseek::model::Model;
use dropleaf::engine::deepseek::preprocess::{self, View as PageView};
use dropleaf::engine::deepseek::schedule::{Request, Settings};
use dropleaf::engine::deepseek::verify::{Agreement, Set, Tolerances, compare};
use dropleaf::engine::session::{Graph, Resident, RunError, View};
use dropleaf::engine::{Cancel, ReadError, ReadTask, Reader};
use dropleaf::import::{self, Options};
use dropleaf::pack::Storage;
use dropleaf::page::{
    Block, PageBox, PageChar, PageChars, PageImage, PageStatus, Reading, Rotation,
};
use half::bf16;
use image::RgbImage;
use image::imageops::{self, FilterType};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde_json::{Value, json};

use numbers::relative_error;

const READER: &str = "tiny-reader";
/// The cards that the faults are looked for on: the first has all stages recorded.
const CASES: [&str; 2] = ["card00", "card05"];
/// As in `tests/deepseek.rs`.
const TOLERANCE: f64 = 1e-4;
/// Grey around a padded view.
const PADDING: u8 = 127;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(READER)
}

/// One at a time: a model takes all cores.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn config() -> Config {
    let mut config = Config::default();
    config.folders.fill().unwrap();
    config.engine.name = "deepseek-ocr".into();
    config.engine.model = READER.into();
    config.engine.device = Device::Cpu;
    config.deepseek.cache_tokens = 4096;
    config
}

fn import_into(models: &Path, checkpoint: &Path) {
    let options = Options {
        name: Some(READER.into()),
        storage: Storage::F32,
        licence: None,
        replace: false,
    };
    import::import(checkpoint, models, &options, &mut |_, _| {
        ControlFlow::Continue(())
    })
    .unwrap();
}

fn load(models: &Path) -> Model {
    let config = config();
    let lib = config.folders.data.join("lib");
    Model::load(&lib, models, &config).unwrap().0
}

fn picture(card: &str) -> RgbImage {
    let file = data().join("cards").join(format!("{card}.png"));
    image::open(file).unwrap().to_rgb8()
}

fn page(picture: RgbImage) -> PageImage {
    PageImage::new(picture.width(), picture.height(), picture.into_raw(), 144.0).unwrap()
}

fn recorded(name: &str) -> Vec<f32> {
    let bytes = std::fs::read(data().join("reference.safetensors")).unwrap();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let (values, _) = all.tensor(name).unwrap().data().as_chunks::<4>();
    values.iter().map(|&v| f32::from_le_bytes(v)).collect()
}

/// A copy of the checkpoint, to be spoiled.
struct Checkpoint {
    tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
    config: Value,
}

impl Checkpoint {
    const WEIGHTS: &str = "model-00001-of-000001.safetensors";
    const PROJECTOR: &str = "model.projector.layers.weight";

    fn read() -> Self {
        let bytes = std::fs::read(data().join(Self::WEIGHTS)).unwrap();
        let all = SafeTensors::deserialize(&bytes).unwrap();
        let config = std::fs::read(data().join("config.json")).unwrap();
        Self {
            tensors: all
                .tensors()
                .into_iter()
                .map(|(name, t)| (name, (t.dtype(), t.shape().to_vec(), t.data().to_vec())))
                .collect(),
            config: serde_json::from_slice(&config).unwrap(),
        }
    }

    /// Zeroes the tensors whose names hold `part`, of which there must be `count`.
    fn zero(&mut self, part: &str, count: usize) {
        let named = self.tensors.iter_mut().filter(|(n, _)| n.contains(part));
        let mut zeroed = 0;
        for (_, (_, _, bytes)) in named {
            assert!(bytes.iter().any(|&b| b != 0), "{part} is zero already");
            bytes.fill(0);
            zeroed += 1;
        }
        assert_eq!(zeroed, count, "{part}");
    }

    /// Sets a key of the language model, which stands in two places.
    fn set(&mut self, key: &str, value: Value) {
        for at in ["", "/language_config"] {
            let table = self.config.pointer_mut(at).unwrap();
            let old = table
                .as_object_mut()
                .unwrap()
                .insert(key.into(), value.clone());
            assert!(old.is_some_and(|old| old != value), "{key}");
        }
    }

    /// Numbers of a tensor.
    fn numbers(&self, name: &str) -> Vec<f32> {
        let (dtype, _, bytes) = &self.tensors[name];
        assert_eq!(*dtype, Dtype::BF16);
        let (values, _) = bytes.as_chunks::<2>();
        values
            .iter()
            .map(|&v| bf16::from_le_bytes(v).to_f32())
            .collect()
    }

    /// Zeroes what the projector takes of CLIP: the first half of its input.
    fn zero_clip(&mut self) {
        let (_, shape, bytes) = self.tensors.get_mut(Self::PROJECTOR).unwrap();
        let row = shape[1] * size_of::<bf16>();
        for row in bytes.chunks_exact_mut(row) {
            let (clip, _) = row.split_at_mut(row.len() / 2);
            clip.fill(0);
        }
    }

    fn newline_for_separator(&mut self) {
        let newline = self.tensors["model.image_newline"].clone();
        let old = self
            .tensors
            .insert("model.view_seperator".into(), newline.clone());
        assert!(old.is_some_and(|old| old.1 == newline.1 && old.2 != newline.2));
    }

    /// Imports it as it is now and loads it.
    fn model(&self) -> Model {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = folder.path().join("checkpoint");
        std::fs::create_dir(&checkpoint).unwrap();
        for file in [
            "tokenizer.json",
            "tokenizer_config.json",
            "model.safetensors.index.json",
        ] {
            std::fs::copy(data().join(file), checkpoint.join(file)).unwrap();
        }
        std::fs::write(checkpoint.join("config.json"), self.config.to_string()).unwrap();
        let views = self.tensors.iter().map(|(name, (dtype, shape, bytes))| {
            let view = TensorView::new(*dtype, shape.clone(), bytes).unwrap();
            (name.clone(), view)
        });
        let bytes = serialize(views, None).unwrap();
        std::fs::write(checkpoint.join(Self::WEIGHTS), bytes).unwrap();
        let models = folder.path().join("models");
        std::fs::create_dir(&models).unwrap();
        import_into(&models, &checkpoint);
        load(&models)
    }
}

/// The recorded values of [`CASES`].
static SET: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let mut cases = serde_json::Map::new();
    for case in CASES {
        let file = format!("{case}.png");
        std::fs::copy(data().join("cards").join(&file), folder.path().join(&file)).unwrap();
        cases.insert(case.into(), json!({"image": file}));
    }
    let text = std::fs::read(data().join("reference.json")).unwrap();
    let mut json: Value = serde_json::from_slice(&text).unwrap();
    json["cases"] = cases.into();
    std::fs::write(folder.path().join("reference.json"), json.to_string()).unwrap();
    let values = "reference.safetensors";
    std::fs::copy(data().join(values), folder.path().join(values)).unwrap();
    folder
});

/// The stages of each case that are out of their tolerance.
fn out(what: &str, model: &mut Model) -> [Vec<String>; 2] {
    let set = Set::open(SET.path()).unwrap();
    let mut rows = Vec::new();
    let summary = compare(model, &set, Tolerances::FLOAT32, &mut |row| {
        println!("{what}: {} {}: {}", row.case, row.stage, row.agreement);
        rows.push(row.clone());
    })
    .unwrap();
    // Of card00 five stages, ids and tokens; of the other ids and tokens.
    assert_eq!(summary.compared, 9);
    CASES.map(|case| {
        rows.iter()
            .filter(|row| row.case == case && !row.agreement.holds())
            .map(|row| {
                // Neither sizes nor words are at fault: it is the numbers.
                assert!(
                    matches!(
                        row.agreement,
                        Agreement::Error { .. } | Agreement::Tokens(_)
                    ),
                    "{what}: {row:?}"
                );
                row.stage.clone()
            })
            .collect()
    })
}

/// From which stage on a fault is seen.
const STAGES: [&str; 6] = [
    "global.sam",
    "global.clip",
    "global.projected",
    "image_embeds",
    "first_logits",
    "tokens",
];

#[test]
fn the_comparison_finds_each_fault_of_the_checkpoint_from_its_stage_on() {
    type Edit = fn(&mut Checkpoint);
    let faults: [(&str, Edit, usize); 7] = [
        (
            "top-k weights normalised",
            |c| c.set("norm_topk_prob", true.into()),
            4,
        ),
        (
            "top 2 experts, not 3",
            |c| c.set("num_experts_per_tok", 2.into()),
            4,
        ),
        (
            "shared experts left out",
            |c| c.zero("shared_experts", 9),
            4,
        ),
        (
            "SAM relative positions left out",
            |c| c.zero("rel_pos_", 8),
            0,
        ),
        ("CLIP output zeroed", Checkpoint::zero_clip, 2),
        ("image_newline zeroed", |c| c.zero("image_newline", 1), 4),
        (
            "view_seperator replaced by image_newline",
            Checkpoint::newline_for_separator,
            4,
        ),
    ];
    let _turn = turn();
    assert_eq!(Tolerances::FLOAT32.relative, TOLERANCE);
    assert_eq!(Tolerances::FLOAT32.margin, 1e-3);
    let whole = out("untouched", &mut Checkpoint::read().model());
    assert_eq!(whole, [vec![], vec![]] as [Vec<String>; 2]);
    let mut unseen = Vec::new();
    for (fault, edit, first) in faults {
        let mut checkpoint = Checkpoint::read();
        edit(&mut checkpoint);
        let [all, tokens] = out(fault, &mut checkpoint.model());
        if all != STAGES[first..] || tokens != ["tokens"] {
            unseen.push(format!("{fault}: {all:?}, {tokens:?}"));
        }
    }
    assert!(unseen.is_empty(), "{unseen:#?}");
}

/// That the fault "CLIP output zeroed" is what it says: what is left is SAM's half alone.
#[test]
fn without_clip_the_projector_gives_what_sam_alone_gives() {
    let _turn = turn();
    let mut checkpoint = Checkpoint::read();
    let weight = checkpoint.numbers(Checkpoint::PROJECTOR);
    let bias = checkpoint.numbers("model.projector.layers.bias");
    let sam = recorded("card00.global.sam");
    let (width, tokens) = (bias.len(), 256);
    let channels = sam.len() / tokens;
    let mut wanted = Vec::new();
    for token in 0..tokens {
        for (row, bias) in weight.chunks_exact(weight.len() / width).zip(&bias) {
            let own = &row[row.len() - channels..];
            let products = own.iter().enumerate();
            let sum: f64 = products
                .map(|(c, w)| f64::from(*w) * f64::from(sam[c * tokens + token]))
                .sum();
            wanted.push((sum + f64::from(*bias)) as f32);
        }
    }
    let projected = recorded("card00.global.projected");
    assert!(relative_error(&wanted, &projected) > 0.1);
    checkpoint.zero_clip();
    let mut model = checkpoint.model();
    let page = page(picture("card00"));
    let view = preprocess::prepare(&page, Mode::Gundam, &model.geometry).global;
    let found = model.vision.stages(&view).unwrap().projected;
    let error = relative_error(&found, &wanted);
    assert!(error <= TOLERANCE, "{error:.1e}");
}

/// `inner` in the middle of a grey square.
fn padded(inner: &RgbImage, side: u32) -> PageView {
    let mut square = RgbImage::from_pixel(side, side, image::Rgb([PADDING; 3]));
    let middle = |length: u32| (f64::from(side - length) * 0.5).round_ties_even() as i64;
    let (x, y) = (middle(inner.width()), middle(inner.height()));
    imageops::replace(&mut square, inner, x, y);
    PageView {
        side,
        rgb: square.into_raw(),
    }
}

#[test]
fn the_stage_sam_finds_a_view_that_was_made_otherwise() {
    let _turn = turn();
    let mut model = load(MODELS.path());
    let card = picture("card00");
    let right = preprocess::prepare(&page(card.clone()), Mode::Gundam, &model.geometry).global;
    let side = right.side;
    assert_eq!((side, card.dimensions()), (1024, (465, 576)));
    let width = (465.0_f64 / 576.0 * 1024.0).round_ties_even() as u32;
    let fitted = |filter| padded(&imageops::resize(&card, width, side, filter), side);
    let stretched = imageops::resize(&card, side, side, FilterType::CatmullRom);
    let stretched = PageView {
        side,
        rgb: stretched.into_raw(),
    };
    let wanted = recorded("card00.global.sam");
    let mut error = |what: &str, view: &PageView| {
        let levels = right.rgb.iter().zip(&view.rgb).map(|(a, b)| a.abs_diff(*b));
        let levels = levels.max().unwrap();
        let found = model.vision.stages(view).unwrap().sam;
        let error = relative_error(&found, &wanted);
        println!("{what}: {levels} levels at most, sam {error:.1e}");
        (levels, error)
    };
    let own = error("the view", &right);
    assert!(own.0 == 0 && own.1 <= TOLERANCE, "{own:?}");
    // Another program's bicubic view, rounded otherwise: where it lies and how it is padded is right.
    let bicubic = error(
        "bicubic of the image crate",
        &fitted(FilterType::CatmullRom),
    );
    assert!(bicubic.0 <= 4, "{bicubic:?}");
    let bilinear = error("bilinear", &fitted(FilterType::Triangle));
    assert!(bilinear.1 > 10.0 * TOLERANCE, "{bilinear:?}");
    assert!(bilinear.1 > 2.0 * bicubic.1, "{bilinear:?} {bicubic:?}");
    let stretched = error("stretched", &stretched);
    assert!(stretched.1 > 100.0 * TOLERANCE, "{stretched:?}");
}

/// The pack of the untouched checkpoint.
static MODELS: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let models = tempfile::tempdir().unwrap();
    import_into(models.path(), &data());
    models
});

/// A reader of at most `max_tokens` tokens, with or without the default pack beside its own.
fn reader(models: &Path, paddle: bool, max_tokens: usize) -> DeepSeek {
    let mut config = config();
    config.deepseek.cache_tokens = 16_384;
    config.deepseek.max_tokens = max_tokens;
    let link = |from: &Path, to: &str| std::os::unix::fs::symlink(from, models.join(to)).unwrap();
    link(&MODELS.path().join(READER), READER);
    if paddle {
        link(&config.folders.data.join("models/paddle"), "paddle");
    }
    let lib = config.folders.data.join("lib");
    let mut reader = DeepSeek::load(&lib, models, &config).unwrap();
    reader.warm().unwrap();
    reader
}

/// Has `reader` read all pages together; answers in the order of `pages`.
fn read(
    reader: &mut DeepSeek,
    pages: Vec<(PageImage, Option<PageChars>)>,
) -> Vec<Result<Reading, ReadError>> {
    let (tasks, queue) = unbounded();
    let (answers, answered) = unbounded();
    let count = pages.len();
    for (i, (image, chars)) in pages.into_iter().enumerate() {
        let answers = answers.clone();
        let task = ReadTask {
            image: Arc::new(image),
            chars,
            cancel: Cancel::default(),
            reply: Box::new(move |answer| answers.send((i, answer)).unwrap()),
        };
        tasks.send(task).unwrap();
    }
    drop((tasks, answers));
    reader.serve(&queue);
    let answers: Vec<_> = answered.iter().collect();
    assert_eq!(answers.len(), count, "every page is answered once");
    let answers: BTreeMap<usize, _> = answers.into_iter().collect();
    assert_eq!(answers.len(), count, "every page is answered once");
    answers.into_values().collect()
}

/// What the model says of each card.
fn recorded_texts() -> Vec<String> {
    let cards = std::fs::read(data().join("cards.json")).unwrap();
    let cards: Value = serde_json::from_slice(&cards).unwrap();
    let cards = cards["cards"].as_array().unwrap().iter();
    cards
        .map(|card| {
            let text = card["output_text"].as_str().unwrap();
            text.replace("<｜end▁of▁sentence｜>", "")
        })
        .collect()
}

struct Nothing;

impl Graph for Nothing {
    fn run(
        &mut self,
        _: &[(&str, View<'_>)],
        _: &[&str],
        _: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        Err(RunError("the model was asked".into()))
    }

    fn keep(&mut self, _: &[Resident]) -> Result<(), RunError> {
        Err(RunError("the model was asked".into()))
    }
}

#[test]
fn blank_pages_are_answered_without_the_model_between_others() {
    let _turn = turn();
    let models = tempfile::tempdir().unwrap();
    let mut reader = reader(models.path(), false, 8192);
    let blank = |level: u8| {
        let rgb = vec![level; 640 * 480 * 3];
        (PageImage::new(640, 480, rgb, 144.0).unwrap(), None)
    };
    // Paper with single dark specks.
    let mut specked = blank(236);
    for at in [3_000, 90_000, 702_000] {
        specked.0.rgb[at..][..3].fill(10);
    }
    let card = |name: &str| (page(picture(name)), None);
    let assert_blank = |answer: &Result<Reading, ReadError>| {
        let reading = answer.as_ref().unwrap();
        assert_eq!(reading.status, PageStatus::Blank);
        assert_eq!(reading.tokens, None);
        assert_eq!(reading.reason.as_deref(), Some("nothing is on the page"));
        assert!(reading.blocks.is_empty() && reading.grounded.is_empty());
        assert!(reading.tried.is_empty(), "{:?}", reading.tried);
    };
    let pages = vec![
        blank(255),
        card("card00"),
        specked.clone(),
        blank(0),
        card("card05"),
        blank(236),
    ];
    let answers = read(&mut reader, pages);
    for at in [0, 2, 3, 5] {
        assert_blank(&answers[at]);
    }
    let texts = recorded_texts();
    for (at, card) in [(1, 0), (4, 5)] {
        let reading = answers[at].as_ref().unwrap();
        assert_eq!(reading.status, PageStatus::Ok);
        assert_eq!(reading.grounded, texts[card]);
        assert!(reading.tokens.is_some_and(|n| n > 50));
    }

    // With a model that says what it is asked.
    reader.model().vision.graph = Box::new(Nothing);
    reader.model().decoder.graph = Box::new(Nothing);
    let answers = read(&mut reader, vec![specked, card("card05"), blank(255)]);
    assert_blank(&answers[0]);
    // A page that is not blank is shown to the model, on every rung.
    let tried = &answers[1].as_ref().unwrap().tried;
    let asked = tried.iter().filter(|t| t.outcome.contains("was asked"));
    assert_eq!(asked.count(), 4, "{tried:?}");
    assert_blank(&answers[2]);
}

fn clockwise(picture: RgbImage, rotation: Rotation) -> RgbImage {
    match rotation {
        Rotation::None => picture,
        Rotation::Quarter => imageops::rotate90(&picture),
        Rotation::Half => imageops::rotate180(&picture),
        Rotation::ThreeQuarter => imageops::rotate270(&picture),
    }
}

/// A box of an upright page where its content lies when that is turned clockwise.
fn turned(at: PageBox, rotation: Rotation) -> PageBox {
    let PageBox { x1, y1, x2, y2 } = at;
    let [x1, y1, x2, y2] = match rotation {
        Rotation::None => [x1, y1, x2, y2],
        Rotation::Quarter => [999 - y2, x1, 999 - y1, x2],
        Rotation::Half => [999 - x2, 999 - y2, 999 - x1, 999 - y1],
        Rotation::ThreeQuarter => [y1, 999 - x2, y2, 999 - x1],
    };
    PageBox { x1, y1, x2, y2 }
}

#[test]
fn turned_cards_are_read_upright_and_their_boxes_lie_on_the_turned_page() {
    let _turn = turn();
    let models = tempfile::tempdir().unwrap();
    let mut reader = reader(models.path(), true, 450);
    let rotations = [
        Rotation::None,
        Rotation::Quarter,
        Rotation::Half,
        Rotation::ThreeQuarter,
    ];
    let texts = recorded_texts();
    let mut upright: Vec<Vec<Block>> = Vec::new();
    for rotation in rotations {
        let pages = (0..6).map(|card| {
            let card = picture(&format!("card{card:02}"));
            (page(clockwise(card, rotation)), None)
        });
        let answers = read(&mut reader, pages.collect());
        for (card, answer) in answers.into_iter().enumerate() {
            let (reading, what) = (answer.unwrap(), format!("card {card} {rotation:?}"));
            assert_eq!(reading.status, PageStatus::Ok, "{what}");
            assert_eq!(reading.rotation, rotation, "{what}");
            assert!(reading.tried.is_empty(), "{what}");
            assert_kept(&reading);
            if rotation == Rotation::None {
                assert_eq!(reading.grounded, texts[card], "{what}");
                upright.push(reading.blocks);
                continue;
            }
            // The same picture was seen: no digit differs.
            let mut wanted = upright[card].clone();
            for at in wanted.iter_mut().flat_map(|b| &mut b.boxes) {
                *at = turned(*at, rotation);
            }
            assert_eq!(reading.blocks, wanted, "{what}");
            for at in wanted.iter().flat_map(|b| &b.boxes) {
                let text = format!("[{}, {}, {}, {}]", at.x1, at.y1, at.x2, at.y2);
                assert!(reading.grounded.contains(&text), "{what}");
            }
        }
    }
}

/// Characters as a PDF would hold them.
fn typed(text: &str) -> PageChars {
    let mut chars = Vec::new();
    for (row, line) in text.lines().enumerate() {
        for (column, ch) in line.chars().enumerate() {
            let (x, y) = (0.1 + column as f32 * 0.01, 0.1 + row as f32 * 0.03);
            chars.push(PageChar {
                ch,
                x1: x,
                y1: y,
                x2: x + 0.01,
                y2: y + 0.02,
                ..PageChar::default()
            });
        }
    }
    PageChars { chars }
}

fn contents(reading: &Reading) -> String {
    let blocks = reading.blocks.iter().map(|b| b.content.as_str());
    blocks.collect::<Vec<_>>().join("\n")
}

/// What is kept of a reading is what it was.
fn assert_kept(reading: &Reading) {
    let text = serde_json::to_string(reading).unwrap();
    let mut back: Reading = serde_json::from_str(&text).unwrap();
    assert_eq!(back.tried, reading.tried);
    // Decimal digits may cost the last bit.
    assert!((back.seconds - reading.seconds).abs() < 1e-9);
    back.seconds = reading.seconds;
    assert_eq!(&back, reading);
    assert_eq!(text.contains("\"tried\""), !reading.tried.is_empty());
}

/// The four attempts of the model, none of which the tokens were enough for.
fn assert_climbed(reading: &Reading) {
    let told: Vec<_> = reading.tried.iter().map(|t| t.with.as_str()).collect();
    let prompt = "<|grounding|>Convert the document to markdown.";
    assert_eq!(
        told[..4],
        [
            format!("gundam, no 20 tokens twice in 50, \"{prompt}\""),
            format!("gundam, no 20 tokens twice in 1024, \"{prompt}\""),
            format!("large, no 20 tokens twice in 1024, \"{prompt}\""),
            "large, no 20 tokens twice in 1024, \"Free OCR.\"".into(),
        ]
    );
    for (i, tried) in reading.tried[..4].iter().enumerate() {
        // The larger view alone needs more than these pages may have.
        let refused = i >= 2 && tried.outcome.contains("needs 4");
        let short = tried.outcome.contains("ran out of tokens");
        assert!(short || refused, "{tried:?}");
    }
    let reason = reading.reason.as_deref().unwrap();
    assert!(reason.contains("ran out of tokens"), "{reason}");
}

/// Enough for card05 (282 tokens of prompt and 63), not for card00 (126).
const FEW: usize = 360;

#[test]
fn a_page_that_the_model_cannot_finish_is_read_by_the_paddle_engine() {
    let _turn = turn();
    let models = tempfile::tempdir().unwrap();
    let mut reader = reader(models.path(), true, FEW);
    let on_its_side = clockwise(picture("card00"), Rotation::Quarter);
    let pages = vec![
        (page(picture("card00")), Some(typed("not asked for"))),
        (page(picture("card05")), None),
        (page(on_its_side), None),
    ];
    let answers = read(&mut reader, pages);
    for (at, rotation) in [(0, Rotation::None), (2, Rotation::Quarter)] {
        let reading = answers[at].as_ref().unwrap();
        assert_climbed(reading);
        assert_eq!(reading.status, PageStatus::Fallback);
        assert_eq!(reading.rotation, rotation);
        assert_eq!(reading.tried.len(), 5);
        assert_eq!(reading.tried[4].with, "the paddle engine");
        assert_eq!(reading.tried[4].outcome, "read");
        let reason = reading.reason.as_ref().unwrap();
        assert!(reason.ends_with("read by the paddle engine"), "{reason}");
        let text = contents(reading);
        let words = "family rest basket 808 cheese 606 population house risk 722 blanket office \
                     organization";
        let found = words.split(' ').filter(|word| text.contains(word)).count();
        assert!(found >= 10, "{found} of 13 words: {text}");
        assert!(!text.contains("not asked for"));
        assert!(!reading.grounded.is_empty());
        assert_kept(reading);
    }

    let neighbour = answers[1].as_ref().unwrap();
    assert_eq!(neighbour.status, PageStatus::Ok);
    assert_eq!(neighbour.grounded, recorded_texts()[5]);
    assert!(neighbour.tried.is_empty());
    assert_kept(neighbour);
}

#[test]
fn without_the_paddle_engine_the_text_layer_is_taken_or_the_best_text_kept() {
    let _turn = turn();
    let models = tempfile::tempdir().unwrap();
    let mut reader = reader(models.path(), false, FEW);
    let layer = "family rest basket 808\ncheese 606\npopulation house risk 722\n\
                 blanket office organization";
    let pages = vec![
        (page(picture("card00")), Some(typed(layer))),
        (page(picture("card00")), Some(PageChars::default())),
        (page(picture("card00")), Some(typed("7"))),
        (page(picture("card05")), Some(typed("not asked for"))),
    ];
    let answers = read(&mut reader, pages);
    for answer in &answers {
        assert_kept(answer.as_ref().unwrap());
    }
    let reading = answers[0].as_ref().unwrap();
    assert_climbed(reading);
    assert_eq!(reading.status, PageStatus::Fallback);
    assert_eq!(contents(reading), layer.replace('\n', " "));
    assert!(
        reading
            .reason
            .as_ref()
            .unwrap()
            .ends_with("the PDF's own characters")
    );
    let told: Vec<_> = reading.tried[4..].iter().map(|t| t.with.as_str()).collect();
    assert_eq!(told, ["the paddle engine", "the text layer"]);
    assert!(reading.tried[4].outcome.contains("paddle"));
    assert_eq!(reading.tried[5].outcome, "taken");

    // No character is as good as no text layer.
    let reading = answers[1].as_ref().unwrap();
    assert_climbed(reading);
    assert_truncated(reading, "there is none");

    // A page number in the layer does not push out what was read.
    let reading = answers[2].as_ref().unwrap();
    assert_climbed(reading);
    assert_truncated(reading, "it holds less than what was read");

    let neighbour = answers[3].as_ref().unwrap();
    assert_eq!(neighbour.status, PageStatus::Ok);
    assert_eq!(neighbour.grounded, recorded_texts()[5]);
}

#[test]
fn a_page_takes_no_more_seconds_than_passed() {
    let _turn = turn();
    let models = tempfile::tempdir().unwrap();
    let mut reader = reader(models.path(), false, FEW);
    for card in ["card05", "card00"] {
        let started = Instant::now();
        let answers = read(&mut reader, vec![(page(picture(card)), None)]);
        let passed = started.elapsed().as_secs_f64();
        let reading = answers[0].as_ref().unwrap();
        assert!(
            reading.seconds <= passed,
            "{card}, {:?}: {} s of {passed} s",
            reading.status,
            reading.seconds
        );
        assert_eq!(reading.status == PageStatus::Ok, card == "card05");
    }
}

/// Marks repeat by their nature: blocks that begin at the same left edge share ten tokens and more.
/// A rule that is to break loops must leave them alone.
#[test]
fn the_stricter_rule_of_the_ladder_leaves_boxes_whole() {
    let _turn = turn();
    let mut model = load(MODELS.path());
    let prompt = Config::default().deepseek.prompt_text();
    let mut said = |rule: Rule| {
        let image = page(picture("card00"));
        let (_, prompt, rows) = model.page(&image, Mode::Gundam, &prompt).unwrap();
        let request = Request {
            key: 0,
            settings: Settings {
                max_tokens: prompt.ids.len() + 320,
                rule: Some(rule),
                watch_loops: true,
                stop: true,
            },
            prompt: prompt.ids.iter().map(|&id| id as u32).collect(),
            image_rows: prompt.image_rows,
            forced: Vec::new(),
        };
        let rows = BTreeMap::from([(0, rows)]);
        let ended = model.generate(vec![request], &rows, false, &mut |_, _| {});
        let output = ended.unwrap().remove(0).output;
        model.tokenizer.text(&output)
    };
    let published = said(Rule::PUBLISHED);
    // As in `ladder.rs`.
    let strict = said(Rule {
        size: 20,
        window: 1024,
    });
    assert_eq!(published, strict);
}

/// A model's answer to card00 as far as it came; which of the four is not said here.
fn assert_truncated(reading: &Reading, layer: &str) {
    assert_eq!(reading.status, PageStatus::Truncated);
    assert!(contents(reading).starts_with("# family rest basket 808\ncheese 606"));
    assert!(reading.tokens.is_some_and(|n| n >= (FEW - 282) as u32));
    assert_eq!(reading.tried.len(), 6);
    assert_eq!(reading.tried[5].outcome, layer);
    assert_kept(reading);
}

#[test]
fn a_page_of_which_nothing_is_known_is_failed_with_all_that_was_tried() {
    let _turn = turn();
    let models = tempfile::tempdir().unwrap();
    // Not even the first mark is whole.
    let mut reader = reader(models.path(), false, 292);
    let answers = read(&mut reader, vec![(page(picture("card00")), None)]);
    let reading = answers[0].as_ref().unwrap();
    assert_climbed(reading);
    assert_eq!(reading.status, PageStatus::Failed);
    assert_eq!(reading.tried.len(), 6);
    assert!(reading.blocks.is_empty());
    assert_kept(reading);
}
