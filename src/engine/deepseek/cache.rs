//! Blocks of the paged cache of keys and values: who owns which, and how many there are.
//!
//! The cache itself is on the device ([`Layout`] says as which tensors); here are only numbers. A
//! block belongs to one [`Table`] or is free: tables cannot be copied, and blocks come and go through [`Blocks`] alone.

use crate::engine::session::{ElementType, Resident};
use crate::pack::Geometry;

/// How keys and values stand in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As they are computed, `[blocks, tokens, heads, head_dim]` of each layer.
    Plain(ElementType),
    /// As 8-bit integers, the zero being 128, `[blocks, heads, tokens, head_dim]`, with a scale for
    /// each token and head, bfloat16 `[blocks, heads, tokens]`.
    Int8,
}

impl Layout {
    /// The tensors of a cache of `blocks` blocks.
    pub fn residents(self, geometry: &Geometry, blocks: usize) -> Vec<Resident> {
        let (tokens, heads, dim) = (geometry.block_tokens, geometry.heads, geometry.head_dim);
        let tensors = match self {
            Self::Plain(element) => {
                let shape = vec![blocks, tokens, heads, dim];
                ["key_cache", "value_cache"]
                    .map(|name| (name, element, shape.clone()))
                    .to_vec()
            }
            Self::Int8 => {
                let (caches, scales) = (
                    vec![blocks, heads, tokens, dim],
                    vec![blocks, heads, tokens],
                );
                vec![
                    ("key_cache", ElementType::U8, caches.clone()),
                    ("value_cache", ElementType::U8, caches),
                    ("key_scales", ElementType::Bf16, scales.clone()),
                    ("value_scales", ElementType::Bf16, scales),
                ]
            }
        };
        let of_layer = |layer: usize| {
            let tensors = tensors.iter();
            tensors.map(move |(name, element, shape)| Resident {
                input: format!("{name}.{layer}"),
                output: format!("{name}_out.{layer}"),
                element: *element,
                shape: shape.iter().map(|&d| d as i64).collect(),
            })
        };
        (0..geometry.layers).flat_map(of_layer).collect()
    }

    /// Bytes of one block: keys and values of every head in every layer for each of its tokens.
    pub fn block_bytes(self, geometry: &Geometry) -> usize {
        let residents = self.residents(geometry, 1);
        residents.iter().filter_map(Resident::bytes).sum()
    }
}

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
    use crate::engine::deepseek::fixtures;

    #[test]
    fn a_device_gives_what_is_left_of_its_share() {
        // 100 units, 30 in use, 90 may be: 60 are left.
        assert_eq!(device_blocks(100, 70, 0.9, 7, 1000), 8);
        assert_eq!(device_blocks(100, 70, 0.9, 7, 5), 5);
        assert_eq!(device_blocks(100, 5, 0.9, 7, 1000), 0);
    }

    #[test]
    fn a_block_takes_what_its_tensors_do() {
        let published = fixtures::published();
        // 12 layers, 10 heads of 128: 61,440 bytes a token in bfloat16; a scale has 2 bytes.
        let plain = Layout::Plain(ElementType::Bf16);
        assert_eq!(plain.block_bytes(&published), 61_440 * 256);
        assert_eq!(Layout::Int8.block_bytes(&published), 31_200 * 256);
        let residents = Layout::Int8.residents(&published, 7);
        assert_eq!(residents.len(), 4 * 12);
        let told = |i: usize| {
            let r: &Resident = &residents[i];
            (&*r.input, &*r.output, r.element, &*r.shape)
        };
        let (u8, bf16) = (ElementType::U8, ElementType::Bf16);
        let caches: &[i64] = &[7, 10, 256, 128];
        assert_eq!(told(0), ("key_cache.0", "key_cache_out.0", u8, caches));
        let scales: &[i64] = &[7, 10, 256];
        let last = ("value_scales.11", "value_scales_out.11", bf16, scales);
        assert_eq!(told(47), last);
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
