//! One step of the decoder: the packed tokens of several sequences, as the decoder's graph takes
//! them.

use super::sequence::{Key, Sequence};

/// Blocks of a sequence for which there is room at first.
const BLOCKS: usize = 8;
/// Added to the logit of a forbidden token.
const BAN: f32 = f32::NEG_INFINITY;

/// What a step does for one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub key: Key,
    /// Tokens of the sequence in the step.
    pub tokens: usize,
    /// The step ends with the sequence's newest token: the model chooses the next.
    pub sampled: bool,
}

/// The inputs of one step, T tokens of B sequences.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// T.
    pub input_ids: Vec<i64>,
    /// T: -1 text, 0 newline, 1 separator, 2 + i the row i of [`Step::embeds`].
    pub image_rows: Vec<i64>,
    /// The projected rows that the step needs: whose, and which.
    pub embeds: Vec<(Key, usize)>,
    /// B + 1: where each sequence begins among the tokens.
    pub cumulative_lengths: Vec<i32>,
    /// B: tokens of each that are in the cache.
    pub past_lengths: Vec<i32>,
    /// B rows of as many blocks as the longest needs; rows are filled up with block 0.
    pub block_table: Vec<i32>,
    /// T: where the token's key and value go, block times tokens of a block plus place in it.
    pub slot_mapping: Vec<i32>,
    /// R: tokens of the step whose next one is wanted. Never empty: where none is wanted the last
    /// token stands here and the answer is left alone.
    pub logit_rows: Vec<i64>,
    /// K pairs of a row of R and a token, one after the other; at least one.
    pub ban_rows: Vec<i64>,
    /// K: minus infinity, or 0 in an entry that bans nothing.
    pub ban_values: Vec<f32>,
    /// Most new tokens of one sequence, and most tokens of one after the step.
    pub longest: (usize, usize),
    parts: Vec<Part>,
    /// Blocks of all sequences, one after the other, and where those of each end.
    blocks: Vec<u32>,
    ends: Vec<usize>,
    block_tokens: usize,
}

impl Step {
    /// A step that will hold `sequences` sequences or so.
    pub(super) fn new(block_tokens: usize, sequences: usize) -> Self {
        let mut cumulative_lengths = Vec::with_capacity(sequences + 1);
        cumulative_lengths.push(0);
        Self {
            input_ids: Vec::with_capacity(sequences),
            image_rows: Vec::with_capacity(sequences),
            embeds: Vec::new(),
            cumulative_lengths,
            past_lengths: Vec::with_capacity(sequences),
            block_table: Vec::new(),
            slot_mapping: Vec::with_capacity(sequences),
            logit_rows: Vec::with_capacity(sequences),
            ban_rows: Vec::new(),
            ban_values: Vec::new(),
            longest: (0, 0),
            parts: Vec::with_capacity(sequences),
            blocks: Vec::with_capacity(BLOCKS * sequences),
            ends: Vec::with_capacity(sequences),
            block_tokens,
        }
    }

    pub fn tokens(&self) -> usize {
        self.input_ids.len()
    }

    pub fn sequences(&self) -> usize {
        self.parts.len()
    }

    /// Blocks in a row of the block table.
    pub fn blocks_of_longest(&self) -> usize {
        self.longest.1.div_ceil(self.block_tokens)
    }

    /// Blocks that hold the tokens of all sequences of the step.
    pub fn blocks_in_use(&self) -> usize {
        self.blocks.len()
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Adds the next `tokens` tokens of `sequence`, whose table holds them.
    pub(super) fn push(&mut self, sequence: &Sequence, tokens: usize, whitelist: &[u32]) {
        let (past, end) = (sequence.cached, sequence.cached + tokens);
        let blocks = sequence.table.blocks();
        for place in past..end {
            self.input_ids.push(i64::from(sequence.ids[place]));
            let row = match sequence.image_row(place) {
                own @ 2.. => {
                    self.embeds.push((sequence.key(), own as usize - 2));
                    self.embeds.len() as i64 + 1
                }
                shared => shared,
            };
            self.image_rows.push(row);
            let block = blocks[place / self.block_tokens] as usize;
            let slot = block * self.block_tokens + place % self.block_tokens;
            self.slot_mapping.push(slot as i32);
        }
        self.past_lengths.push(past as i32);
        self.cumulative_lengths.push(self.input_ids.len() as i32);
        let used = &blocks[..end.div_ceil(self.block_tokens)];
        self.blocks.extend_from_slice(used);
        self.ends.push(self.blocks.len());
        self.longest = (self.longest.0.max(tokens), self.longest.1.max(end));
        let sampled = end == sequence.ids.len();
        if sampled {
            let row = self.logit_rows.len() as i64;
            self.logit_rows.push(self.input_ids.len() as i64 - 1);
            for token in sequence.banned(whitelist) {
                self.ban_rows.extend([row, i64::from(token)]);
                self.ban_values.push(BAN);
            }
        }
        self.parts.push(Part {
            key: sequence.key(),
            tokens,
            sampled,
        });
    }

    /// Lays out the block table and fills what must not be empty.
    pub(super) fn close(&mut self) {
        let width = self.blocks_of_longest().max(1);
        self.block_table.resize(self.ends.len() * width, 0);
        let mut from = 0;
        for (row, &end) in self.block_table.chunks_exact_mut(width).zip(&self.ends) {
            for (to, &block) in row.iter_mut().zip(&self.blocks[from..end]) {
                *to = block as i32;
            }
            from = end;
        }
        if self.logit_rows.is_empty() {
            self.logit_rows.push(self.input_ids.len() as i64 - 1);
        }
        if self.ban_values.is_empty() {
            self.ban_rows.extend([0, 0]);
            self.ban_values.push(0.0);
        }
    }
}
