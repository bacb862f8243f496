//! Attention over a square of tokens, with decomposed relative positions (MViTv2, as SAM has it).
//!
//! The score of a query at (y, x) for a key at (v, u) is `q.k / sqrt(dim) + q.R[y - v] + q.C[x - u]`
//! with learned vectors R by rows and C by columns. As a bias that is a number for each pair: 16
//! million of each head for a view of 1024. Here the products `q.R[y - v]` for all v, and
//! `q.C[x - u]` for all u, become extra columns of the query, and the key gets columns that are
//! zero but at its own v and u. One product then gives the same scores, and the kernels that never
//! hold all scores (flash attention, on CUDA and on the CPU) can be used.

use super::error::ImportError;
use super::graph::{DType, Graph, Value};
use super::nodes::Size;
use super::plan::{Part, Plan};

/// Multiple of the head's width for which ONNX Runtime's flash attention on CUDA has kernels
/// (`flash::is_supported` in its `flash_api.h`).
const FLASH_WIDTH: i64 = 8;

#[derive(Clone, Copy, Debug)]
pub struct Heads {
    pub count: i64,
    /// Elements of each head's query.
    pub dim: i64,
}

impl Heads {
    fn width(self) -> i64 {
        self.count * self.dim
    }

    /// Factor of the product of query and key.
    fn scale(self) -> f32 {
        (self.dim as f32).sqrt().recip()
    }
}

/// `softmax(q k^T * scale) v` for each head; all `[batch, tokens, heads * width]`.
pub fn attention(g: &mut Graph, heads: Heads, [q, k, v]: [Value; 3]) -> Value {
    g.contrib("MultiHeadAttention", &[q, k, v])
        .int("num_heads", heads.count)
        .float("scale", heads.scale())
        .one()
}

/// Query, key and value of `x` by the linear layer `name`, which makes all three: `[batch, tokens,
/// width]` as `x` is. By three products, for taking one apart costs as much as adding its bias.
///
/// Only the query has its bias. What the key's adds to a score is the same for every key, and a
/// softmax does not see it. The value's comes out of attention as it went in, for shares sum to 1:
/// what is made of the result lacks it ([`Stream::add_linear`](super::stream::Stream::add_linear)).
/// It is the other value that this returns, `[width]` in 32 bits.
pub fn query_key_value(
    g: &mut Graph,
    plan: &mut Plan,
    x: Value,
    name: &str,
    width: u64,
) -> Result<([Value; 3], Value), ImportError> {
    let rows = [0, 1, 2].map(|i| i * width..(i + 1) * width);
    let mut products = [x; 3];
    for (product, rows) in products.iter_mut().zip(&rows) {
        let shape = [3 * width, width];
        let weight = Part::rows(format!("{name}.weight"), &shape, rows.clone());
        let weight = plan.beside(&format!("{name}.transposed"), vec![weight])?;
        let weight = g.weight(&weight);
        *product = g.matmul(x, weight);
    }
    let mut bias = |rows: &std::ops::Range<u64>| {
        let bias = Part::rows(format!("{name}.bias"), &[3 * width], rows.clone());
        plan.stacked(&format!("{name}.bias"), vec![bias], &[width])
    };
    let (of_query, of_value) = (bias(&rows[0])?, bias(&rows[2])?);
    let [query, key, value] = products;
    let of_query = g.weight(&of_query);
    let query = g.add(query, of_query);
    Ok(([query, key, value], g.weight_as(&of_value, DType::F32)))
}

/// For which kernel heads are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// The CPU's: values may be narrower than queries and keys.
    Cpu,
    /// Flash attention on CUDA: queries, keys and values alike, a multiple of 8 wide.
    Flash,
}

impl Kernel {
    /// Columns to add to each axis of a square of `side` tokens. They meet zeros in every key.
    fn padding(self, dim: i64, side: Size) -> i64 {
        // A side that is not known yet is a multiple of 4, so that its two axes need none.
        let side = side.known().unwrap_or(0);
        let fits = |p: &i64| (dim + 2 * (side + p)) % FLASH_WIDTH == 0;
        match self {
            Self::Cpu => 0,
            // An odd width never fits: ONNX Runtime then takes a slower kernel.
            Self::Flash => (0..FLASH_WIDTH).find(fits).unwrap_or(0),
        }
    }
}

/// Tokens that attend to one another: a square, read row by row.
pub struct Square {
    heads: Heads,
    /// `[side, places]`: which relative vector is between a query and a place along an axis.
    /// Places are the axis's tokens, and padding.
    distances: Value,
    /// `[batch, side * side, heads, 2 * places]`: at which places the key stands, not 0 there.
    keys: Value,
    /// As many zeros, if values are as wide as keys.
    zeros: Option<Value>,
    /// Shapes: `[batch, side, side * heads, dim]`, `[batch, side, side, heads * dim]`,
    /// `[side, batch, side, heads * places]` and `[batch, side * side, heads, places]`.
    by_row: Value,
    by_place: Value,
    by_column: Value,
    by_head: Value,
}

impl Square {
    /// A square of `side` tokens to a side (a multiple of 4 if it is not known yet), of which there
    /// are `batch`.
    pub fn new(g: &mut Graph, kernel: Kernel, heads: Heads, batch: Value, side: Size) -> Self {
        let padding = kernel.padding(heads.dim, side);
        let places = g.plus(side, padding);
        let place = g.range(places);
        let query = g.range(side);
        let query = g.reshape(query, &[-1, 1]);

        let largest = g.plus(side, -1);
        let largest = g.size(largest);
        let distance = g.node("Sub", &[query, place]).one();
        let mut distances = g.add(distance, largest);
        if padding > 0 {
            // Any vector will do for padding, but it must be one.
            let zero = g.int(0);
            distances = g.node("Max", &[distances, zero]).one();
        }

        // The kernel multiplies these columns by the scale too; the mark undoes it.
        let (mark, none) = (g.scalar(heads.scale().recip()), g.scalar(0.0));
        let here = g.node("Equal", &[query, place]).one();
        let marks = g.node("Where", &[here, mark, none]).one();
        let shape = g.sizes(&[side, Size::Is(1), places]);
        let rows = g.reshape_to(marks, shape);
        let shape = g.sizes(&[side, side, places]);
        let rows = g.expand(rows, shape);
        let columns = g.expand(marks, shape);
        let keys = g.concat(&[rows, columns], 2);
        let both = g.times(places, 2);
        let shape = g.sizes(&[Size::Is(1), Size::Is(-1), Size::Is(1), both]);
        let keys = g.reshape_to(keys, shape);
        let shape = [
            Size::Of(batch),
            Size::Is(1),
            Size::Is(heads.count),
            Size::Is(1),
        ];
        let shape = g.sizes(&shape);
        let keys = g.expand(keys, shape);
        let zeros = (kernel == Kernel::Flash).then(|| {
            let shape = g.node("Shape", &[keys]).one();
            g.expand(none, shape)
        });

        let (same, rest) = (Size::Is(0), Size::Is(-1));
        let all_heads = g.times(places, heads.count);
        Self {
            heads,
            distances,
            keys,
            zeros,
            by_row: g.sizes(&[same, side, rest, Size::Is(heads.dim)]),
            by_place: g.sizes(&[same, side, side, Size::Is(heads.width())]),
            by_column: g.sizes(&[same, rest, side, all_heads]),
            by_head: g.sizes(&[same, rest, Size::Is(heads.count), places]),
        }
    }

    /// The relative vector between each query and place, out of a table of `2 * side - 1` vectors:
    /// `[.., table, dim]`, with the table at `axis`, to `[.., side, dim, places]`.
    pub fn vectors(&self, g: &mut Graph, table: Value, axis: i64) -> Value {
        let vectors = g.gather(table, self.distances, axis);
        let mut order: Vec<i64> = (0..=axis).collect();
        order.extend([axis + 2, axis + 1]);
        g.transpose(vectors, &order)
    }

    /// Attention with the relative `rows` and `columns` (each `[side, dim, places]`);
    /// query, key, value and the result are `[batch, side * side, heads * dim]`.
    pub fn attention(
        &self,
        g: &mut Graph,
        [q, k, v]: [Value; 3],
        rows: Value,
        columns: Value,
    ) -> Value {
        let heads = [0, 0, self.heads.count, self.heads.dim];
        let by_row = g.reshape_to(q, self.by_row);
        let rows = g.matmul(by_row, rows);
        let rows = g.reshape_to(rows, self.by_head);

        let by_place = g.reshape_to(q, self.by_place);
        let by_column = g.transpose(by_place, &[2, 0, 1, 3]);
        let by_column = g.reshape(by_column, &[0, -1, self.heads.dim]);
        let columns = g.matmul(by_column, columns);
        let columns = g.reshape_to(columns, self.by_column);
        let columns = g.transpose(columns, &[1, 2, 0, 3]);
        let columns = g.reshape_to(columns, self.by_head);

        let q = g.reshape(q, &heads);
        let q = g.concat(&[q, rows, columns], 3);
        let q = g.reshape(q, &[0, 0, -1]);
        let k = g.reshape(k, &heads);
        let k = g.concat(&[k, self.keys], 3);
        let k = g.reshape(k, &[0, 0, -1]);
        let Some(zeros) = self.zeros else {
            return attention(g, self.heads, [q, k, v]);
        };
        let v = g.reshape(v, &heads);
        let v = g.concat(&[v, zeros], 3);
        let v = g.reshape(v, &[0, 0, -1]);
        let out = attention(g, self.heads, [q, k, v]);
        let out = g.reshape(out, &[0, 0, self.heads.count, -1]);
        let out = g.slice(out, 3, 0, self.heads.dim);
        g.reshape(out, &[0, 0, self.heads.width()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_for_flash_attention_are_a_multiple_of_8_wide() {
        let width = |dim: i64, side: i64| {
            let padding = Kernel::Flash.padding(dim, Size::Is(side));
            assert_eq!(Kernel::Cpu.padding(dim, Size::Is(side)), 0);
            dim + 2 * (side + padding)
        };
        // The published model's windows: the width measured as the fastest.
        assert_eq!(width(64, 14), 96);
        // Views of 1024 and 640 pixels.
        assert_eq!(width(64, 64), 192);
        assert_eq!(width(64, 40), 144);
        for dim in [10, 12, 16, 18, 80] {
            for side in [5, 7, 14, 32] {
                assert_eq!(width(dim, side) % 8, 0, "{dim} {side}");
            }
        }
        // A side that is not known is taken for a multiple of 4.
        let graph = &mut Graph::new("g", super::super::graph::DType::F32, "w");
        let side = Size::Of(graph.input("side", super::super::graph::DType::I64, &[]));
        for dim in [10, 12, 14, 16] {
            let padding = Kernel::Flash.padding(dim, side);
            for known in [4, 8, 36, 64] {
                assert_eq!((dim + 2 * (known + padding)) % 8, 0, "{dim} {known}");
            }
        }
        assert_eq!(width(15, 14), 15 + 28);
    }
}
