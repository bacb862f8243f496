//! One step of the decoder: a plan becomes named tensors, the graph runs over its resident cache,
//! and the chosen tokens come back. Steps of one token a sequence are repeated from records where
//! there are some ([`Decoder::record`]).
//!
//! A size is recorded with the step of the sequences that want it. ONNX Runtime runs that step three
//! times over: twice to get its memory, once recorded. This does no harm: a step reads its inputs,
//! which no run changes, and the keys and values of the tokens before, and writes those of its own
//! tokens to the places that its inputs name, each time the same.

use half::bf16;

use super::cache::Layout;
use super::fixed::Fixed;
use super::numbers::{METADATA, Numbers};
use super::records::Records;
use super::rows::{Elements, Rows};
use super::schedule::{Key, Step};
use crate::engine::session::{ElementType, Graph, OnDevice, PartType, RunError, View};
use crate::pack::Geometry;

/// How a step was run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    #[default]
    Ordinary,
    /// From a record.
    Repeated,
    /// As a record's first run, or after that failed.
    Recording,
}

/// What a step gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chosen {
    /// By row of the step's `logit_rows`.
    pub tokens: Vec<i64>,
    /// `[rows, vocabulary]`, with the bans; empty unless asked for.
    pub logits: Vec<f32>,
}

pub struct Decoder {
    /// What runs the steps; its resident tensors are the cache.
    pub graph: Box<dyn Graph>,
    geometry: Geometry,
    layout: Layout,
    /// Outputs with the scores by which each layer with experts chooses them.
    routers: Vec<String>,
    /// Steps of fixed size that the graph has recorded or can record.
    records: Records,
    /// Steps are repeated from records where that can be.
    repeats: bool,
    /// Steps that were repeated from a record.
    replayed: u64,
    /// How the last step was run.
    way: Way,
    /// Image rows of the last step: memory that the next one needs again, 10 MB for four pages.
    embeds: Elements,
}

impl Decoder {
    /// `element` is the type of image rows, `routers` names the graph's outputs `router.*`, if it has
    /// any.
    pub fn new(
        graph: Box<dyn Graph>,
        element: ElementType,
        layout: Layout,
        geometry: &Geometry,
        routers: Vec<String>,
    ) -> Self {
        Self {
            graph,
            routers,
            geometry: geometry.clone(),
            layout,
            records: Records::default(),
            repeats: true,
            replayed: 0,
            way: Way::default(),
            embeds: match element {
                ElementType::Bf16 => Elements::Bf16(Vec::new()),
                _ => Elements::F32(Vec::new()),
            },
        }
    }

    /// Bytes of one block of the cache.
    pub fn block_bytes(&self) -> usize {
        self.layout.block_bytes(&self.geometry)
    }

    /// Gives the graph a cache of `blocks` blocks, all zero, in place of any that it has. Records are
    /// dropped.
    pub fn keep(&mut self, blocks: usize) -> Result<(), RunError> {
        self.records.clear();
        let residents = self.layout.residents(&self.geometry, blocks);
        self.graph.keep(&residents)
    }

    /// Makes steps of one token a sequence ready to be recorded, in the given `sizes` (ascending), of
    /// sequences of `tokens` tokens at most, and records the largest and the smallest. The others are
    /// recorded when they are wanted. The cache must be there; what it holds is not changed.
    pub fn record(&mut self, sizes: &[usize], tokens: usize) -> Result<(), RunError> {
        self.records.clear();
        let block_tokens = self.geometry.block_tokens;
        let width = tokens.div_ceil(block_tokens).max(1);
        // The tensors of all sizes are there before the first is recorded; see [`Graph::record`].
        let mut ready = Vec::with_capacity(sizes.len());
        for &size in sizes {
            let fixed = Fixed::new(size, width, block_tokens);
            self.prepare(&fixed)?;
            ready.push(fixed);
        }
        self.records.replace(ready);
        let missing = self.records.missing();
        let (largest, smallest) = (missing.first(), missing.last());
        for &place in largest
            .into_iter()
            .chain(smallest.filter(|_| missing.len() > 1))
        {
            self.record_filling(place)?;
        }
        Ok(())
    }

    /// Records a size with a step that has nothing but filling.
    fn record_filling(&mut self, place: usize) -> Result<(), RunError> {
        let size = self.records.get(place).size();
        let ran = self.graph.replay(size, &[], &mut |_| {});
        self.records.note(place, ran.is_ok());
        ran
    }

    fn prepare(&mut self, fixed: &Fixed) -> Result<(), RunError> {
        let size = fixed.size();
        let hidden = self.geometry.hidden;
        let shape = [1, hidden as i64];
        let (zeros, rounded) = (vec![0.0; hidden], vec![bf16::ZERO; hidden]);
        let blank = match self.embeds {
            Elements::Bf16(_) => View::new(&shape, &rounded),
            _ => View::new(&shape, &zeros),
        };
        let numbers = Numbers {
            input_ids: &fixed.inputs.input_ids,
            image_rows: &vec![-1; size],
            images: blank,
            cumulative_lengths: &Vec::from_iter(0..=size as i32),
            past_lengths: &fixed.inputs.past_lengths,
            block_table: &fixed.inputs.block_table,
            slot_mapping: &fixed.inputs.slot_mapping,
            longest: fixed.longest(),
            logit_rows: &Vec::from_iter(0..size as i64),
            ban_rows: &fixed.inputs.ban_rows,
            ban_values: &fixed.inputs.ban_values,
        };
        let tokens = vec![0i64; size];
        let graph = &mut self.graph;
        numbers.with(|inputs| {
            let rows = [size as i64];
            let outputs = [("tokens", View::new(&rows, &tokens))];
            graph.record(size, inputs, &[METADATA], &outputs)
        })
    }

    /// Lets steps be repeated from records, or runs every one anew: for comparisons.
    pub fn set_repeats(&mut self, repeats: bool) {
        self.repeats = repeats;
    }

    /// Lets a size be recorded when so many steps have wanted it.
    pub fn set_patience(&mut self, steps: u32) {
        self.records.set_patience(steps);
    }

    /// How many sizes of steps are recorded, and how many there are.
    pub fn records(&self) -> (usize, usize) {
        (self.records.recorded(), self.records.sizes())
    }

    /// Steps that were repeated from a record so far.
    pub fn replayed(&self) -> u64 {
        self.replayed
    }

    /// How the last step was run.
    pub fn way(&self) -> Way {
        self.way
    }

    /// What a recorded step of the same kind gives; `None` where there is none. A size whose time has
    /// come is recorded; where that fails, steps of it run as if it were not there.
    fn repeat(&mut self, step: &Step) -> Option<Result<Chosen, RunError>> {
        if let Some(place) = self.records.due(step) {
            self.way = Way::Recording;
            let ran = self.replay(place, step);
            self.records.note(place, ran.is_ok());
            match ran {
                Ok(chosen) => return Some(Ok(chosen)),
                Err(e) => tracing::warn!(
                    "steps of {} sequences cannot be recorded and run without: {e}",
                    self.records.get(place).size()
                ),
            }
        }
        let place = self.records.holding(step)?;
        if self.way == Way::Ordinary {
            self.way = Way::Repeated;
        }
        Some(self.replay(place, step))
    }

    /// Runs `step` in the size at `place`, which holds it.
    fn replay(&mut self, place: usize, step: &Step) -> Result<Chosen, RunError> {
        let fixed = self.records.get(place);
        fixed.fill(step);
        let mut chosen = Chosen::default();
        let (graph, rows) = (&mut self.graph, step.sequences());
        let ran = fixed.with_changed(|changed| {
            graph.replay(fixed.size(), changed, &mut |found| {
                let tokens = found.first().map_or(&[][..], View::i64);
                chosen.tokens = tokens.iter().take(rows).copied().collect();
            })
        });
        match &ran {
            Ok(()) => self.replayed += 1,
            Err(_) => fixed.forget(),
        }
        ran.map(|()| chosen)
    }

    /// Runs `step`. `rows` finds the projected rows of a sequence's page.
    pub fn run<'r>(
        &mut self,
        step: &Step,
        rows: &dyn Fn(Key) -> Option<&'r Rows>,
        logits: bool,
    ) -> Result<Chosen, RunError> {
        self.way = Way::Ordinary;
        if self.repeats
            && !logits
            && let Some(repeated) = self.repeat(step)
        {
            let chosen = repeated?;
            check(&chosen, step)?;
            return Ok(chosen);
        }
        let outputs: &[&str] = if logits {
            &["tokens", "logits"]
        } else {
            &["tokens"]
        };
        let mut chosen = Chosen::default();
        self.fetch(step, rows, outputs, &mut |found| {
            chosen.tokens = found.first().map_or(&[][..], View::i64).to_vec();
            chosen.logits = found.get(1).map_or(&[][..], View::f32).to_vec();
        })?;
        check(&chosen, step)?;
        Ok(chosen)
    }

    /// The outputs that [`Decoder::routed`] fetches.
    pub fn routers(&self) -> &[String] {
        &self.routers
    }

    /// Runs `step` without images: what it chose, and by layer the scores `[tokens, experts]` of
    /// each expert.
    pub fn routed(&mut self, step: &Step) -> Result<(Chosen, Vec<Vec<f32>>), RunError> {
        let routers = self.routers.clone();
        let mut outputs = vec!["tokens"];
        outputs.extend(routers.iter().map(String::as_str));
        let (mut chosen, mut scores) = (Chosen::default(), Vec::new());
        self.fetch(step, &|_| None, &outputs, &mut |found| {
            chosen.tokens = found.first().map_or(&[][..], View::i64).to_vec();
            scores = found.iter().skip(1).map(View::to_f32).collect();
        })?;
        check(&chosen, step)?;
        Ok((chosen, scores))
    }

    fn fetch<'r>(
        &mut self,
        step: &Step,
        rows: &dyn Fn(Key) -> Option<&'r Rows>,
        outputs: &[&str],
        take: &mut dyn FnMut(&[View<'_>]),
    ) -> Result<(), RunError> {
        let there = self.joined(step, rows)?;
        if there.is_none() {
            self.gather(step, rows)?;
        }
        let shape = [step.embeds.len().max(1) as i64, self.geometry.hidden as i64];
        let images = match (&there, &self.embeds) {
            (Some(tensor), _) => View::on_device(tensor),
            (None, Elements::F32(e)) => View::new(&shape, e),
            (None, Elements::Bf16(e)) => View::new(&shape, e),
            (None, Elements::Device(_)) => return Err(missing(0..0)),
        };
        let numbers = Numbers {
            input_ids: &step.input_ids,
            image_rows: &step.image_rows,
            images,
            cumulative_lengths: &step.cumulative_lengths,
            past_lengths: &step.past_lengths,
            block_table: &step.block_table,
            slot_mapping: &step.slot_mapping,
            longest: step.longest,
            logit_rows: &step.logit_rows,
            ban_rows: &step.ban_rows,
            ban_values: &step.ban_values,
        };
        let graph = &mut self.graph;
        numbers.with(|inputs| graph.run(inputs, outputs, take))
    }

    /// The rows that the step names, one after the other, where they are on the device.
    fn joined<'r>(
        &self,
        step: &Step,
        rows: &dyn Fn(Key) -> Option<&'r Rows>,
    ) -> Result<Option<OnDevice>, RunError> {
        let mut parts = Vec::new();
        for ((key, row), count) in stretches(step) {
            let Some(own) = rows(key) else {
                return Ok(None);
            };
            if !matches!(own.elements, Elements::Device(_)) {
                return Ok(None);
            }
            if !own.parts(row..row + count, &mut parts) {
                return Err(missing(row..row + count));
            }
        }
        if parts.is_empty() {
            return Ok(None);
        }
        let shape = [step.embeds.len() as i64, self.geometry.hidden as i64];
        self.graph.joined(PartType::Bf16, &shape, &parts)
    }

    /// Puts the rows that the step names one after the other; a row of zeros where it names none.
    fn gather<'r>(
        &mut self,
        step: &Step,
        rows: &dyn Fn(Key) -> Option<&'r Rows>,
    ) -> Result<(), RunError> {
        let hidden = self.geometry.hidden;
        match &mut self.embeds {
            Elements::F32(to) => to.clear(),
            Elements::Bf16(to) => to.clear(),
            Elements::Device(_) => {}
        }
        for ((key, row), count) in stretches(step) {
            let place = row * hidden..(row + count) * hidden;
            let copied = match (&mut self.embeds, rows(key).map(|r| &r.elements)) {
                (Elements::F32(to), Some(Elements::F32(from))) => {
                    from.get(place).map(|rows| to.extend_from_slice(rows))
                }
                (Elements::Bf16(to), Some(Elements::Bf16(from))) => {
                    from.get(place).map(|rows| to.extend_from_slice(rows))
                }
                _ => None,
            };
            if copied.is_none() {
                return Err(missing(row..row + count));
            }
        }
        if step.embeds.is_empty() {
            match &mut self.embeds {
                Elements::F32(to) => to.resize(hidden, 0.0),
                Elements::Bf16(to) => to.resize(hidden, bf16::ZERO),
                Elements::Device(_) => {}
            }
        }
        Ok(())
    }
}

/// The image rows that a step names, those that stand side by side together: a tile has 10 of them at a
/// time. Sequence and first row of each stretch, and how many.
fn stretches(step: &Step) -> impl Iterator<Item = ((Key, usize), usize)> {
    let runs = step.embeds.chunk_by(|a, b| (a.0, a.1 + 1) == *b);
    runs.filter_map(|run| Some((*run.first()?, run.len())))
}

fn missing(rows: std::ops::Range<usize>) -> RunError {
    RunError(format!(
        "of the image rows {} to {} of a page some are missing",
        rows.start, rows.end
    ))
}

fn check(chosen: &Chosen, step: &Step) -> Result<(), RunError> {
    if chosen.tokens.len() == step.logit_rows.len() {
        return Ok(());
    }
    Err(RunError(format!(
        "the decoder chose {} tokens where {} were wanted",
        chosen.tokens.len(),
        step.logit_rows.len()
    )))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::engine::deepseek::cache::Blocks;
    use crate::engine::deepseek::fixtures;
    use crate::engine::deepseek::guard::Rule;
    use crate::engine::deepseek::schedule::{Limits, Request, Schedule, Settings};
    use crate::engine::session::{Data, Resident};

    /// What was given, by name: shape and elements in words.
    type Given = Arc<Mutex<BTreeMap<String, String>>>;

    /// Writes down what it is given and chooses 40, 41, ...
    struct Recorder {
        given: Given,
        kept: Arc<Mutex<Vec<Resident>>>,
    }

    impl Graph for Recorder {
        fn run(
            &mut self,
            inputs: &[(&str, View<'_>)],
            outputs: &[&str],
            take: &mut dyn FnMut(&[View<'_>]),
        ) -> Result<(), RunError> {
            let mut rows = 0;
            for (name, view) in inputs {
                let elements = match view.data {
                    Data::F32(e) => format!("{e:?}"),
                    Data::I64(e) => format!("{e:?}"),
                    Data::I32(e) => format!("{e:?}"),
                    other => panic!("{other:?}"),
                };
                if *name == "logit_rows" {
                    rows = view.shape[0];
                }
                let said = format!("{:?} {elements}", view.shape);
                self.given.lock().unwrap().insert((*name).into(), said);
            }
            assert_eq!(outputs, ["tokens", "logits"]);
            let tokens: Vec<i64> = (40..40 + rows).collect();
            take(&[
                View::new(&[rows], &tokens),
                View::new(&[rows, 1], &vec![0.5f32; rows as usize]),
            ]);
            Ok(())
        }

        fn keep(&mut self, residents: &[Resident]) -> Result<(), RunError> {
            *self.kept.lock().unwrap() = residents.to_vec();
            Ok(())
        }
    }

    fn decoder(graph: Recorder, geometry: &Geometry) -> Decoder {
        let (element, layout) = (ElementType::F32, Layout::Plain(ElementType::F32));
        Decoder::new(Box::new(graph), element, layout, geometry, Vec::new())
    }

    fn schedule() -> Schedule {
        let limits = Limits {
            sequences: 4,
            step_tokens: 64,
            scores: usize::MAX,
            positions: 1000,
            eos: 1,
        };
        let mut schedule = Schedule::new(limits, Blocks::new(9, 4), vec![]);
        let settings = Settings {
            max_tokens: 50,
            rule: Some(Rule { size: 2, window: 9 }),
            watch_loops: false,
            stop: true,
        };
        for (key, prompt, image_rows) in [
            (7, vec![8, 9, 8], vec![]),
            (8, vec![3, 5, 5, 5, 5, 4], vec![-1, 3, 0, 2, 1, -1]),
        ] {
            let request = Request {
                key,
                prompt,
                image_rows,
                settings,
                forced: Vec::new(),
            };
            schedule.enter(request).unwrap();
        }
        schedule
    }

    #[test]
    fn a_plan_becomes_the_inputs_that_the_graph_names() {
        let (given, kept) = (Given::default(), Arc::default());
        let graph = Recorder {
            given: Arc::clone(&given),
            kept: Arc::clone(&kept),
        };
        let mut geometry = fixtures::published();
        (geometry.hidden, geometry.layers, geometry.block_tokens) = (2, 2, 4);
        let mut decoder = decoder(graph, &geometry);
        decoder.keep(9).unwrap();
        let kept: Vec<_> = kept.lock().unwrap().clone();
        let names: Vec<_> = kept.iter().map(|k| (&*k.input, &*k.output)).collect();
        assert_eq!(names[0], ("key_cache.0", "key_cache_out.0"));
        assert_eq!(names[3], ("value_cache.1", "value_cache_out.1"));
        assert_eq!(kept[3].shape, [9, 4, 10, 128]);

        let mut schedule = schedule();
        let (step, _) = schedule.plan();
        let step = step.unwrap();
        let rows = Rows {
            width: 2,
            elements: Elements::F32(vec![0.0, 1.0, 10.0, 11.0]),
        };
        let find = |key| (key == 8).then_some(&rows);
        let chosen = decoder.run(&step, &find, true).unwrap();
        assert_eq!(chosen.tokens, [40, 41]);
        assert_eq!(chosen.logits, [0.5, 0.5]);
        let expected = [
            ("input_ids", "[9] [8, 9, 8, 3, 5, 5, 5, 5, 4]"),
            ("image_rows", "[9] [-1, -1, -1, -1, 2, 0, 3, 1, -1]"),
            ("image_embeds", "[2, 2] [10.0, 11.0, 0.0, 1.0]"),
            ("cumulative_lengths", "[3] [0, 3, 9]"),
            ("past_lengths", "[2] [0, 0]"),
            ("block_table", "[2, 2] [0, 0, 1, 2]"),
            ("slot_mapping", "[9] [0, 1, 2, 4, 5, 6, 7, 8, 9]"),
            ("attention_metadata", "[2] [6, 6]"),
            ("logit_rows", "[2] [2, 8]"),
            // 9 followed 8 already.
            ("ban_rows", "[1, 2] [0, 9]"),
            ("ban_values", "[1] [-inf]"),
        ];
        let expected = expected.map(|(name, said)| (name.to_owned(), said.to_owned()));
        assert_eq!(*given.lock().unwrap(), BTreeMap::from(expected));

        // The next step shows no image: one row of zeros stands for none.
        schedule.advance(&step, &chosen.tokens);
        let (step, _) = schedule.plan();
        decoder.run(&step.unwrap(), &|_| None, true).unwrap();
        let given = given.lock().unwrap();
        assert_eq!(given["image_embeds"], "[1, 2] [0.0, 0.0]");
        assert_eq!(given["past_lengths"], "[2] [3, 6]");
        assert_eq!(given["slot_mapping"], "[2] [3, 10]");
        assert_eq!(given["ban_values"], "[1] [0.0]");
    }

    #[test]
    fn a_missing_image_row_is_an_error() {
        let graph = Recorder {
            given: Given::default(),
            kept: Arc::default(),
        };
        let mut geometry = fixtures::published();
        geometry.hidden = 2;
        let mut decoder = decoder(graph, &geometry);
        let (step, _) = schedule().plan();
        let short = Rows {
            width: 2,
            elements: Elements::F32(vec![0.0, 1.0]),
        };
        let step = step.unwrap();
        assert!(decoder.run(&step, &|_| Some(&short), true).is_err());
        assert!(decoder.run(&step, &|_| None, true).is_err());
    }
}
