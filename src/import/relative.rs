//! Attention over a square of tokens, with decomposed relative positions (MViTv2, as SAM has it).
//!
//! The score of a query at (y, x) for a key at (v, u) is `q.k / sqrt(dim) + q.R[y - v] + q.C[x - u]`
//! with learned vectors R by rows and C by columns. As a bias that is a number for each pair: 16
//! million of each head for a view of 1024. Here the products `q.R[y - v]` for all v, and
//! `q.C[x - u]` for all u, become extra columns of the query, and the key gets columns that are
//! zero but at its own v and u. One product then gives the same scores, and the CPU's kernel that never
//! holds all scores (flash attention) can be used. On CUDA the operator `RelativeAttention` is told of
//! R and C instead.

use super::error::ImportError;
use super::graph::{DType, Graph, Value};
use super::nodes::Size;
use super::plan::{Part, Plan};

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
fn attention(g: &mut Graph, heads: Heads, [q, k, v]: [Value; 3]) -> Value {
    g.contrib("MultiHeadAttention", &[q, k, v])
        .int("num_heads", heads.count)
        .float("scale", heads.scale())
        .one()
}

/// Queries, keys and values that one linear layer made.
///
/// Only the queries get their bias. What the keys' adds to a score is the same for every key, and a
/// softmax does not see it. The values' comes out of attention as it went in, for shares sum to 1: what
/// is made of the result lacks it ([`Stream::add_linear`](super::stream::Stream::add_linear)).
pub struct Packed {
    /// `[batch, tokens, 3 * width]`, without biases.
    qkv: Value,
    /// The queries' bias, `[width]` in 32 bits.
    bias: Value,
    /// The values' bias, `[width]` in 32 bits, that the result lacks.
    pub lacks: Value,
}

impl Packed {
    /// Of `x`, `[batch, tokens, width]`, by the linear layer `name`.
    pub fn new(
        g: &mut Graph,
        plan: &mut Plan,
        x: Value,
        name: &str,
        width: u64,
    ) -> Result<Self, ImportError> {
        let qkv = g.product(plan, x, name, &[3 * width, width])?;
        let mut bias = |nth: u64| {
            let rows = nth * width..(nth + 1) * width;
            let part = Part::rows(format!("{name}.bias"), &[3 * width], rows);
            let stored = plan.stacked(&format!("{name}.bias"), vec![part], &[width])?;
            Ok::<_, ImportError>(g.weight_as(&stored, DType::F32))
        };
        Ok(Self {
            qkv,
            bias: bias(0)?,
            lacks: bias(2)?,
        })
    }

    /// Taken apart, for the CPU's operators: `[batch, tokens, width]` each, the queries with their bias.
    fn apart(&self, g: &mut Graph) -> [Value; 3] {
        let parts = g.node("Split", &[self.qkv]).int("axis", 2);
        let [q, k, v] = parts.int("num_outputs", 3).outputs();
        [g.add(q, self.bias), k, v]
    }

    /// All tokens attend to one another: `[batch, tokens, width]`.
    pub fn attention(&self, g: &mut Graph, heads: Heads) -> Value {
        if g.on_cuda() {
            let node = g.own("Attention", &[self.qkv, self.bias]);
            return node.int("heads", heads.count).int("dim", heads.dim).one();
        }
        let parts = self.apart(g);
        attention(g, heads, parts)
    }

    /// Tokens of a square do, with the relative positions of `square`; on the CPU.
    pub fn in_square(&self, g: &mut Graph, square: &Square, rows: Value, columns: Value) -> Value {
        let parts = self.apart(g);
        square.attention(g, parts, rows, columns)
    }

    /// The tokens of a view do, within windows of `side` tokens to a side (0: over all of it), with the
    /// relative vectors of the `nth` table of `tables`, `[.., 2 * side - 1, dim]`; on CUDA.
    pub fn in_view(
        &self,
        g: &mut Graph,
        heads: Heads,
        side: i64,
        tables: [(Value, i64); 2],
    ) -> Value {
        let [(rows, row_table), (columns, column_table)] = tables;
        g.own("RelativeAttention", &[self.qkv, self.bias, rows, columns])
            .int("heads", heads.count)
            .int("dim", heads.dim)
            .int("side", side)
            .int("row_table", row_table)
            .int("column_table", column_table)
            .one()
    }
}

/// Tokens that attend to one another: a square, read row by row.
pub struct Square {
    heads: Heads,
    /// `[side, side]`: which relative vector is between a query and a place along an axis.
    distances: Value,
    /// `[batch, side * side, heads, 2 * side]`: at which places the key stands, not 0 there.
    keys: Value,
    /// Shapes: `[batch, side, side * heads, dim]`, `[batch, side, side, heads * dim]`,
    /// `[side, batch, side, heads * side]` and `[batch, side * side, heads, side]`.
    by_row: Value,
    by_place: Value,
    by_column: Value,
    by_head: Value,
}

impl Square {
    /// A square of `side` tokens to a side, of which there are `batch`.
    pub fn new(g: &mut Graph, heads: Heads, batch: Value, side: Size) -> Self {
        let place = g.range(side);
        let query = g.reshape(place, &[-1, 1]);

        let largest = g.plus(side, -1);
        let largest = g.size(largest);
        let distance = g.node("Sub", &[query, place]).one();
        let distances = g.add(distance, largest);

        // The kernel multiplies these columns by the scale too; the mark undoes it.
        let (mark, none) = (g.scalar(heads.scale().recip()), g.scalar(0.0));
        let here = g.node("Equal", &[query, place]).one();
        let marks = g.node("Where", &[here, mark, none]).one();
        let shape = g.sizes(&[side, Size::Is(1), side]);
        let rows = g.reshape_to(marks, shape);
        let shape = g.sizes(&[side, side, side]);
        let rows = g.expand(rows, shape);
        let columns = g.expand(marks, shape);
        let keys = g.concat(&[rows, columns], 2);
        let both = g.times(side, 2);
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

        let (same, rest) = (Size::Is(0), Size::Is(-1));
        let all_heads = g.times(side, heads.count);
        Self {
            heads,
            distances,
            keys,
            by_row: g.sizes(&[same, side, rest, Size::Is(heads.dim)]),
            by_place: g.sizes(&[same, side, side, Size::Is(heads.width())]),
            by_column: g.sizes(&[same, rest, side, all_heads]),
            by_head: g.sizes(&[same, rest, Size::Is(heads.count), side]),
        }
    }

    /// The relative vector between each query and place, out of a table of `2 * side - 1` vectors:
    /// `[.., table, dim]`, with the table at `axis`, to `[.., side, dim, side]`.
    pub fn vectors(&self, g: &mut Graph, table: Value, axis: i64) -> Value {
        let vectors = g.gather(table, self.distances, axis);
        let mut order: Vec<i64> = (0..=axis).collect();
        order.extend([axis + 2, axis + 1]);
        g.transpose(vectors, &order)
    }

    /// Attention with the relative `rows` and `columns` (each `[side, dim, side]`);
    /// query, key, value and the result are `[batch, side * side, heads * dim]`.
    fn attention(
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
        attention(g, self.heads, [q, k, v])
    }
}
