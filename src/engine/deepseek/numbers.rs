//! The numbers that a step gives the decoder's graph, under the names of the graph's inputs.

use crate::engine::session::View;

/// The input in the CPU's memory, on every device.
pub const METADATA: &str = "attention_metadata";

/// See [`super::schedule::Step`]; `images` are the rows that it names, one after the other.
pub struct Numbers<'a> {
    pub input_ids: &'a [i64],
    pub image_rows: &'a [i64],
    pub images: View<'a>,
    pub cumulative_lengths: &'a [i32],
    pub past_lengths: &'a [i32],
    pub block_table: &'a [i32],
    pub slot_mapping: &'a [i32],
    pub longest: (usize, usize),
    pub logit_rows: &'a [i64],
    pub ban_rows: &'a [i64],
    pub ban_values: &'a [f32],
}

impl Numbers<'_> {
    /// Hands them on under the names of the graph's inputs.
    pub fn with<T>(&self, then: impl FnOnce(&[(&str, View<'_>)]) -> T) -> T {
        let length = |n: usize| [n as i64];
        let (tokens, sequences) = (
            length(self.input_ids.len()),
            length(self.past_lengths.len()),
        );
        let cumulative = length(self.cumulative_lengths.len());
        let width = self.block_table.len() / self.past_lengths.len().max(1);
        let table = [sequences[0], width as i64];
        let (wanted, bans) = (length(self.logit_rows.len()), length(self.ban_values.len()));
        let ban_rows = [bans[0], 2];
        let metadata = [self.longest.0 as i32, self.longest.1 as i32];
        then(&[
            ("input_ids", View::new(&tokens, self.input_ids)),
            ("image_rows", View::new(&tokens, self.image_rows)),
            ("image_embeds", self.images),
            (
                "cumulative_lengths",
                View::new(&cumulative, self.cumulative_lengths),
            ),
            ("past_lengths", View::new(&sequences, self.past_lengths)),
            ("block_table", View::new(&table, self.block_table)),
            ("slot_mapping", View::new(&tokens, self.slot_mapping)),
            (METADATA, View::new(&[2], &metadata)),
            ("logit_rows", View::new(&wanted, self.logit_rows)),
            ("ban_rows", View::new(&ban_rows, self.ban_rows)),
            ("ban_values", View::new(&bans, self.ban_values)),
        ])
    }
}
