//! Measurements of a loaded model on work whose size is fixed.
//!
//! Random weights, left alone, soon say the same few tokens, and those load few experts: it would
//! flatter. Here every sequence is fed its own pseudo-random tokens, whatever the model chooses,
//! and nothing ends a page but their number: no stop, no n-gram rule, no watch for loops, no
//! ladder. The arithmetic is then that of a real page of as many tokens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::bounded;

use super::model::{Model, made_up_page};
use super::preprocess;
use super::schedule::{Key, Request, Settings};
use super::vision::{self, Seen};
use super::{DeepSeek, Forced};
use crate::config::Mode;
use crate::engine::session::RunError;
use crate::engine::{Cancel, ReadTask, Reader};
use crate::page::PageImage;

/// An A4 page at 144 pixels per inch, the size in which pages come.
const A4: (u32, u32) = (1191, 1684);
/// Rounds of each measurement, of which the median counts; one more goes before them.
const ROUNDS: usize = 5;

/// Pseudo-random numbers (xorshift64*, Vigna 2016): the same in every run.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Token ids below `vocabulary`.
    pub fn tokens(&mut self, count: usize, vocabulary: usize) -> Vec<u32> {
        (0..count)
            .map(|_| (self.draw() >> 32) as u32 % vocabulary.max(1) as u32)
            .collect()
    }
}

/// Settings under which nothing but the number of tokens ends a sequence.
pub(super) fn endless(tokens: usize) -> Settings {
    Settings {
        max_tokens: tokens,
        rule: None,
        watch_loops: false,
        stop: false,
    }
}

/// What decoding some sequences together came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decode {
    pub sequences: usize,
    /// Median of a step in which every sequence got one token, in milliseconds.
    pub step_ms: f64,
    /// Prompt tokens a second in the steps before.
    pub prefill_tokens_per_second: f64,
    /// Mean over layers and steps of the experts that at least one token was sent to; `None` where
    /// the pack's graph does not tell.
    pub experts: Option<f64>,
}

impl Decode {
    pub fn tokens_per_second(&self) -> f64 {
        self.sequences as f64 / self.step_ms * 1e3
    }
}

/// Decodes `steps` tokens of `sequences` sequences with `context` tokens before them.
pub fn decode(
    model: &mut Model,
    sequences: usize,
    context: usize,
    steps: usize,
) -> Result<Decode, RunError> {
    let requests = forced(model.geometry.vocabulary, sequences, context, steps);
    let (mut times, mut prefill) = (Vec::new(), (0usize, 0.0f64));
    let mut last = Instant::now();
    model.generate(requests.clone(), &BTreeMap::new(), false, &mut |step, _| {
        let took = last.elapsed().as_secs_f64();
        last = Instant::now();
        if step.tokens() == sequences && step.sequences() == sequences {
            times.push(took * 1e3);
        } else if step.tokens() > sequences {
            prefill = (prefill.0 + step.tokens(), prefill.1 + took);
        }
    })?;
    if times.is_empty() {
        return Err(RunError(format!(
            "no step held all {sequences} sequences of {} tokens: the cache is too small",
            context + steps
        )));
    }
    let experts = experts(model, requests, sequences)?;
    Ok(Decode {
        sequences,
        step_ms: median(&mut times),
        prefill_tokens_per_second: prefill.0 as f64 / prefill.1.max(1e-9),
        experts,
    })
}

/// Share of the tokens that the model chooses in repeated steps as it does in ordinary ones, for
/// `sequences` sequences after `context` tokens; `None` where no steps are recorded. Where a step is
/// filled up, other kernels may compute it, which round otherwise.
pub fn agreement(
    model: &mut Model,
    sequences: usize,
    context: usize,
    steps: usize,
) -> Result<Option<f64>, RunError> {
    if model.decoder.records().0 == 0 {
        return Ok(None);
    }
    let requests = forced(model.geometry.vocabulary, sequences, context, steps);
    let mut chosen = |repeats: bool| -> Result<Vec<Vec<u32>>, RunError> {
        model.decoder.set_repeats(repeats);
        let ended = model.generate(requests.clone(), &BTreeMap::new(), false, &mut |_, _| {});
        model.decoder.set_repeats(true);
        let mut ended = ended?;
        ended.sort_by_key(|f| f.key);
        Ok(ended.into_iter().map(|f| f.chosen).collect())
    };
    let (ordinary, repeated) = (chosen(false)?.concat(), chosen(true)?.concat());
    let pairs = ordinary.iter().zip(&repeated);
    let alike = pairs.filter(|(a, b)| a == b).count();
    Ok(Some(alike as f64 / ordinary.len().max(1) as f64))
}

/// Requests whose every token is given: `context` of the prompt and `steps` of the output.
fn forced(vocabulary: usize, sequences: usize, context: usize, steps: usize) -> Vec<Request> {
    (0..sequences as Key)
        .map(|key| {
            let mut numbers = Numbers::new(key + 1);
            Request {
                key,
                prompt: numbers.tokens(context, vocabulary),
                image_rows: Vec::new(),
                settings: endless(context + steps),
                forced: numbers.tokens(steps, vocabulary),
            }
        })
        .collect()
}

/// Counts the experts of the steps in which all decode, in a run of its own: fetching the router's scores takes time.
fn experts(
    model: &mut Model,
    requests: Vec<Request>,
    sequences: usize,
) -> Result<Option<f64>, RunError> {
    if model.decoder.routers().is_empty() {
        return Ok(None);
    }
    let (count, chosen) = (model.geometry.experts, model.geometry.experts_per_token);
    let (mut used, mut layers) = (0, 0);
    model.generate_routed(requests, &mut |step, routed| {
        if step.tokens() != sequences || step.sequences() != sequences {
            return;
        }
        for scores in routed {
            let mut seen = vec![false; count];
            // Behind the experts that are chosen from there may be some that always are.
            for token in scores.chunks_exact(scores.len() / sequences) {
                let mut order: Vec<usize> = (0..count).collect();
                order.sort_by(|&a, &b| token[b].total_cmp(&token[a]));
                order[..chosen.min(count)]
                    .iter()
                    .for_each(|&e| seen[e] = true);
            }
            used += seen.iter().filter(|&&s| s).count();
            layers += 1;
        }
    })?;
    Ok((layers > 0).then(|| used as f64 / f64::from(layers)))
}

/// Milliseconds a view of `side` pixels, in batches of `batch`.
pub fn view(model: &mut Model, side: u32, batch: usize) -> Result<f64, RunError> {
    let pixels = noise(side, side);
    let view = preprocess::View {
        side,
        rgb: pixels.rgb,
    };
    let views = vec![&view; batch];
    let mut times = Vec::new();
    for round in 0..=ROUNDS {
        let began = Instant::now();
        model.vision.project(&views)?;
        if round > 0 {
            times.push(began.elapsed().as_secs_f64() * 1e3 / batch as f64);
        }
    }
    Ok(median(&mut times))
}

/// Milliseconds an A4 page through the vision graph, in batches of `pages` whose views other threads
/// have brought to the device, as they do for the reader.
pub fn page(model: &mut Model, mode: Mode, pages: usize) -> Result<f64, RunError> {
    let image = noise(A4.0, A4.1);
    let views = preprocess::prepare(&image, mode, &model.geometry);
    let places = model.uploads.clone();
    let uploads: Vec<_> = (0..pages)
        .map(|_| places.as_ref().and_then(|p| p.put(&vision::pixels(&views))))
        .collect();
    let batch: Vec<_> = uploads
        .iter()
        .map(|upload| Seen {
            views: &views,
            upload: upload.as_ref(),
        })
        .collect();
    let mut times = Vec::new();
    for round in 0..=ROUNDS {
        let began = Instant::now();
        model.rows(&batch)?;
        if round > 0 {
            times.push(began.elapsed().as_secs_f64() * 1e3 / pages as f64);
        }
    }
    Ok(median(&mut times))
}

/// Seconds for `pages` A4 pages of `tokens` generated tokens each, from page images in memory to
/// readings, through the reader as it serves documents.
pub fn pages(reader: &mut DeepSeek, pages: usize, tokens: usize) -> Result<f64, RunError> {
    reader.force(Some(Forced::tokens(tokens)));
    let image = Arc::new(noise(A4.0, A4.1));
    let (tasks, queue) = bounded(pages);
    let (done, readings) = bounded(pages);
    for _ in 0..pages {
        let done = done.clone();
        let task = ReadTask {
            image: Arc::clone(&image),
            chars: None,
            cancel: Cancel::default(),
            reply: Box::new(move |reading| {
                let _ = done.send(reading);
            }),
        };
        if tasks.send(task).is_err() {
            return Err(RunError("the queue of pages is closed".into()));
        }
    }
    drop((tasks, done));
    let began = Instant::now();
    reader.serve(&queue);
    let seconds = began.elapsed().as_secs_f64();
    reader.force(None);
    for reading in readings {
        let reading = reading.map_err(|e| RunError(e.to_string()))?;
        if reading.tokens != Some(tokens as u32) {
            return Err(RunError(format!(
                "a page took {:?} tokens, not {tokens}",
                reading.tokens
            )));
        }
    }
    Ok(seconds)
}

/// A page that is not blank anywhere: grey noise in blocks, the same in every run.
fn noise(width: u32, height: u32) -> PageImage {
    let mut image = made_up_page(width, height);
    let mut numbers = Numbers::new(7);
    for block in image.rgb.chunks_mut(48) {
        block.fill((numbers.draw() >> 56) as u8);
    }
    image
}

/// The middle of `values`, which it sorts.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_spread_and_the_same_in_every_run() {
        let tokens = Numbers::new(3).tokens(6400, 64);
        assert_eq!(tokens, Numbers::new(3).tokens(6400, 64));
        let mut counts = [0; 64];
        tokens.iter().for_each(|&t| counts[t as usize] += 1);
        assert!(counts.iter().all(|&c| (50..160).contains(&c)), "{counts:?}");
        assert_ne!(tokens, Numbers::new(4).tokens(6400, 64));
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
    }
}
