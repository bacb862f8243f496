//! Attention over a paged cache of 8 bits: `PagedAttention8`, for the language model.
//!
//! | input | type | shape |
//! |---|---|---|
//! | qkv | bf16 | `[T, 3 * heads * dim]`: of each token queries, keys and values, of each head by head |
//! | key and value cache | u8 | `[blocks, heads, 256, dim]` |
//! | their scales | bf16 | `[blocks, heads, 256]` |
//! | cumulative lengths | i32 | `[B + 1]`: where the new tokens of each sequence begin and end |
//! | past lengths | i32 | `[B]`: tokens of each in the cache |
//! | block table | i32 | `[B, M]` |
//! | cosines, sines | f32 | `[positions, dim / 2]` |
//! | slots | i32 | `[T]`: where each token's key and value go, -1 for nowhere |
//!
//! Outputs: attended, bf16 `[T, heads * dim]`, and the two caches and their scales, which must be the
//! inputs' own memory. A byte b with the scale s stands for `s * (b - 128)`. Keys are kept turned by
//! their position (RoPE, by halves). Heads of 32, 64 or 128 elements.
//!
//! Lengths are read on the device alone and launches depend on shapes alone, so that a CUDA graph may
//! repeat them. What the host answers for: lengths ascend to T at most, blocks and slots are the
//! cache's. Rows behind the last sequence come out undefined.

use std::ffi::c_void;
use std::sync::Arc;

use ort::operator::{
    ComputeContext, Kernel as Compute, KernelContext, Operator, OperatorInput, OperatorOutput,
};
use ort::value::TensorElementType::{Bfloat16, Float32, Int32, Uint8};

use super::driver::{Kernel, Shape};
use super::kernels;
use super::tensors::{Input, PROVIDER, arguments, attribute, fault, number, output, stream};
use crate::pack::CACHE_BLOCK;

/// Blocks along the second axis of a grid at most.
const ALONG: usize = 65_535;
/// Threads of a warp.
const WARP: usize = 32;
/// Warps of a block that keeps keys and values.
const KEEPING: usize = 8;
/// Tokens of a block that attends, where each sequence has one, and where some have many.
const FEW: usize = 8;
const MANY: usize = 16;

/// The caches, which are inputs 1 and on and outputs 1 and on.
const CACHES: [&str; 4] = ["key cache", "value cache", "key scales", "value scales"];

pub struct PagedAttention8;

pub struct Paged {
    keep: Arc<Kernel>,
    few: Arc<Kernel>,
    many: Arc<Kernel>,
    heads: usize,
    dim: usize,
}

impl Operator for PagedAttention8 {
    type Kernel<'a> = Paged;

    fn name(&self) -> &str {
        "PagedAttention8"
    }

    fn execution_provider_type(&self) -> Option<&str> {
        Some(PROVIDER)
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let [qkv, cache, scales] = [Bfloat16, Uint8, Bfloat16];
        let places = [Int32, Int32, Int32, Float32, Float32, Int32];
        let inputs = [qkv, cache, cache, scales, scales]
            .into_iter()
            .chain(places);
        inputs.map(OperatorInput::required)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [Bfloat16, Uint8, Uint8, Bfloat16, Bfloat16].map(OperatorOutput::required)
    }

    fn create_kernel<'a>(&self, context: &KernelContext<'a>) -> ort::Result<Paged> {
        let dim = attribute(context, "dim")?;
        let kernel = |name| kernels::paged_attention8(dim, name).map_err(fault);
        Ok(Paged {
            keep: kernel(c"cache_keys_values")?,
            few: kernel(c"attend_few")?,
            many: kernel(c"attend_many")?,
            heads: attribute(context, "heads")?,
            dim,
        })
    }
}

/// The tensors of one call, their sizes compared with one another.
struct Tensors<'c> {
    qkv: Input<'c>,
    caches: [Input<'c>; 4],
    cumulative: Input<'c>,
    past: Input<'c>,
    table: Input<'c>,
    cos: Input<'c>,
    sin: Input<'c>,
    slots: Input<'c>,
    tokens: usize,
    sequences: usize,
    /// Blocks of a sequence in the table.
    width: usize,
    positions: usize,
}

impl<'c> Tensors<'c> {
    fn of(context: &'c ComputeContext, heads: usize, dim: usize) -> ort::Result<Self> {
        let input = |place| Input::of(context, place);
        let [qkv, past, table, cos] = [input(0)?, input(6)?, input(7)?, input(8)?];
        let tensors = Self {
            tokens: qkv.rows(),
            sequences: past.elements(),
            width: table.width(),
            positions: cos.rows(),
            caches: [input(1)?, input(2)?, input(3)?, input(4)?],
            cumulative: input(5)?,
            cos,
            sin: input(9)?,
            slots: input(10)?,
            qkv,
            past,
            table,
        };
        let Self {
            tokens, sequences, ..
        } = tensors;
        let half = dim / 2;
        tensors.qkv.expect("qkv", tokens * 3 * heads * dim)?;
        tensors
            .cumulative
            .expect("the cumulative lengths", sequences + 1)?;
        tensors
            .table
            .expect("the block table", sequences * tensors.width)?;
        tensors
            .cos
            .expect("the cosines", tensors.positions * half)?;
        tensors.sin.expect("the sines", tensors.positions * half)?;
        tensors.slots.expect("the slots", tokens)?;
        let block = CACHE_BLOCK as i64;
        let blocks = tensors.caches[0].shape().first().copied().unwrap_or(0);
        let cache = [blocks, heads as i64, block, dim as i64];
        let scales = &cache[..3];
        let wanted = [&cache[..], &cache, scales, scales];
        for ((found, wanted), what) in tensors.caches.iter().zip(wanted).zip(CACHES) {
            if found.shape() != wanted {
                let found = found.shape();
                return Err(fault(format!(
                    "the {what} of shape {found:?}, not {wanted:?}"
                )));
            }
        }
        Ok(tensors)
    }

    /// The caches' memory, which must be that of their outputs: nothing is copied.
    fn caches(&self, context: &ComputeContext) -> ort::Result<[*mut c_void; 4]> {
        let mut memory = [std::ptr::null_mut(); 4];
        for (place, (cache, what)) in self.caches.iter().zip(CACHES).enumerate() {
            memory[place] = output(context, place + 1, cache.shape())?;
            if memory[place].cast_const() != cache.data() {
                return Err(fault(format!(
                    "the {what} must be bound to one memory as input and as output"
                )));
            }
        }
        Ok(memory)
    }
}

/// Warps of a block of few tokens, of which there are `blocks` that have something to do: as many as
/// let all blocks run at once on a card of 132 processors with 16 warps each (H100), for a second round
/// of a few blocks takes as long as the first; beyond that a number that was measured to be good.
fn warps(blocks: usize) -> usize {
    match blocks {
        0..=132 => 16,
        133..=264 => 8,
        265..=528 => 4,
        529..=1056 => 2,
        _ => 4,
    }
}

/// Bytes of shared memory of a block that attends: of each warp and query the result, its maximum and
/// its sum.
fn shared(warps: usize, queries: usize, dim: usize) -> usize {
    warps * queries * (dim + 2) * size_of::<f32>()
}

impl Compute for Paged {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let tensors = Tensors::of(context, self.heads, self.dim)?;
        let [keys, values, key_scales, value_scales] = tensors.caches(context)?;
        let (rows, width) = (tensors.tokens as i64, (self.heads * self.dim) as i64);
        let out = output(context, 0, &[rows, width])?;
        if tensors.sequences == 0 {
            return Ok(());
        }
        let on = stream(context)?;
        let [qkv, cumulative, past] =
            [&tensors.qkv, &tensors.cumulative, &tensors.past].map(Input::data);
        let [table, cos, sin, slots] =
            [&tensors.table, &tensors.cos, &tensors.sin, &tensors.slots].map(Input::data);
        let (tokens, sequences) = (number(tensors.tokens)?, number(tensors.sequences)?);
        let (heads, width) = (number(self.heads)?, number(tensors.width)?);
        let positions = number(tensors.positions)?;

        let keeping = Shape {
            blocks: [
                number((tensors.tokens * self.heads).div_ceil(KEEPING))?,
                1,
                1,
            ],
            threads: (KEEPING * WARP) as u32,
            shared: 0,
        };
        let mut arguments = arguments![
            qkv,
            keys,
            values,
            key_scales,
            value_scales,
            cumulative,
            past,
            cos,
            sin,
            slots,
            tokens,
            sequences,
            heads,
            positions
        ];
        // SAFETY: these are the parameters of `cache_keys_values` in paged_attention8.cu; the tensors
        // have the sizes that it counts with, lengths ascend to the number of tokens and slots are the
        // cache's by the host's word, the runtime aligns tensors to 256 bytes, and it keeps all until the
        // stream is done with them.
        unsafe { self.keep.launch(keeping, on, &mut arguments) }.map_err(fault)?;

        let few = tensors.tokens <= tensors.sequences;
        let (kernel, queries) = if few {
            (&self.few, FEW)
        } else {
            (&self.many, MANY)
        };
        let blocks = tensors.tokens / queries + tensors.sequences;
        if blocks > ALONG {
            return Err(fault(format!(
                "a step of {} tokens is too large: set deepseek.step_tokens lower",
                tensors.tokens
            )));
        }
        let warps = if few {
            warps(tensors.sequences * self.heads)
        } else {
            4
        };
        let attending = Shape {
            blocks: [heads, number(blocks)?, 1],
            threads: (warps * WARP) as u32,
            shared: number(shared(warps, queries, self.dim))?,
        };
        let mut arguments = arguments![
            qkv,
            keys,
            values,
            key_scales,
            value_scales,
            cumulative,
            past,
            table,
            cos,
            sin,
            out,
            sequences,
            heads,
            width,
            positions
        ];
        // SAFETY: these are the parameters of `attend_few` and `attend_many` in paged_attention8.cu; the
        // tensors have the sizes that they count with, the table's blocks are the cache's by the host's
        // word, and the runtime keeps all until the stream is done with them.
        unsafe { kernel.launch(attending, on, &mut arguments) }.map_err(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernels lay it out, within their own bounds of threads, and within what a block may have:
    /// 99 KiB on Ada and on Ampere's smaller cards, of which they take 5 KiB otherwise.
    #[test]
    fn blocks_are_those_that_the_kernels_allow() {
        assert_eq!(shared(4, MANY, 128), 4 * 16 * (128 + 2) * 4);
        for blocks in [1, 132, 133, 264, 265, 528, 529, 1056, 1057, 100_000] {
            let warps = warps(blocks);
            assert!(warps * WARP <= 512, "{blocks}");
            assert!(blocks * warps <= 132 * 16 || blocks > 1056, "{blocks}");
            assert!(shared(warps, FEW, 128) <= 94 << 10, "{blocks}");
        }
    }
}
