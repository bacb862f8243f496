//! One step of the decoder: a plan becomes named tensors, the graph runs over its resident cache,
//! and the chosen tokens come back.

use half::bf16;

use super::schedule::{Key, Step};
use super::vision::{Elements, Rows};
use crate::engine::session::{ElementType, Graph, Resident, RunError, View};
use crate::pack::Geometry;

/// What a step gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chosen {
    /// By row of the step's `logit_rows`.
    pub tokens: Vec<i64>,
    /// `[rows, vocabulary]`, with the bans; empty unless asked for.
    pub logits: Vec<f32>,
}

pub struct Decoder {
    graph: Box<dyn Graph>,
    /// Type of the cache and of image rows.
    element: ElementType,
    hidden: usize,
    layers: usize,
    heads: usize,
    head_dim: usize,
    block_tokens: usize,
    /// Outputs with the scores by which each layer with experts chooses them.
    routers: Vec<String>,
}

impl Decoder {
    /// `routers` names the graph's outputs `router.*`, if it has any.
    pub fn new(
        graph: Box<dyn Graph>,
        element: ElementType,
        geometry: &Geometry,
        routers: Vec<String>,
    ) -> Self {
        Self {
            graph,
            routers,
            element,
            hidden: geometry.hidden,
            layers: geometry.layers,
            heads: geometry.heads,
            head_dim: geometry.head_dim,
            block_tokens: geometry.block_tokens,
        }
    }

    /// Bytes of one block of the cache.
    pub fn block_bytes(&self) -> usize {
        let element = match self.element {
            ElementType::F32 => 4,
            ElementType::Bf16 => 2,
        };
        super::cache::block_bytes(
            self.layers,
            self.heads,
            self.head_dim,
            self.block_tokens,
            element,
        )
    }

    /// Gives the graph a cache of `blocks` blocks, all zero, in place of any that it has.
    pub fn keep(&mut self, blocks: usize) -> Result<(), RunError> {
        let shape = [blocks, self.block_tokens, self.heads, self.head_dim].map(|d| d as i64);
        let residents: Vec<Resident> = (0..self.layers)
            .flat_map(|layer| ["key", "value"].map(|what| (what, layer)))
            .map(|(what, layer)| Resident {
                input: format!("{what}_cache.{layer}"),
                output: format!("{what}_cache_out.{layer}"),
                element: self.element,
                shape: shape.to_vec(),
            })
            .collect();
        self.graph.keep(&residents)
    }

    /// Runs `step`. `rows` finds the projected rows of a sequence's page.
    pub fn run<'r>(
        &mut self,
        step: &Step,
        rows: &dyn Fn(Key) -> Option<&'r Rows>,
        logits: bool,
    ) -> Result<Chosen, RunError> {
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
        let embeds = self.embeds(step, rows)?;
        let length = |n: usize| [n as i64];
        let (tokens, sequences) = (length(step.tokens()), length(step.sequences()));
        let images = [(embeds.len()) as i64, self.hidden as i64];
        let cumulative = length(step.cumulative_lengths.len());
        let table = [sequences[0], step.blocks_of_longest() as i64];
        let (wanted, bans) = (length(step.logit_rows.len()), length(step.ban_values.len()));
        let ban_rows = [bans[0], 2];
        let metadata = [step.longest.0 as i32, step.longest.1 as i32];
        let inputs = [
            ("input_ids", View::new(&tokens, &step.input_ids)),
            ("image_rows", View::new(&tokens, &step.image_rows)),
            (
                "image_embeds",
                match &embeds.elements {
                    Elements::F32(e) => View::new(&images, e),
                    Elements::Bf16(e) => View::new(&images, e),
                },
            ),
            (
                "cumulative_lengths",
                View::new(&cumulative, &step.cumulative_lengths),
            ),
            ("past_lengths", View::new(&sequences, &step.past_lengths)),
            ("block_table", View::new(&table, &step.block_table)),
            ("slot_mapping", View::new(&tokens, &step.slot_mapping)),
            ("attention_metadata", View::new(&[2], &metadata)),
            ("logit_rows", View::new(&wanted, &step.logit_rows)),
            ("ban_rows", View::new(&ban_rows, &step.ban_rows)),
            ("ban_values", View::new(&bans, &step.ban_values)),
        ];
        self.graph.run(&inputs, outputs, take)
    }

    /// The rows that the step names, one after the other; a row of zeros where it names none.
    fn embeds<'r>(
        &self,
        step: &Step,
        rows: &dyn Fn(Key) -> Option<&'r Rows>,
    ) -> Result<Rows, RunError> {
        let places = step.embeds.len().max(1) * self.hidden;
        let mut elements = match self.element {
            ElementType::F32 => Elements::F32(Vec::with_capacity(places)),
            ElementType::Bf16 => Elements::Bf16(Vec::with_capacity(places)),
        };
        for &(key, row) in &step.embeds {
            let place = row * self.hidden..(row + 1) * self.hidden;
            let copied = match (&mut elements, rows(key).map(|r| &r.elements)) {
                (Elements::F32(to), Some(Elements::F32(from))) => {
                    from.get(place).map(|row| to.extend_from_slice(row))
                }
                (Elements::Bf16(to), Some(Elements::Bf16(from))) => {
                    from.get(place).map(|row| to.extend_from_slice(row))
                }
                _ => None,
            };
            if copied.is_none() {
                return Err(RunError(format!("image row {row} of a page is missing")));
            }
        }
        if step.embeds.is_empty() {
            match &mut elements {
                Elements::F32(to) => to.resize(places, 0.0),
                Elements::Bf16(to) => to.resize(places, bf16::ZERO),
            }
        }
        Ok(Rows {
            width: self.hidden,
            elements,
        })
    }
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
