//! Blocks of the paged cache of keys and values: who owns which, and how many there are.
//!
//! The cache itself is on the device; here are only numbers. A block belongs to one [`Table`] or
//! is free: tables cannot be copied, and blocks come and go through [`Blocks`] alone.

/// All blocks of a cache.
#[derive(Debug)]
pub struct Blocks {
    /// Taken from the end: the block that was given back last is used again first.
    free: Vec<u32>,
    count: usize,
    /// Tokens of one block.
    tokens: usize,
}

/// The blocks of one sequence, in the order of its tokens.
#[derive(Debug, Default)]
pub struct Table(Vec<u32>);

impl Table {
    pub fn blocks(&self) -> &[u32] {
        &self.0
    }
}

impl Blocks {
    /// `count` free blocks of `tokens` tokens each.
    pub fn new(count: usize, tokens: usize) -> Self {
        let count = count.min(u32::MAX as usize);
        Self {
            free: (0..count as u32).rev().collect(),
            count,
            tokens: tokens.max(1),
        }
    }

    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Tokens of one block.
    pub fn block_tokens(&self) -> usize {
        self.tokens
    }

    /// Tokens that the whole cache holds.
    pub fn capacity(&self) -> usize {
        self.count * self.tokens
    }

    /// Blocks that `tokens` tokens need.
    pub fn needed(&self, tokens: usize) -> usize {
        tokens.div_ceil(self.tokens)
    }

    /// Lets `table` hold `tokens` tokens; false, and nothing is changed, when blocks are wanting.
    pub fn grow(&mut self, table: &mut Table, tokens: usize) -> bool {
        let more = self.needed(tokens).saturating_sub(table.0.len());
        if more > self.free.len() {
            return false;
        }
        let kept = self.free.len() - more;
        table.0.extend(self.free.drain(kept..).rev());
        true
    }

    /// Takes every block of `table` back.
    pub fn release(&mut self, table: &mut Table) {
        self.free.extend(table.0.drain(..).rev());
    }
}

/// Bytes of one block: a key and a value of every head in every layer for each of its tokens.
pub fn block_bytes(
    layers: usize,
    heads: usize,
    head_dim: usize,
    tokens: usize,
    element: usize,
) -> usize {
    2 * layers * heads * head_dim * tokens * element
}

/// How many blocks a device gets: what `share` of its memory leaves beside what is in use already,
/// but no more than `useful`. `total` and `free` in bytes.
pub fn device_blocks(
    total: usize,
    free: usize,
    share: f64,
    block_bytes: usize,
    useful: usize,
) -> usize {
    let may = (total as f64 * share) as usize;
    let left = may.saturating_sub(total.saturating_sub(free));
    (left / block_bytes.max(1)).min(useful)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_device_gives_what_is_left_of_its_share() {
        // 100 units, 30 in use, 90 may be: 60 are left.
        assert_eq!(device_blocks(100, 70, 0.9, 7, 1000), 8);
        assert_eq!(device_blocks(100, 70, 0.9, 7, 5), 5);
        assert_eq!(device_blocks(100, 5, 0.9, 7, 1000), 0);
        // 12 layers, 10 heads of 128, bfloat16: 61,440 bytes a token.
        assert_eq!(block_bytes(12, 10, 128, 256, 2), 61_440 * 256);
    }

    proptest! {
        /// No block twice, none lost, whatever is asked in whatever order.
        #[test]
        fn every_block_has_one_place(count in 0usize..40, asks in prop::collection::vec((0usize..6, 0usize..2000, any::<bool>()), 0..80)) {
            let mut blocks = Blocks::new(count, 256);
            let mut tables: Vec<Table> = (0..6).map(|_| Table::default()).collect();
            for (which, tokens, release) in asks {
                let (before, free) = (tables[which].0.clone(), blocks.free());
                if release {
                    blocks.release(&mut tables[which]);
                    prop_assert!(tables[which].0.is_empty());
                } else if blocks.grow(&mut tables[which], tokens) {
                    prop_assert!(tables[which].0.len() >= tokens.div_ceil(256));
                    prop_assert_eq!(&tables[which].0[..before.len()], &before[..]);
                } else {
                    prop_assert!(tokens.div_ceil(256) > before.len() + free);
                    prop_assert_eq!(&tables[which].0, &before);
                }
                let mut all: Vec<u32> = tables.iter().flat_map(|t| t.0.clone()).collect();
                all.extend(&blocks.free);
                all.sort_unstable();
                prop_assert_eq!(all, (0..count as u32).collect::<Vec<_>>());
            }
        }
    }
}
