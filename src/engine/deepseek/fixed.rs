//! Steps in which every sequence adds one token, filled up to one of a few sizes.
//!
//! A graph repeats such a step from a record (CUDA graphs) only where all shapes are those of the
//! record. Rows that fill a step up are sequences of one token, without a past, whose key and value
//! go nowhere: they read one place of the cache and change none.

use super::schedule::Step;
use crate::engine::session::View;

/// Largest size: beyond it a step is long beside what the host does for it.
const MOST: usize = 512;
/// Bans for each row of a step, and some more, have room. The n-gram rule forbids a row seldom
/// anything, and then mostly one token.
const BANS_A_ROW: usize = 2;
const MORE_BANS: usize = 8;

/// The sizes for steps of up to `most` sequences, ascending. Of a step above 16 rows less than a
/// third is filling.
pub fn sizes(most: usize) -> Vec<usize> {
    let most = most.clamp(1, MOST);
    let (mut out, mut size) = (Vec::new(), 1);
    while size < most {
        out.push(size);
        size += match size {
            1..8 => size,
            8..64 => 8,
            64..128 => 16,
            128..256 => 32,
            _ => 64,
        };
    }
    out.push(most);
    out
}

/// The inputs of a step of one size, as they are on the device. S rows, M blocks a row, K bans.
pub struct Fixed {
    size: usize,
    /// M.
    width: usize,
    block_tokens: usize,
    pub inputs: Inputs,
    /// Which of [`Inputs`] the last fill changed.
    changed: [bool; CHANGING],
}

/// Inputs that differ from step to step.
const CHANGING: usize = 6;

#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// S.
    pub input_ids: Vec<i64>,
    /// S.
    pub past_lengths: Vec<i32>,
    /// S rows of M.
    pub block_table: Vec<i32>,
    /// S.
    pub slot_mapping: Vec<i32>,
    /// K pairs.
    pub ban_rows: Vec<i64>,
    /// K.
    pub ban_values: Vec<f32>,
}

impl Inputs {
    /// All rows filling.
    fn new(size: usize, width: usize) -> Self {
        let bans = bans(size);
        Self {
            input_ids: vec![0; size],
            past_lengths: vec![0; size],
            block_table: vec![0; size * width],
            slot_mapping: vec![-1; size],
            ban_rows: vec![0; 2 * bans],
            ban_values: vec![0.0; bans],
        }
    }
}

fn bans(size: usize) -> usize {
    BANS_A_ROW * size + MORE_BANS
}

impl Fixed {
    /// A step of `size` rows whose sequences have `width` blocks at most, all of it filling.
    pub fn new(size: usize, width: usize, block_tokens: usize) -> Self {
        Self {
            size,
            width,
            block_tokens,
            inputs: Inputs::new(size, width),
            changed: [false; CHANGING],
        }
    }

    pub fn size(&self) -> usize {
        self.size
    }

    pub fn bans(&self) -> usize {
        self.inputs.ban_values.len()
    }

    /// Bounds of new tokens and of all tokens of a row, for every step of this size.
    pub fn longest(&self) -> (usize, usize) {
        (1, self.width * self.block_tokens)
    }

    /// Whether `step` is of this kind and has room: one new token of text of each sequence, each of
    /// which the next one is wanted.
    pub fn holds(&self, step: &Step) -> bool {
        let rows = step.sequences();
        rows <= self.size
            && step.tokens() == rows
            && step.embeds.is_empty()
            && step.image_rows.iter().all(|&row| row < 0)
            && step.logit_rows.iter().copied().eq(0..rows as i64)
            && step.blocks_of_longest() <= self.width
            && step.ban_values.len() <= self.bans()
    }

    /// Takes over the numbers of a step that it [`Self::holds`].
    pub fn fill(&mut self, step: &Step) {
        let to = &mut self.inputs;
        let blocks = step.blocks_of_longest().max(1);
        let mut tables = step.block_table.chunks_exact(blocks);
        let mut table_changed = false;
        for row in to.block_table.chunks_exact_mut(self.width) {
            table_changed |= set(row, tables.next().unwrap_or_default(), 0);
        }
        self.changed = [
            set(&mut to.input_ids, &step.input_ids, 0),
            set(&mut to.past_lengths, &step.past_lengths, 0),
            table_changed,
            set(&mut to.slot_mapping, &step.slot_mapping, -1),
            set(&mut to.ban_rows, &step.ban_rows, 0),
            set(&mut to.ban_values, &step.ban_values, 0.0),
        ];
    }

    /// Hands the inputs on that the last [`Self::fill`] changed, under the names of the graph's.
    pub fn with_changed<T>(&self, then: impl FnOnce(&[(&str, View<'_>)]) -> T) -> T {
        let inputs = &self.inputs;
        let (rows, bans) = ([self.size as i64], [self.bans() as i64]);
        let (table, pairs) = ([rows[0], self.width as i64], [bans[0], 2]);
        let all: [_; CHANGING] = [
            ("input_ids", View::new(&rows, &inputs.input_ids)),
            ("past_lengths", View::new(&rows, &inputs.past_lengths)),
            ("block_table", View::new(&table, &inputs.block_table)),
            ("slot_mapping", View::new(&rows, &inputs.slot_mapping)),
            ("ban_rows", View::new(&pairs, &inputs.ban_rows)),
            ("ban_values", View::new(&bans, &inputs.ban_values)),
        ];
        let changed: Vec<_> = all
            .into_iter()
            .zip(self.changed)
            .filter_map(|(input, changed)| changed.then_some(input))
            .collect();
        then(&changed)
    }

    /// Takes every input for changed: a run that failed may have left any of them behind.
    pub fn forget(&mut self) {
        // No step has such an id, lengths or values, so that each is unlike the next.
        self.inputs.input_ids.fill(-1);
        self.inputs.past_lengths.fill(-1);
        self.inputs.block_table.fill(-1);
        self.inputs.slot_mapping.fill(-2);
        self.inputs.ban_rows.fill(-1);
        self.inputs.ban_values.fill(f32::NAN);
    }
}

/// Makes `to` what `from` is, with filling behind it; whether it was another.
fn set<T: Copy + PartialEq>(to: &mut [T], from: &[T], filling: T) -> bool {
    let (numbers, rest) = to.split_at_mut(from.len());
    let changed = *numbers != *from || rest.iter().any(|n| *n != filling);
    if changed {
        numbers.copy_from_slice(from);
        rest.fill(filling);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::super::cache::Blocks;
    use super::super::guard::Rule;
    use super::super::schedule::{Limits, Request, Schedule, Settings};
    use super::*;

    #[test]
    fn sizes_ascend_to_the_most_and_waste_little() {
        assert_eq!(sizes(1), [1]);
        assert_eq!(sizes(6), [1, 2, 4, 6]);
        assert_eq!(sizes(4096).last(), Some(&MOST));
        for most in [64, 100, 128, 256, 512] {
            let sizes = sizes(most);
            assert_eq!(sizes.last(), Some(&most));
            for pair in sizes.windows(2) {
                assert!(pair[0] < pair[1]);
                if pair[0] >= 16 {
                    let filling = pair[1] - pair[0] - 1;
                    assert!(filling * 3 <= pair[1], "{pair:?}");
                }
            }
        }
        // What the bench measures is recorded without filling.
        let all = sizes(256);
        assert!([1, 8, 32, 64, 128, 256].iter().all(|n| all.contains(n)));
    }

    /// A schedule of three sequences with blocks of 4 tokens, and its steps.
    fn schedule(image: bool) -> Schedule {
        let limits = Limits {
            sequences: 4,
            step_tokens: 64,
            scores: usize::MAX,
            positions: 1000,
            eos: 1,
        };
        let mut schedule = Schedule::new(limits, Blocks::new(20, 4), vec![]);
        for (key, prompt) in [(7, vec![9, 8, 9, 8]), (8, vec![3; 5]), (9, vec![4])] {
            let request = Request {
                key,
                image_rows: if image { vec![2; prompt.len()] } else { vec![] },
                prompt,
                settings: Settings {
                    max_tokens: 50,
                    rule: Some(Rule { size: 2, window: 9 }),
                    watch_loops: false,
                    stop: true,
                },
                forced: Vec::new(),
            };
            schedule.enter(request).unwrap();
        }
        schedule
    }

    #[test]
    fn a_step_is_filled_up_with_rows_that_keep_nothing() {
        let mut schedule = schedule(false);
        let (first, _) = schedule.plan();
        let first = first.unwrap();
        let mut fixed = Fixed::new(4, 5, 4);
        assert!(!fixed.holds(&first), "prompts");
        // The single token goes before prompts.
        schedule.advance(&first, &[4, 9, 5]);
        let (step, _) = schedule.plan();
        let step = step.unwrap();
        assert!(fixed.holds(&step));
        assert!(!Fixed::new(2, 5, 4).holds(&step), "more rows");
        assert!(!Fixed::new(4, 1, 4).holds(&step), "more blocks");
        assert_eq!(fixed.longest(), (1, 20));

        fixed.fill(&step);
        let inputs = &fixed.inputs;
        assert_eq!(inputs.input_ids, [9, 5, 4, 0]);
        assert_eq!(inputs.past_lengths, [4, 5, 1, 0]);
        assert_eq!(inputs.slot_mapping[3], -1);
        assert_eq!(inputs.slot_mapping[..3], step.slot_mapping);
        let rows: Vec<_> = inputs.block_table.chunks(5).collect();
        assert_eq!(rows[1][..2], step.block_table[2..4]);
        assert_eq!(rows[1][2..], [0; 3]);
        assert_eq!(rows[3], [0; 5]);
        // 9 was followed by 8, and 4 by 4.
        assert_eq!(inputs.ban_rows[..4], [0, 8, 2, 4]);
        assert_eq!(inputs.ban_values[..2], [f32::NEG_INFINITY; 2]);
        assert!(inputs.ban_values[2..].iter().all(|&v| v == 0.0));

        // Only what differs is to be copied; after a fault all of it.
        fixed.fill(&step);
        assert_eq!(fixed.changed, [false; CHANGING]);
        fixed.forget();
        fixed.fill(&step);
        assert_eq!(fixed.changed, [true; CHANGING]);
        schedule.advance(&step, &[6, 6, 6]);
        let (step, _) = schedule.plan();
        fixed.fill(&step.unwrap());
        assert_eq!(fixed.changed[..4], [true, true, false, true]);
        let names =
            fixed.with_changed(|inputs| inputs.iter().map(|i| i.0.to_owned()).collect::<Vec<_>>());
        assert_eq!(names[..3], ["input_ids", "past_lengths", "slot_mapping"]);
    }

    #[test]
    fn the_last_place_of_an_image_is_no_text() {
        let mut schedule = schedule(true);
        schedule.cancel(7);
        schedule.cancel(8);
        let (step, _) = schedule.plan();
        assert!(!Fixed::new(4, 5, 4).holds(&step.unwrap()));
    }
}
