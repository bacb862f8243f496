//! The deepseek engine on the CPU with the two small checkpoints under `tests/data`: every stage
//! against the recorded values of the published code, alone and in any company.
#![allow(clippy::unwrap_used)]

#[path = "support/numbers.rs"]
mod numbers;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use crossbeam_channel::unbounded;
use dropleaf::config::{Config, Device, Mode};
use dropleaf::engine::deepseek::DeepSeek;
use dropleaf::engine::deepseek::guard::Rule;
use dropleaf::engine::deepseek::model::Model;
use dropleaf::engine::deepseek::rows::Rows;
use dropleaf::engine::deepseek::schedule::{End, Finished, Key, Request, Schedule, Settings};
use dropleaf::engine::session::{Graph, Resident, RunError, View};
use dropleaf::engine::{Cancel, EngineError, ReadError, ReadTask, Reader};
use dropleaf::import::{self, Options};
use dropleaf::pack::Storage;
use dropleaf::page::{PageImage, PageStatus, Reading};
use safetensors::SafeTensors;

use numbers::relative_error;

/// Relative error that a stage in 32-bit floats may have.
const TOLERANCE: f64 = 1e-4;
/// Below this gap between the two best logits another order of additions may choose the other.
const MARGIN: f32 = 1e-3;

fn data(checkpoint: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(checkpoint)
}

/// The packs made of both checkpoints, for this process.
static MODELS: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let models = tempfile::tempdir().unwrap();
    for checkpoint in ["tiny-deepseek-ocr", "tiny-reader"] {
        let options = Options {
            name: None,
            storage: Storage::F32,
            licence: None,
            replace: false,
        };
        import::import(&data(checkpoint), models.path(), &options, &mut |_, _| {
            ControlFlow::Continue(())
        })
        .unwrap();
    }
    models
});

/// One at a time: a model takes all cores.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|e| e.into_inner())
}

fn config(checkpoint: &str, cache_tokens: usize) -> Config {
    let mut config = Config::default();
    config.folders.fill().unwrap();
    config.engine.name = "deepseek-ocr".into();
    config.engine.model = checkpoint.into();
    config.engine.device = Device::Cpu;
    config.deepseek.cache_tokens = cache_tokens;
    config
}

fn load(checkpoint: &str, cache_tokens: usize) -> Model {
    let config = config(checkpoint, cache_tokens);
    let lib = config.folders.data.join("lib");
    Model::load(&lib, MODELS.path(), &config).unwrap().0
}

fn image(checkpoint: &str, file: &str) -> PageImage {
    let picture = image::open(data(checkpoint).join(file)).unwrap().to_rgb8();
    PageImage::new(picture.width(), picture.height(), picture.into_raw(), 144.0).unwrap()
}

/// Recorded values.
struct Reference(Vec<u8>);

impl Reference {
    fn of(checkpoint: &str) -> Self {
        Self(std::fs::read(data(checkpoint).join("reference.safetensors")).unwrap())
    }

    fn f32(&self, name: &str) -> Vec<f32> {
        let all = SafeTensors::deserialize(&self.0).unwrap();
        let (values, _) = all.tensor(name).unwrap().data().as_chunks::<4>();
        values.iter().map(|&v| f32::from_le_bytes(v)).collect()
    }

    fn i64(&self, name: &str) -> Vec<i64> {
        let all = SafeTensors::deserialize(&self.0).unwrap();
        let (values, _) = all.tensor(name).unwrap().data().as_chunks::<8>();
        values.iter().map(|&v| i64::from_le_bytes(v)).collect()
    }

    /// Recorded tokens, and how many of them come before the first that may flip.
    fn tokens(&self, case: &str, suffix: &str) -> (Vec<u32>, usize) {
        let tokens = self.i64(&format!("{case}.tokens{suffix}"));
        let margins = self.f32(&format!("{case}.margins{suffix}"));
        let sure = margins.iter().take_while(|&&m| m >= MARGIN).count();
        (tokens.iter().map(|&t| t as u32).collect(), sure)
    }
}

fn assert_close(what: &str, found: &[f32], reference: &[f32]) {
    let error = relative_error(found, reference);
    println!("{what}: relative error {error:.1e}");
    assert!(error <= TOLERANCE, "{what}: relative error {error:.1e}");
}

/// A page as the decoder gets it.
fn page(
    model: &mut Model,
    key: Key,
    image: &PageImage,
    rule: Option<Rule>,
    tokens: usize,
) -> (Request, Rows) {
    let prompt = Config::default().deepseek.prompt_text();
    let (_, prompt, rows) = model.page(image, Mode::Gundam, &prompt).unwrap();
    let request = Request {
        key,
        settings: Settings {
            max_tokens: prompt.ids.len() + tokens,
            rule,
            watch_loops: true,
            stop: true,
        },
        prompt: prompt.ids.iter().map(|&id| id as u32).collect(),
        image_rows: prompt.image_rows,
        forced: Vec::new(),
    };
    (request, rows)
}

fn generate(model: &mut Model, request: Request, rows: Rows) -> Finished {
    let rows = BTreeMap::from([(request.key, rows)]);
    let mut ended = model
        .generate(vec![request], &rows, false, &mut |_, _| {})
        .unwrap();
    assert_eq!(ended.len(), 1);
    ended.remove(0)
}

#[test]
fn every_stage_gives_the_recorded_values() {
    let _turn = turn();
    for (checkpoint, case, file) in [
        ("tiny-deepseek-ocr", "page", "page.png"),
        ("tiny-deepseek-ocr", "card", "card.png"),
        ("tiny-reader", "card00", "cards/card00.png"),
    ] {
        let mut model = load(checkpoint, 4096);
        let reference = Reference::of(checkpoint);
        let prompt = Config::default().deepseek.prompt_text();
        let (views, prompt, rows) = model
            .page(&image(checkpoint, file), Mode::Gundam, &prompt)
            .unwrap();
        assert_eq!(
            prompt.ids,
            reference.i64(&format!("{case}.input_ids")),
            "{case}"
        );

        let stages = model.vision.stages(&views.global).unwrap();
        for (stage, found) in [
            ("sam", &stages.sam),
            ("clip", &stages.clip),
            ("projected", &stages.projected),
        ] {
            let name = format!("{case}.global.{stage}");
            assert_close(&name, found, &reference.f32(&name));
        }
        let hidden = model.geometry.hidden;
        let floats = rows.to_f32().unwrap();
        if !views.tiles.is_empty() {
            let name = format!("{case}.tiles.projected");
            let projected = reference.f32(&name);
            assert_close(&name, &floats[..projected.len()], &projected);
        }
        // The rows of the newlines and of the separator are the decoder's own.
        let name = format!("{case}.image_embeds");
        let recorded = reference.f32(&name);
        let places = prompt.image_rows.iter().filter(|&&row| row >= 0);
        assert_eq!(recorded.len(), places.clone().count() * hidden);
        let (mut found, mut wanted) = (Vec::new(), Vec::new());
        for (row, recorded) in places.zip(recorded.chunks_exact(hidden)) {
            if let Some(own) = row.checked_sub(2).and_then(|r| usize::try_from(r).ok()) {
                found.extend(&floats[own * hidden..(own + 1) * hidden]);
                wanted.extend(recorded);
            }
        }
        assert_close(&name, &found, &wanted);

        let (request, rows) = page(&mut model, 0, &image(checkpoint, file), None, 1);
        let mut logits = Vec::new();
        model
            .generate(
                vec![request],
                &BTreeMap::from([(0, rows)]),
                true,
                &mut |_, chosen| {
                    logits.clone_from(&chosen.logits);
                },
            )
            .unwrap();
        let name = format!("{case}.first_logits");
        assert_close(&name, &logits, &reference.f32(&name));
    }
}

#[test]
fn pages_give_the_recorded_tokens_with_and_without_the_rule() {
    let _turn = turn();
    let mut model = load("tiny-deepseek-ocr", 4096);
    let reference = Reference::of("tiny-deepseek-ocr");
    for case in ["page", "card"] {
        for (suffix, rule) in [("", Some(Rule::PUBLISHED)), ("_unguarded", None)] {
            let (tokens, sure) = reference.tokens(case, suffix);
            // Nothing may flip in this checkpoint.
            assert_eq!(sure, tokens.len());
            let image = image("tiny-deepseek-ocr", &format!("{case}.png"));
            let (request, rows) = page(&mut model, 0, &image, rule, tokens.len());
            let finished = generate(&mut model, request, rows);
            assert_eq!(finished.output, tokens, "{case}{suffix}");
            assert_eq!(finished.end, End::Truncated);
        }
    }
}

#[test]
fn a_model_that_reads_gives_the_recorded_ids() {
    let _turn = turn();
    let mut model = load("tiny-reader", 4096);
    let reference = Reference::of("tiny-reader");
    for card in 0..12 {
        let case = format!("card{card:02}");
        let (tokens, sure) = reference.tokens(&case, "");
        let image = image("tiny-reader", &format!("cards/{case}.png"));
        let (request, rows) = page(&mut model, 0, &image, Some(Rule::PUBLISHED), 320);
        let finished = generate(&mut model, request, rows);
        assert!(sure >= 50, "{case}: {sure}");
        assert_eq!(finished.output[..sure], tokens[..sure], "{case}");
        assert_eq!(finished.end, End::Complete, "{case}");
    }
}

/// The gap between the two best of some logits.
fn margin(logits: &[f32]) -> f32 {
    let mut best = [f32::NEG_INFINITY; 2];
    for &logit in logits {
        if logit > best[0] {
            best = [logit, best[0]];
        } else if logit > best[1] {
            best[1] = logit;
        }
    }
    best[0] - best[1]
}

/// Both pages and eleven copies of each, entering at different steps, in a cache that holds a few:
/// pages are put back and computed again.
#[test]
fn pages_in_company_give_the_tokens_that_they_give_alone() {
    const PAGES: usize = 24;
    const CACHE: usize = 14 * 256;
    let _turn = turn();
    let mut model = load("tiny-deepseek-ocr", CACHE);
    let reference = Reference::of("tiny-deepseek-ocr");
    let cases = ["page", "card"];
    let mut pages = Vec::new();
    for case in cases {
        // Long enough to need two more blocks than at the beginning.
        let image = image("tiny-deepseek-ocr", &format!("{case}.png"));
        let (request, rows) = page(&mut model, 0, &image, Some(Rule::PUBLISHED), 520);
        let rows = BTreeMap::from([(0, rows)]);
        let mut margins = Vec::new();
        let alone = model
            .generate(vec![request.clone()], &rows, true, &mut |step, chosen| {
                if step.parts().iter().any(|part| part.sampled) {
                    margins.push(margin(&chosen.logits));
                }
            })
            .unwrap()
            .remove(0);
        let sure = margins.iter().take_while(|&&m| m >= MARGIN).count();
        let recorded = reference.tokens(case, "").0;
        assert_eq!(alone.output[..recorded.len()], recorded);
        assert!(sure >= recorded.len(), "{case}: {sure}");
        println!(
            "{case}: {sure} of {} tokens cannot flip",
            alone.output.len()
        );
        pages.push((request, rows, alone.output, sure));
    }
    let needed: usize = pages.iter().map(|p| p.0.settings.max_tokens).sum();
    assert!(
        PAGES / 2 * needed > 3 * CACHE,
        "the cache must be too small"
    );

    let mut schedule: Schedule = model.schedule();
    let mut ended: Vec<Finished> = Vec::new();
    let mut entered = 0;
    for step in 0.. {
        assert!(step < 100_000, "it never ends");
        // A few at once, then one every seventh step.
        while entered < PAGES && (entered < 5 || step >= 7 * (entered - 4)) {
            let mut request = pages[entered % 2].0.clone();
            request.key = entered as Key;
            schedule.enter(request).unwrap();
            entered += 1;
        }
        let (plan, without_room) = schedule.plan();
        assert!(without_room.is_empty());
        let Some(plan) = plan else {
            if entered == PAGES {
                break;
            }
            continue;
        };
        let rows = |key: Key| pages[key as usize % 2].1.get(&0);
        let chosen = model.decoder.run(&plan, &rows, false).unwrap();
        ended.extend(schedule.advance(&plan, &chosen.tokens));
    }
    assert_eq!(ended.len(), PAGES);
    println!("put back {} times", schedule.put_back());
    assert!(schedule.put_back() > 0, "no page was ever put back");
    for finished in ended {
        let (_, _, alone, sure) = &pages[finished.key as usize % 2];
        assert_eq!(finished.output[..*sure], alone[..*sure], "{}", finished.key);
    }
}

/// A graph that records as the device does: the first run of a record is made three times over, the
/// last of them counting. Records that `refused` names fail.
struct AsOnDevice {
    inner: Box<dyn Graph>,
    refused: Vec<usize>,
    /// Records in the order in which they were asked for.
    asked: Arc<Mutex<Vec<usize>>>,
}

impl Graph for AsOnDevice {
    fn run(
        &mut self,
        inputs: &[(&str, View<'_>)],
        outputs: &[&str],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        self.inner.run(inputs, outputs, take)
    }

    fn keep(&mut self, residents: &[Resident]) -> Result<(), RunError> {
        self.asked.lock().unwrap().clear();
        self.inner.keep(residents)
    }

    fn record(
        &mut self,
        id: usize,
        inputs: &[(&str, View<'_>)],
        host: &[&str],
        outputs: &[(&str, View<'_>)],
    ) -> Result<(), RunError> {
        assert!(self.asked.lock().unwrap().is_empty(), "tensors come first");
        self.inner.record(id, inputs, host, outputs)
    }

    fn replay(
        &mut self,
        id: usize,
        changed: &[(&str, View<'_>)],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        let mut asked = self.asked.lock().unwrap();
        if !asked.contains(&id) {
            asked.push(id);
            if self.refused.contains(&id) {
                return Err(RunError("operation not permitted when capturing".into()));
            }
            self.inner.replay(id, changed, &mut |_| {})?;
            self.inner.replay(id, &[], &mut |_| {})?;
            return self.inner.replay(id, &[], take);
        }
        assert!(!self.refused.contains(&id), "it was refused");
        self.inner.replay(id, changed, take)
    }
}

/// Cards that enter one after the other and end at different steps, with steps of fixed size that
/// most of their steps fit into: recorded before them all, or with the steps that want them.
#[test]
fn steps_that_are_repeated_from_records_give_the_tokens_of_others() {
    let _turn = turn();
    let mut config = config("tiny-reader", 16_384);
    config.deepseek.sequences = 7;
    let lib = config.folders.data.join("lib");
    let mut model = Model::load(&lib, MODELS.path(), &config).unwrap().0;
    let (mut requests, mut rows) = (Vec::new(), BTreeMap::new());
    for card in 0..9 {
        let image = image("tiny-reader", &format!("cards/card{card:02}.png"));
        let (request, own) = page(&mut model, card, &image, Some(Rule::PUBLISHED), 320);
        requests.push(request);
        rows.insert(card, own);
    }
    let outputs = |model: &mut Model| -> BTreeMap<Key, Vec<u32>> {
        let ended = model.generate(requests.clone(), &rows, false, &mut |_, _| {});
        ended
            .unwrap()
            .into_iter()
            .map(|f| (f.key, f.output))
            .collect()
    };
    let ordinary = outputs(&mut model);
    assert_eq!(model.decoder.replayed(), 0);
    let longest = ordinary.values().map(Vec::len).max().unwrap() as u64;
    let reference = Reference::of("tiny-reader");
    let assert_alike = |repeated: &BTreeMap<Key, Vec<u32>>| {
        for (card, output) in &ordinary {
            // Another number of rows may round otherwise; where that may show, the margins tell.
            let sure = reference.tokens(&format!("card{card:02}"), "").1;
            assert_eq!(output[..sure], repeated[card][..sure], "card {card}");
        }
    };

    // Of 1, 2, 4 and 7 sequences the largest and the smallest are recorded at once.
    model.record().unwrap();
    assert_eq!(model.decoder.records(), (2, 4));
    assert_alike(&outputs(&mut model));
    assert!(model.decoder.replayed() > longest / 2, "hardly any");
    // A new cache has no records.
    model.keep(64).unwrap();
    assert_eq!(model.decoder.records(), (0, 0));

    // Sizes that are recorded with real steps, of which one cannot be.
    for refused in [None, Some(4)] {
        model.keep(64).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let inner = std::mem::replace(&mut model.decoder.graph, Box::new(Nothing));
        model.decoder.graph = Box::new(AsOnDevice {
            inner,
            refused: refused.into_iter().collect(),
            asked: Arc::clone(&asked),
        });
        model.decoder.set_patience(1);
        model.record().unwrap();
        let before = model.decoder.replayed();
        assert_alike(&outputs(&mut model));
        assert!(model.decoder.replayed() - before > longest / 2);
        assert_eq!(*asked.lock().unwrap(), [7, 1, 4, 2]);
        let recorded = if refused.is_some() { 3 } else { 4 };
        assert_eq!(model.decoder.records(), (recorded, 4));
    }
}

/// Has `reader` read all pages that stand in its queue together; answers in the order of `pages`.
fn read(reader: &mut DeepSeek, pages: Vec<(PageImage, Cancel)>) -> Vec<Result<Reading, ReadError>> {
    let (tasks, queue) = unbounded();
    let (answers, answered) = unbounded();
    let count = pages.len();
    for (i, (image, cancel)) in pages.into_iter().enumerate() {
        let answers = answers.clone();
        let reply = move |answer| answers.send((i, answer)).unwrap();
        let task = ReadTask {
            image: Arc::new(image),
            chars: None,
            cancel,
            reply: Box::new(reply),
        };
        tasks.send(task).unwrap();
    }
    drop((tasks, answers));
    reader.serve(&queue);
    let answers: BTreeMap<usize, _> = answered.iter().collect();
    assert_eq!(answers.len(), count, "every page is answered once");
    answers.into_values().collect()
}

fn reader(config: &Config) -> DeepSeek {
    let lib = config.folders.data.join("lib");
    let mut reader = DeepSeek::load(&lib, MODELS.path(), config).unwrap();
    reader.warm().unwrap();
    reader
}

fn cards() -> Vec<PageImage> {
    (0..12)
        .map(|card| image("tiny-reader", &format!("cards/card{card:02}.png")))
        .collect()
}

fn recorded_texts() -> Vec<String> {
    let cards = std::fs::read(data("tiny-reader").join("cards.json")).unwrap();
    let cards: serde_json::Value = serde_json::from_slice(&cards).unwrap();
    let cards = cards["cards"].as_array().unwrap().iter();
    cards
        .map(|card| {
            let text = card["output_text"].as_str().unwrap();
            text.strip_suffix("<｜end▁of▁sentence｜>")
                .unwrap()
                .to_owned()
        })
        .collect()
}

/// What is read of the cards, by their number.
fn assert_read<'a>(answers: impl IntoIterator<Item = (usize, &'a Result<Reading, ReadError>)>) {
    let texts = recorded_texts();
    for (card, answer) in answers {
        let (reading, text) = (answer.as_ref().unwrap(), &texts[card]);
        assert_eq!(reading.status, PageStatus::Ok, "card {card}");
        // A digit of a coordinate of this one may flip, see its margins.
        if card == 6 {
            let blocks = text.matches("<|ref|>").count();
            assert_eq!(reading.blocks.len(), blocks, "card {card}");
        } else {
            assert_eq!(&reading.grounded, text, "card {card}");
        }
    }
}

#[test]
fn the_reader_answers_every_page_whatever_happens_to_its_neighbours() {
    let _turn = turn();
    let mut config = config("tiny-reader", 4 * 256);
    config.deepseek.sequences = 5;
    let mut reader = reader(&config);
    assert_eq!(reader.identity().engine, "deepseek-ocr");
    assert_eq!(reader.wish().dpi, 144.0);

    // A withdrawn page, and one with tiles, whose 912 tokens leave too little of the cache.
    let mut pages: Vec<_> = cards()
        .into_iter()
        .map(|i| (i, Cancel::default()))
        .collect();
    let gone = Cancel::default();
    gone.cancel();
    pages.push((cards().remove(0), gone));
    pages.push((image("tiny-deepseek-ocr", "page.png"), Cancel::default()));
    let mut answers = read(&mut reader, pages);
    match answers.pop() {
        Some(Err(ReadError::Page(why))) => assert!(why.contains("cache"), "{why}"),
        Some(Ok(reading)) => assert_ne!(reading.status, PageStatus::Failed),
        other => panic!("{other:?}"),
    }
    assert!(matches!(answers.pop(), Some(Err(ReadError::Cancelled))));
    assert_eq!(answers.len(), 12);
    assert_read(answers.iter().enumerate());
}

/// A graph of which some runs fail.
struct Faulty<F> {
    inner: Box<dyn Graph>,
    fault: F,
}

impl<F: FnMut(&[(&str, View<'_>)]) -> Option<&'static str> + Send> Graph for Faulty<F> {
    fn run(
        &mut self,
        inputs: &[(&str, View<'_>)],
        outputs: &[&str],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        match (self.fault)(inputs) {
            Some(why) => Err(RunError(why.into())),
            None => self.inner.run(inputs, outputs, take),
        }
    }

    fn keep(&mut self, residents: &[Resident]) -> Result<(), RunError> {
        self.inner.keep(residents)
    }
}

struct Nothing;

impl Graph for Nothing {
    fn run(
        &mut self,
        _: &[(&str, View<'_>)],
        _: &[&str],
        _: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        Err(RunError("nothing".into()))
    }
}

/// Lets runs of `graph` fail where `fault` says so, and with what words.
fn spoil(
    graph: &mut Box<dyn Graph>,
    fault: impl FnMut(&[(&str, View<'_>)]) -> Option<&'static str> + Send + 'static,
) {
    let inner = std::mem::replace(graph, Box::new(Nothing));
    *graph = Box::new(Faulty { inner, fault });
}

fn size(inputs: &[(&str, View<'_>)], name: &str) -> i64 {
    let (_, view) = inputs.iter().find(|(n, _)| *n == name).unwrap();
    view.shape[0]
}

#[test]
fn memory_that_is_short_makes_batches_smaller_and_a_lost_device_blames_no_page() {
    let _turn = turn();
    let config = config("tiny-reader", 16_384);
    let mut reader = reader(&config);
    let pages = || {
        cards()
            .into_iter()
            .map(|i| (i, Cancel::default()))
            .collect()
    };
    const SHORT: &str = "Failed to allocate memory for requested buffer of size 12345";

    spoil(&mut reader.model().decoder.graph, |inputs| {
        (size(inputs, "input_ids") > 100 || size(inputs, "past_lengths") > 3).then_some(SHORT)
    });
    assert_read(read(&mut reader, pages()).iter().enumerate());

    // A run that fails costs its page one attempt, and the other pages nothing.
    let mut runs = 0;
    spoil(&mut reader.model().vision.graph, move |_| {
        runs += 1;
        (runs == 3).then_some("Non-zero status code returned while running Conv node")
    });
    let answers = read(&mut reader, pages());
    assert_read(answers.iter().enumerate());
    let tried = |answer: &Result<Reading, ReadError>| answer.as_ref().unwrap().tried.clone();
    assert!(tried(&answers[2])[0].outcome.contains("Conv node"));
    assert_eq!(answers.iter().filter(|a| !tried(a).is_empty()).count(), 1);

    let mut steps = 0;
    spoil(&mut reader.model().decoder.graph, move |_| {
        steps += 1;
        (steps == 60).then_some("CUDA error 700: an illegal memory access was encountered")
    });
    let answers = read(&mut reader, pages());
    let blamed = |answer: &Result<Reading, ReadError>| matches!(answer, Err(ReadError::Page(_)));
    assert!(!answers.iter().any(blamed));
    let lost = |answer: &&Result<Reading, ReadError>| matches!(answer, Err(ReadError::Machine(_)));
    assert!(answers.iter().filter(lost).count() > 0);
    // When it is back all pages are read.
    assert_read(read(&mut reader, pages()).iter().enumerate());

    spoil(&mut reader.model().decoder.graph, |_| Some(SHORT));
    let answers = read(&mut reader, pages());
    assert_eq!(answers.iter().filter(lost).count(), 12);
}

#[test]
fn settings_that_cannot_be_are_refused_with_what_to_do() {
    let _turn = turn();
    let mut config = config("tiny-reader", 4096);
    let lib = config.folders.data.join("lib");
    config.engine.device = Device::Cuda;
    match DeepSeek::load(&lib, MODELS.path(), &config) {
        Err(EngineError::Config { why, hint, .. }) => {
            assert!(why.contains("32-bit floats") && hint.contains("--dtype bf16"));
        }
        other => panic!("{:?}", other.map(drop)),
    }
    config.engine.device = Device::Cpu;
    config.engine.model = "absent".into();
    match DeepSeek::load(&lib, MODELS.path(), &config) {
        Err(EngineError::Config { hint, .. }) => assert!(hint.contains("import"), "{hint}"),
        other => panic!("{:?}", other.map(drop)),
    }
}
