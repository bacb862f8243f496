//! Continuous batching: which tokens of which sequences the next step of the decoder takes.
//!
//! Sequences enter and leave between any two steps. A step packs the next token of every sequence
//! that decodes and, within its budget, pieces of the prompts of those that begin. When the cache
//! runs out of blocks the youngest sequence is put back and computed again later, its output so
//! far being part of its prompt. Nothing here runs a model or looks at a clock. The invariant: what
//! a sequence says depends on itself alone, not on its neighbours, on the size of the cache or on
//! the order of arrival.
//!
//! The idea is vLLM's (Kwon et al. 2023, "Efficient Memory Management for Large Language Model
//! Serving with PagedAttention") with Sarathi's chunked prefill (Agrawal et al. 2023).

mod sequence;
mod step;

use std::collections::VecDeque;

use self::sequence::Sequence;
pub use self::sequence::{End, Finished, Key, Request, Settings};
pub use self::step::Step;
use super::cache::Blocks;

/// Bounds of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sequences in work at once.
    pub sequences: usize,
    /// Tokens of one step.
    pub step_tokens: usize,
    /// Tokens of a step times places in the blocks of its sequences: so many scores a head has
    /// where every new token meets every block in use, as in the CPU's form of the decoder.
    pub scores: usize,
    /// Tokens of a sequence at most, by its positions.
    pub positions: usize,
    /// The token that ends a page.
    pub eos: u32,
}

/// Why a sequence cannot enter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "the page needs {tokens} tokens before the first word; deepseek.max_tokens allows {limit}"
    )]
    Prompt { tokens: usize, limit: usize },
    #[error(
        "the page needs a cache of more than {tokens} tokens, there are {capacity}; raise {}",
        CACHE_SETTINGS
    )]
    Cache { tokens: usize, capacity: usize },
}

/// What makes the cache larger.
pub const CACHE_SETTINGS: &str =
    "deepseek.cache_tokens (on CUDA deepseek.gpu_memory_utilization), or take a smaller mode";

/// Newcomers that begin together at most, where places are scarce. A step with prompts is no
/// repeated one, and takes some milliseconds more for that alone.
const BEGINNING: usize = 4;
/// Places for each of them: few stand empty until there are enough.
const PLACES: usize = 64;

/// All sequences in work.
pub struct Schedule {
    limits: Limits,
    blocks: Blocks,
    /// Tokens of table cells: the n-gram rule lets them through.
    cells: Vec<u32>,
    /// Without blocks, the oldest first; every one came after those that run.
    waiting: VecDeque<Sequence>,
    /// With blocks for all tokens that they have, the oldest first.
    running: Vec<Sequence>,
    put_back: u64,
}

impl Schedule {
    /// `cells` are the tokens that the n-gram rule lets through.
    pub fn new(limits: Limits, blocks: Blocks, cells: Vec<u32>) -> Self {
        Self {
            limits: Limits {
                sequences: limits.sequences.max(1),
                step_tokens: limits.step_tokens.max(1),
                ..limits
            },
            blocks,
            cells,
            waiting: VecDeque::new(),
            running: Vec::new(),
            put_back: 0,
        }
    }

    /// Sequences that have entered and not left.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    /// Sequences that have no place yet.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sequences in work at once, as things stand.
    pub fn sequences(&self) -> usize {
        self.limits.sequences
    }

    /// How often a sequence was put back for want of blocks.
    pub fn put_back(&self) -> u64 {
        self.put_back
    }

    /// Takes a sequence in. One that could never be computed is refused.
    pub fn enter(&mut self, request: Request) -> Result<(), Refusal> {
        let tokens = request.prompt.len();
        let limit = request.settings.max_tokens.min(self.limits.positions);
        if tokens == 0 || tokens >= limit {
            return Err(Refusal::Prompt { tokens, limit });
        }
        if tokens >= self.blocks.capacity() {
            return Err(Refusal::Cache {
                tokens,
                capacity: self.blocks.capacity(),
            });
        }
        self.waiting.push_back(Sequence::new(request, limit));
        Ok(())
    }

    /// Drops a sequence; false when there is none of this key.
    pub fn cancel(&mut self, key: Key) -> bool {
        if let Some(i) = self.running.iter().position(|s| s.key() == key) {
            let mut sequence = self.running.remove(i);
            self.blocks.release(&mut sequence.table);
            return true;
        }
        let before = self.waiting.len();
        self.waiting.retain(|s| s.key() != key);
        self.waiting.len() < before
    }

    /// Drops every sequence.
    pub fn clear(&mut self) {
        for sequence in &mut self.running {
            self.blocks.release(&mut sequence.table);
        }
        self.running.clear();
        self.waiting.clear();
    }

    /// Halves what a step may hold, after one that needed too much memory. False when nothing is
    /// left to halve.
    pub fn shrink(&mut self) -> bool {
        let limits = &mut self.limits;
        if limits.sequences == 1 && limits.step_tokens == 1 {
            return false;
        }
        let running = self.running.len().clamp(1, limits.sequences);
        limits.sequences = running.div_ceil(2);
        limits.step_tokens = limits.step_tokens.div_ceil(2);
        limits.scores = limits.scores.div_ceil(2);
        while self.running.len() > self.limits.sequences {
            self.put_youngest_back();
        }
        true
    }

    /// The next step, and the sequences that ended because the whole cache is too small for them.
    /// `None` when there is nothing to compute. The same step comes again until it is advanced.
    pub fn plan(&mut self) -> (Option<Step>, Vec<Finished>) {
        let mut ended = Vec::new();
        self.grow(&mut ended);
        self.admit();
        let step = (!self.running.is_empty()).then(|| self.step());
        (step, ended)
    }

    /// Gives every running sequence blocks for its newest token, the oldest first.
    fn grow(&mut self, ended: &mut Vec<Finished>) {
        let mut i = 0;
        while i < self.running.len() {
            let tokens = self.running[i].ids.len();
            if self.blocks.grow(&mut self.running[i].table, tokens) {
                i += 1;
            } else if self.running.len() > 1 {
                // The youngest may be this one.
                self.put_youngest_back();
            } else {
                let mut sequence = self.running.remove(i);
                self.blocks.release(&mut sequence.table);
                let capacity = self.blocks.capacity();
                let found = sequence.look(&self.cells);
                let end = found.map_or(End::NoRoom { capacity }, End::Looped);
                ended.push(sequence.finish(end));
            }
        }
    }

    fn put_youngest_back(&mut self) {
        if let Some(mut sequence) = self.running.pop() {
            self.blocks.release(&mut sequence.table);
            sequence.cached = 0;
            self.put_back += 1;
            self.waiting.push_front(sequence);
        }
    }

    /// Lets waiting sequences run while there are blocks for them and one to spare for each that
    /// runs, so that a newcomer is not put back at once. Among many places they wait for each other.
    fn admit(&mut self) {
        let places = self.limits.sequences;
        let together = (places / PLACES).clamp(1, BEGINNING);
        if places.saturating_sub(self.running.len()) < together.min(self.waiting.len()) {
            return;
        }
        while self.running.len() < self.limits.sequences
            && let Some(next) = self.waiting.front()
        {
            let needed = self.blocks.needed(next.ids.len());
            let spare = self.running.len();
            if self.blocks.free() < needed + spare {
                return;
            }
            let Some(mut sequence) = self.waiting.pop_front() else {
                return;
            };
            let tokens = sequence.ids.len();
            self.blocks.grow(&mut sequence.table, tokens);
            self.running.push(sequence);
        }
    }

    /// Packs the step: first those that decode, then pieces of prompts, each the oldest first.
    fn step(&self) -> Step {
        let mut step = Step::new(self.blocks.block_tokens(), self.running.len());
        let decoding = self.running.iter().filter(|s| s.pending() == 1);
        let beginning = self.running.iter().filter(|s| s.pending() > 1);
        for sequence in decoding.chain(beginning) {
            let room = self.limits.step_tokens - step.tokens();
            let take = sequence.pending().min(room);
            if take == 0 {
                break;
            }
            let blocks = step.blocks_in_use() + self.blocks.needed(sequence.cached + take);
            let tokens = self.limits.scores / (blocks * self.blocks.block_tokens());
            let take = match tokens.saturating_sub(step.tokens()) {
                // One token of one sequence always goes.
                0 if step.sequences() == 0 => 1,
                0 => continue,
                room => take.min(room),
            };
            step.push(sequence, take, &self.cells);
        }
        step.close();
        step
    }

    /// Looks for loops in what the sequences have said so far. This may be done while the device
    /// computes the next step; what is left of it, [`Self::advance`] does.
    pub fn look(&mut self) {
        for sequence in &mut self.running {
            sequence.look(&self.cells);
        }
    }

    /// Takes the tokens that the model chose for the step's rows, in their order. Returns the
    /// sequences that end with it, and those that were in a loop before it: a loop is found one step
    /// late, and that step's token dropped.
    pub fn advance(&mut self, step: &Step, chosen: &[i64]) -> Vec<Finished> {
        let mut ended = Vec::new();
        let mut chosen = chosen.iter();
        // The parts stand in the order of those that run, but for those that begin.
        let mut next = 0;
        for part in step.parts() {
            let token = if part.sampled { chosen.next() } else { None };
            let (before, after) = self.running.split_at(next.min(self.running.len()));
            let is = |s: &Sequence| s.key() == part.key;
            let found = after.iter().position(is).map(|i| before.len() + i);
            let Some(i) = found.or_else(|| before.iter().position(is)) else {
                continue;
            };
            next = i + 1;
            let sequence = &mut self.running[i];
            sequence.cached += part.tokens;
            let Some(&token) = token else { continue };
            let token = u32::try_from(token).unwrap_or(self.limits.eos);
            let end = match sequence.look(&self.cells) {
                Some(found) => Some(End::Looped(found)),
                None => sequence.push(token, self.limits.eos, &self.cells),
            };
            if let Some(end) = end {
                let mut sequence = self.running.remove(i);
                self.blocks.release(&mut sequence.table);
                ended.push(sequence.finish(end));
                next = i;
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests;
