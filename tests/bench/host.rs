//! What the host does for a step and for a page, in microseconds, with a graph that computes nothing.
//!
//! `cargo bench --bench host [-- ROUNDS]`
//!
//! 256 sequences of a page's prompt and some 1,000 tokens in all decode with the published n-gram
//! rule and the watch for loops. Steps are planned, given to the graph and advanced one after the
//! other, each part timed for itself; the watch, which the reader leaves to a thread beside the
//! device, is a part of its own. A mixed step holds four prompts of 913 tokens beside the sequences
//! that decode. Entering is a page's prompt in tokens and its sequence. An answer is made of recorded
//! ones, of 1,000 tokens together. Medians of ROUNDS (default 300).

use std::path::{Path, PathBuf};
use std::time::Instant;

use dropleaf::engine::deepseek::bench::{Numbers, median};
use dropleaf::engine::deepseek::cache::{Blocks, Layout};
use dropleaf::engine::deepseek::decoder::Decoder;
use dropleaf::engine::deepseek::guard::Rule;
use dropleaf::engine::deepseek::preprocess::{View as PageView, Views};
use dropleaf::engine::deepseek::reading;
use dropleaf::engine::deepseek::rows::{Elements, Rows};
use dropleaf::engine::deepseek::schedule::{Key, Limits, Request, Schedule, Settings};
use dropleaf::engine::deepseek::tokens::{Prompt, Tokenizer};
use dropleaf::engine::session::{ElementType, Graph, Resident, RunError, View};
use dropleaf::pack::{Geometry, Storage};
use dropleaf::page::PageStatus;
use half::bf16;

type Failure = Box<dyn std::error::Error>;

const SEQUENCES: usize = 256;
/// Prompts that begin together: as many pages as the vision model sees together.
const TOGETHER: usize = 4;
const PROMPT: &str = "<image>\n<|grounding|>Convert the document to markdown.";
/// Tokens of an answer, and of the vocabulary.
const ANSWER: usize = 1000;
const VOCABULARY: usize = 129_280;

/// Chooses made-up tokens at once.
struct Nothing(Numbers);

impl Nothing {
    fn choose(&mut self, count: usize, take: &mut dyn FnMut(&[View<'_>])) {
        // None is the end of a page.
        let tokens = self.0.tokens(count, VOCABULARY - 2);
        let tokens: Vec<i64> = tokens.into_iter().map(|t| i64::from(t) + 2).collect();
        take(&[View::new(&[count as i64], &tokens)]);
    }
}

impl Graph for Nothing {
    fn run(
        &mut self,
        inputs: &[(&str, View<'_>)],
        _: &[&str],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        let wanted = inputs.iter().find(|(name, _)| *name == "logit_rows");
        self.choose(wanted.map_or(0, |(_, view)| view.shape[0] as usize), take);
        Ok(())
    }

    fn keep(&mut self, _: &[Resident]) -> Result<(), RunError> {
        Ok(())
    }

    fn record(
        &mut self,
        _: usize,
        _: &[(&str, View<'_>)],
        _: &[&str],
        _: &[(&str, View<'_>)],
    ) -> Result<(), RunError> {
        Ok(())
    }

    fn replay(
        &mut self,
        id: usize,
        _: &[(&str, View<'_>)],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        self.choose(id, take);
        Ok(())
    }
}

/// Times of named parts, in the order in which they first came.
#[derive(Default)]
struct Times(Vec<(&'static str, Vec<f64>)>);

impl Times {
    fn add<T>(&mut self, part: &'static str, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let out = work();
        let took = began.elapsed().as_secs_f64() * 1e6;
        match self.0.iter_mut().find(|(name, _)| *name == part) {
            Some((_, times)) => times.push(took),
            None => self.0.push((part, vec![took])),
        }
        out
    }

    fn print(self, what: &str) {
        println!("{what}");
        let mut all = 0.0;
        for (part, mut times) in self.0 {
            let middle = median(&mut times);
            all += middle;
            println!("  {part:<28} {middle:>9.1}");
        }
        println!("  {:<28} {all:>9.1}", "all");
    }
}

fn geometry() -> Geometry {
    Geometry {
        dtype: Storage::Bf16,
        hidden: 1280,
        layers: 12,
        heads: 10,
        head_dim: 128,
        vocabulary: VOCABULARY,
        max_positions: 8192,
        experts: 64,
        experts_per_token: 6,
        block_tokens: 256,
        base_side: 1024,
        tile_side: 640,
        min_tiles: 2,
        max_tiles: 6,
        view_stride: 64,
        sam_patch: 16,
        sam_width: 768,
        sam_global_layers: 4,
        sam_head_dim: 64,
        clip_width: 1024,
        bos: 0,
        eos: 1,
    }
}

/// The views of an A4 page in tiles, without their pixels.
fn views() -> Views {
    let view = |side| PageView {
        side,
        rgb: Vec::new(),
    };
    Views {
        tiles: (0..6).map(|_| view(640)).collect(),
        grid: (2, 3),
        global: view(1024),
    }
}

fn request(key: Key, prompt: Prompt) -> Request {
    Request {
        key,
        prompt: prompt.ids.iter().map(|&id| id as u32).collect(),
        image_rows: prompt.image_rows,
        settings: Settings {
            max_tokens: 8192,
            rule: Some(Rule::PUBLISHED),
            watch_loops: true,
            stop: true,
        },
        forced: Vec::new(),
    }
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    let rounds: usize = args.next().map_or(Ok(300), |n| n.parse())?;
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let geometry = geometry();
    let file = |checkpoint: &str, name: &str| -> PathBuf { data.join(checkpoint).join(name) };
    let tokenizer = Tokenizer::load(&file("tiny-reader", "tokenizer.json"), &geometry)?;
    let views = views();

    let limits = Limits {
        sequences: SEQUENCES,
        step_tokens: 8192,
        scores: usize::MAX,
        positions: geometry.max_positions,
        eos: geometry.eos,
    };
    let blocks = Blocks::new(SEQUENCES * 40, geometry.block_tokens);
    let mut schedule = Schedule::new(limits, blocks, tokenizer.whitelist());
    let graph = Box::new(Nothing(Numbers::new(1)));
    let element = ElementType::Bf16;
    let mut decoder = Decoder::new(
        graph,
        element,
        Layout::Plain(element),
        &geometry,
        Vec::new(),
    );
    decoder.keep(1)?;
    decoder.record(&[SEQUENCES], geometry.max_positions)?;
    let rows = Rows {
        width: geometry.hidden,
        elements: Elements::Bf16(vec![bf16::ONE; 1000 * geometry.hidden]),
    };

    // Pages enter four at a time, as they do; the next ones when the oldest have left.
    let (mut entering, mut mixed) = (Times::default(), Times::default());
    let mut next = 0;
    let mut begin = |decoder: &mut Decoder, mixed: &mut Times, oldest: Option<Key>| {
        for key in next..next + TOGETHER as Key {
            let prompt = entering.add("prompt in tokens", || tokenizer.prompt(PROMPT, &views));
            let request = request(key, prompt);
            entering.add("sequence", || schedule.enter(request))?;
        }
        next += TOGETHER as Key;
        for key in oldest.into_iter().flat_map(|k| k..k + TOGETHER as Key) {
            schedule.cancel(key);
        }
        let step = mixed.add("plan", || schedule.plan().0).ok_or("no step")?;
        let chosen = mixed.add("inputs and graph", || {
            decoder.run(&step, &|_| Some(&rows), false)
        })?;
        mixed.add("watch for loops", || schedule.look());
        mixed.add("advance", || schedule.advance(&step, &chosen.tokens));
        Ok::<(), Failure>(())
    };
    for _ in 0..SEQUENCES / TOGETHER {
        begin(&mut decoder, &mut Times::default(), None)?;
    }
    for round in 0..(rounds / 8).max(1) as Key {
        begin(&mut decoder, &mut mixed, Some(round * TOGETHER as Key))?;
    }
    let mut repeated = Times::default();
    for _ in 0..rounds {
        let step = repeated
            .add("plan", || schedule.plan().0)
            .ok_or("no step")?;
        let chosen = repeated.add("inputs and graph", || decoder.run(&step, &|_| None, false))?;
        repeated.add("a thread for the watch", || {
            std::thread::scope(|scope| scope.spawn(|| ()).join().is_ok())
        });
        repeated.add("watch for loops", || schedule.look());
        repeated.add("advance", || schedule.advance(&step, &chosen.tokens));
    }
    if decoder.replayed() != rounds as u64 {
        return Err("steps were not repeated".into());
    }

    let cards: serde_json::Value =
        serde_json::from_slice(&std::fs::read(file("tiny-reader", "cards.json"))?)?;
    let cards = cards["cards"].as_array().ok_or("no cards")?;
    let said = cards
        .iter()
        .filter_map(|card| card["output_ids"].as_array());
    let said: Vec<u32> = said
        .flatten()
        .filter_map(|id| Some(id.as_u64()? as u32))
        .filter(|&id| id != geometry.eos)
        .cycle()
        .take(ANSWER)
        .collect();
    let mut answers = Times::default();
    for _ in 0..rounds {
        let text = answers.add("tokens to text", || tokenizer.text(&said));
        let read = answers.add("text to reading", || {
            reading::reading(&text, PageStatus::Ok, None, 0.0, ANSWER as u32)
        });
        if read.blocks.len() < 10 {
            return Err("the answers have few blocks".into());
        }
    }

    println!("medians of {rounds} in microseconds");
    repeated.print("a repeated step of 256 sequences");
    mixed.print("a step with four prompts");
    entering.print("a page that enters");
    answers.print("an answer of 1,000 tokens");
    Ok(())
}
