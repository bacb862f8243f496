//! Attention of the vision towers, from packed products to packed results.
//!
//! qkv is `[views, tokens, 3 * heads * dim]`: of each token queries, keys and values, of each head by
//! head; bias `[heads * dim]` is the queries'. The result is `[views, tokens, heads * dim]`.
//! Attributes of both operators: `heads` and `dim` (16 or 64, elements of a head).
//!
//! `RelativeAttention`: tokens are squares, row by row, and attend to one another within windows of
//! `side` tokens to a side (even), or, where it is 0, over the whole view (of an even side). Rows and
//! columns are tables of relative vectors, `[.., 2 * side - 1, dim]`, of which the attributes
//! `row_table` and `column_table` say which.

use std::ffi::CStr;
use std::sync::Arc;

use ort::operator::{
    ComputeContext, Kernel as Compute, KernelContext, Operator, OperatorInput, OperatorOutput,
};
use ort::value::TensorElementType::{Bfloat16, Float32};

use super::driver::{Kernel, Shape};
use super::kernels;
use super::tensors::{Input, PROVIDER, arguments, attribute, fault, number, output, stream};

// Of attention.cu.
/// Queries of a block.
const QUERIES: usize = 128;
const THREADS: u32 = 128;
/// Keys of a tile, where no kernel says otherwise.
const KEYS: usize = 64;

/// Elements from a query's relative positions to the next.
fn places(side: usize) -> usize {
    (side + 7) / 16 * 16 + 8
}

/// Bytes of shared memory of a block: two tiles of keys and of values, and relative positions.
fn shared(dim: usize, keys: usize, side: Option<usize>) -> usize {
    let tiles = 4 * keys * (dim + 8);
    let relative = side.map_or(0, |side| 2 * QUERIES * places(side));
    (tiles + relative) * size_of::<u16>()
}

/// The packed products: their sizes, checked against the heads'.
struct Packed<'c> {
    qkv: Input<'c>,
    bias: Input<'c>,
    views: usize,
    tokens: usize,
}

impl<'c> Packed<'c> {
    fn of(context: &'c ComputeContext, heads: usize, dim: usize) -> ort::Result<Self> {
        let (qkv, bias) = (Input::of(context, 0)?, Input::of(context, 1)?);
        let &[views, tokens, packed] = qkv.shape() else {
            return Err(fault("qkv has not three dimensions"));
        };
        if packed as usize != 3 * heads * dim {
            return Err(fault(format!(
                "{packed} elements a token are not those of {heads} heads of {dim}"
            )));
        }
        bias.expect("the bias", heads * dim)?;
        Ok(Self {
            views: views as usize,
            tokens: tokens as usize,
            qkv,
            bias,
        })
    }

    fn output(&self, context: &ComputeContext, width: usize) -> ort::Result<*mut std::ffi::c_void> {
        output(
            context,
            0,
            &[self.views as i64, self.tokens as i64, width as i64],
        )
    }
}

pub struct Attention;

pub struct OfViews {
    kernel: Arc<Kernel>,
    heads: usize,
    dim: usize,
}

impl Operator for Attention {
    type Kernel<'a> = OfViews;

    fn name(&self) -> &str {
        "Attention"
    }

    fn execution_provider_type(&self) -> Option<&str> {
        Some(PROVIDER)
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [Bfloat16, Float32].map(OperatorInput::required)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Bfloat16)]
    }

    fn create_kernel<'a>(&self, context: &KernelContext<'a>) -> ort::Result<OfViews> {
        let dim = attribute(context, "dim")?;
        Ok(OfViews {
            kernel: kernels::attention(dim, c"attention").map_err(fault)?,
            heads: attribute(context, "heads")?,
            dim,
        })
    }
}

impl Compute for OfViews {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let packed = Packed::of(context, self.heads, self.dim)?;
        let out = packed.output(context, self.heads * self.dim)?;
        let (tokens, heads) = (number(packed.tokens)?, number(self.heads)?);
        let shape = Shape {
            blocks: [
                tokens.div_ceil(QUERIES as u32),
                heads,
                number(packed.views)?,
            ],
            threads: THREADS,
            shared: number(shared(self.dim, KEYS, None))?,
        };
        let (qkv, bias) = (packed.qkv.data(), packed.bias.data());
        let mut arguments = arguments![qkv, bias, out, tokens, heads];
        // SAFETY: these are the parameters of `attention` in attention.cu; the tensors have the sizes
        // that it counts with, and the runtime keeps them until the stream is done with them.
        unsafe { self.kernel.launch(shape, stream(context)?, &mut arguments) }.map_err(fault)
    }
}

pub struct RelativeAttention;

pub struct OfSquares {
    any: Arc<Kernel>,
    /// Kernels for squares of one size.
    special: Vec<Special>,
    heads: usize,
    dim: usize,
    /// 0 over the whole view.
    side: usize,
    row_table: usize,
    column_table: usize,
}

struct Special {
    side: usize,
    /// Of whole views, else of windows.
    views: bool,
    keys: usize,
    kernel: Arc<Kernel>,
}

/// Sides, whether they are of whole views, keys of a tile and names of the special kernels, all for
/// heads of 64.
const SPECIAL: [(usize, bool, usize, &CStr); 3] = [
    (14, false, 80, c"relative_attention_14"),
    (40, true, 80, c"relative_attention_40"),
    (64, true, 64, c"relative_attention_64"),
];

impl Operator for RelativeAttention {
    type Kernel<'a> = OfSquares;

    fn name(&self) -> &str {
        "RelativeAttention"
    }

    fn execution_provider_type(&self) -> Option<&str> {
        Some(PROVIDER)
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [Bfloat16, Float32, Bfloat16, Bfloat16].map(OperatorInput::required)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Bfloat16)]
    }

    fn create_kernel<'a>(&self, context: &KernelContext<'a>) -> ort::Result<OfSquares> {
        let (dim, side) = (attribute(context, "dim")?, attribute(context, "side")?);
        let mut special = Vec::new();
        for (own, views, keys, name) in SPECIAL {
            if dim == 64 && views == (side == 0) && (views || own == side) {
                special.push(Special {
                    side: own,
                    views,
                    keys,
                    kernel: kernels::attention(dim, name).map_err(fault)?,
                });
            }
        }
        Ok(OfSquares {
            any: kernels::attention(dim, c"relative_attention").map_err(fault)?,
            special,
            heads: attribute(context, "heads")?,
            dim,
            side,
            row_table: attribute(context, "row_table")?,
            column_table: attribute(context, "column_table")?,
        })
    }
}

impl Compute for OfSquares {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let packed = Packed::of(context, self.heads, self.dim)?;
        let grid = packed.tokens.isqrt();
        let side = if self.side == 0 { grid } else { self.side };
        if grid * grid != packed.tokens || side < 2 || !side.is_multiple_of(2) {
            return Err(fault(format!(
                "{} tokens, squares of {side} to a side: there is no kernel",
                packed.tokens
            )));
        }
        let along = grid.div_ceil(side);
        let whole = along == 1 && side == grid;
        let special = self
            .special
            .iter()
            .find(|s| s.side == side && s.views == whole);
        let (kernel, keys) = special.map_or((&self.any, KEYS), |s| (&s.kernel, s.keys));

        let table = |place: usize, nth: usize| -> ort::Result<*const u16> {
            let tables = Input::of(context, place)?;
            let elements = (2 * side - 1) * self.dim;
            if tables.elements() < (nth + 1) * elements {
                return Err(fault(format!(
                    "table {nth} of {elements} elements is not among {}",
                    tables.elements()
                )));
            }
            Ok(tables.data().cast::<u16>().wrapping_add(nth * elements))
        };
        let (rows, columns) = (table(2, self.row_table)?, table(3, self.column_table)?);
        let out = packed.output(context, self.heads * self.dim)?;
        let shape = Shape {
            blocks: [
                number((side * side).div_ceil(QUERIES))?,
                number(self.heads)?,
                number(packed.views * along * along)?,
            ],
            threads: THREADS,
            shared: number(shared(self.dim, keys, Some(side)))?,
        };
        let (qkv, bias) = (packed.qkv.data(), packed.bias.data());
        let (heads, grid, side) = (number(self.heads)?, number(grid)?, number(side)?);
        // 2^32 / side, rounded up.
        let inverse = u32::MAX / side + 1;
        let mut arguments = arguments![qkv, bias, rows, columns, out, heads, grid, side, inverse];
        // SAFETY: these are the parameters of the relative kernels in attention.cu; the tensors have
        // the sizes that it counts with, and the runtime keeps them until the stream is done.
        unsafe { kernel.launch(shape, stream(context)?, &mut arguments) }.map_err(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As attention.cu lays it out, and within what a block may have: 99 KiB on Ada and on Ampere's
    /// smaller cards.
    #[test]
    fn shared_memory_is_what_the_kernel_lays_out_and_fits_small_cards() {
        assert_eq!(shared(64, KEYS, None), 36_864);
        assert_eq!(shared(64, 64, Some(64)), 36_864 + 2 * 128 * 72 * 2);
        for side in [14, 32, 40, 64, 80] {
            assert!(places(side) >= side && places(side) % 16 == 8, "{side}");
            assert!(shared(64, 80, Some(side)) <= 99 << 10, "{side}");
        }
    }
}
