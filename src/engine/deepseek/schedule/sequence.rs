//! One sequence: its tokens, its blocks and what ends it.

use super::super::cache::Table;
use super::super::guard::{Loop, Loops, Repeats, Rule};

/// Names a sequence; whoever lets it enter chooses the number.
pub type Key = u64;

/// What a sequence is computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Tokens at most, the prompt counted.
    pub max_tokens: usize,
    /// Tokens that would repeat are forbidden by this rule.
    pub rule: Option<Rule>,
    /// A sequence that goes in circles ends.
    pub watch_loops: bool,
    /// The end-of-sentence token ends the sequence.
    pub stop: bool,
}

/// A sequence that wants to enter.
#[derive(Clone, Debug)]
pub struct Request {
    pub key: Key,
    /// Token ids, those of the image's places included.
    pub prompt: Vec<u32>,
    /// By place of the prompt: -1 text, 0 the newline's row, 1 the separator's, 2 + i the row i of
    /// the page's own projected rows.
    pub image_rows: Vec<i64>,
    pub settings: Settings,
    /// Tokens that are taken instead of those that the model chooses; the sequence ends with the
    /// last. Empty: the model's own.
    pub forced: Vec<u32>,
}

/// How a sequence ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The model said so, or the forced tokens are used up.
    Complete,
    /// It ran out of tokens.
    Truncated,
    /// It went in circles.
    Looped(Loop),
    /// The whole cache is too small for it.
    NoRoom { capacity: usize },
}

/// A sequence that has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    pub key: Key,
    /// The output; its last token is the end-of-sentence token where that ended it.
    pub output: Vec<u32>,
    /// What the model chose at each place of the output: the output itself, unless it was forced.
    pub chosen: Vec<u32>,
    pub end: End,
}

/// A sequence in work.
pub struct Sequence {
    request: Request,
    /// Prompt and output.
    pub ids: Vec<u32>,
    /// Tokens whose keys and values are in the cache.
    pub cached: usize,
    pub table: Table,
    limit: usize,
    repeats: Option<Repeats>,
    loops: Option<Loops>,
    /// Tokens of the output that were looked through for loops, and what was found.
    looked: usize,
    looped: Option<Loop>,
    chosen: Vec<u32>,
}

impl Sequence {
    /// `limit` is the most tokens that it may have.
    pub fn new(request: Request, limit: usize) -> Self {
        let ids = request.prompt.clone();
        let mut repeats = request.settings.rule.and_then(Repeats::new);
        if let Some(repeats) = &mut repeats {
            (1..=ids.len()).for_each(|len| repeats.push(&ids[..len]));
        }
        Self {
            loops: request.settings.watch_loops.then(Loops::default),
            request,
            ids,
            cached: 0,
            table: Table::default(),
            limit,
            repeats,
            looked: 0,
            looped: None,
            chosen: Vec::new(),
        }
    }

    pub fn key(&self) -> Key {
        self.request.key
    }

    /// Tokens that are not in the cache; never 0.
    pub fn pending(&self) -> usize {
        self.ids.len() - self.cached
    }

    /// The image row of a place; see [`Request::image_rows`].
    pub fn image_row(&self, place: usize) -> i64 {
        self.request.image_rows.get(place).copied().unwrap_or(-1)
    }

    /// Tokens that may not come next.
    pub fn banned(&self, whitelist: &[u32]) -> Vec<u32> {
        match &self.repeats {
            Some(repeats) => repeats.banned(&self.ids, whitelist),
            None => Vec::new(),
        }
    }

    /// Looks the output through for loops, as far as that was not done before. Nothing else is
    /// slow here: half a microsecond to one a token.
    pub fn look(&mut self, cells: &[u32]) -> Option<Loop> {
        let output = &self.ids[self.request.prompt.len()..];
        if let Some(loops) = &mut self.loops {
            while self.looped.is_none() && self.looked < output.len() {
                self.looked += 1;
                self.looped = loops.push(&output[..self.looked], cells);
            }
        }
        self.looped
    }

    /// Takes the next token; tells whether it was the last. A loop is not looked for, unless the
    /// sequence is at its end anyway.
    pub fn push(&mut self, chosen: u32, eos: u32, cells: &[u32]) -> Option<End> {
        let forced = &self.request.forced;
        let token = forced.get(self.chosen.len()).copied().unwrap_or(chosen);
        self.chosen.push(chosen);
        self.ids.push(token);
        if let Some(repeats) = &mut self.repeats {
            repeats.push(&self.ids);
        }
        let output = self.ids.len() - self.request.prompt.len();
        if self.request.settings.stop && token == eos
            || !forced.is_empty() && output >= forced.len()
        {
            Some(End::Complete)
        } else if self.ids.len() >= self.limit {
            let found = self.look(cells);
            Some(found.map_or(End::Truncated, End::Looped))
        } else {
            None
        }
    }

    pub fn finish(mut self, end: End) -> Finished {
        Finished {
            key: self.request.key,
            output: self.ids.split_off(self.request.prompt.len()),
            chosen: self.chosen,
            end,
        }
    }
}
