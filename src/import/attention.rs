//! Attention over the paged cache in ONNX's standard operators: the CPU's `PagedAttention`, which
//! ONNX Runtime lacks. Same inputs, same function; positions and masks are made once a step
//! ([`Places`]) and serve every layer.
//!
//! All new tokens meet all blocks that are in use, and a mask leaves each token its own sequence's
//! earlier ones: simple and exact, memory T times the tokens in use. Rows behind the last sequence
//! are padding; their outputs mean nothing.

use super::config::Language;
use super::decoder::{BLOCK, Inputs};
use super::graph::{DType, Graph, Value};
use super::nodes::Size;

/// Added to a score that must not count; finite, so that a row of them alone gives no NaN.
const HIDDEN: f32 = -1e30;

/// Where tokens stand. T new tokens, V blocks in use, S = V * [`BLOCK`] places in them.
pub(super) struct Places {
    /// Position of each new token in its sequence, `i64 [T, 1]`.
    positions: Value,
    /// The rows whose key and value are kept, `i64 [W]`, and where, `i64 [W, 2]`: block and offset.
    kept: Value,
    slots: Value,
    /// Blocks of the cache in use, `i32 [V]`.
    used: Value,
    /// 0 where the token may look, else [`HIDDEN`]: `[T, S]`.
    mask: Value,
}

impl Places {
    pub fn build(g: &mut Graph, inputs: &Inputs, max_positions: u64) -> Self {
        let [cumulative, past, slots] =
            [inputs.cumulative, inputs.past, inputs.slots].map(|v| g.cast(v, DType::I64));
        let starts = g.slice(cumulative, 0, 0, -1);
        let ends = g.slice(cumulative, 0, 1, i64::MAX);
        let (sequence, position) = g.within("tokens", |g| {
            tokens(g, inputs, starts, ends, past, max_positions)
        });
        let (kept, slots) = g.within("slots", |g| kept_slots(g, slots));
        let (used, owner, key_position) = g.within("blocks", |g| {
            let new = g.node("Sub", &[ends, starts]).one();
            let total = g.add(past, new);
            blocks(g, inputs, total)
        });
        let own = g.node("Equal", &[owner, sequence]).one();
        let earlier = g.node("LessOrEqual", &[key_position, position]).one();
        let seen = g.node("And", &[own, earlier]).one();
        let (shown, hidden) = (g.scalar(0.0), g.scalar(HIDDEN));
        let mask = g.node("Where", &[seen, shown, hidden]).one();
        Self {
            positions: position,
            kept,
            slots,
            used,
            mask,
        }
    }

    /// Attends with packed queries, keys and values, `[T, 3 * hidden]`: the result, `[T, hidden]`,
    /// and the caches with the new keys and values in.
    pub fn attend(
        &self,
        g: &mut Graph,
        model: &Language,
        qkv: Value,
        [key_cache, value_cache]: [Value; 2],
        [cos, sin]: [Value; 2],
    ) -> (Value, Value, Value) {
        let heads = [-1, model.heads as i64, model.head_dim as i64];
        let [query, key, value] = g
            .node("Split", &[qkv])
            .int("axis", 1)
            .int("num_outputs", 3)
            .outputs();
        let [query, key] = [query, key].map(|x| {
            // Each token as a sequence of its own: [T, 1, hidden].
            let x = g.unsqueeze(x, 1);
            g.contrib("RotaryEmbedding", &[x, self.positions, cos, sin])
                .one()
        });
        let [query, key, value] = [query, key, value].map(|x| g.reshape(x, &heads));
        // No node stands between a cache's input and its output but this: bound to one buffer,
        // the rest of it is not copied.
        let [key_cache, value_cache] = [(key_cache, key), (value_cache, value)].map(|(to, x)| {
            let x = g.gather(x, self.kept, 0);
            g.node("ScatterND", &[to, self.slots, x]).one()
        });
        let [keys, values] = [key_cache, value_cache].map(|cache| {
            let blocks = g.gather(cache, self.used, 0);
            g.reshape(blocks, &heads)
        });

        let root = g.scalar(1.0 / (model.head_dim as f32).sqrt());
        let query = g.mul(query, root);
        let query = g.transpose(query, &[1, 0, 2]);
        let keys = g.transpose(keys, &[1, 2, 0]);
        let values = g.transpose(values, &[1, 0, 2]);
        let scores = g.matmul(query, keys);
        let scores = g.add(scores, self.mask);
        let shares = g.node("Softmax", &[scores]).int("axis", -1).one();
        let x = g.matmul(shares, values);
        let x = g.transpose(x, &[1, 0, 2]);
        let x = g.reshape(x, &[-1, model.hidden as i64]);
        (x, key_cache, value_cache)
    }
}

/// Sequence and position of each new token, `i64 [T, 1]` each; the sequences begin at `starts` and
/// end before `ends` among the tokens, and have `past` tokens in the cache, `i64 [B]`.
fn tokens(
    g: &mut Graph,
    inputs: &Inputs,
    starts: Value,
    ends: Value,
    past: Value,
    max_positions: u64,
) -> (Value, Value) {
    let one = g.ints(&[1]);
    let count = Size::Of(g.dimension(inputs.ids, 0));
    let row = g.range(count);
    let row = g.unsqueeze(row, 1);
    // As many sequences end at or before a token's row as stand before its own.
    let before = g.node("LessOrEqual", &[ends, row]).one();
    let before = g.cast(before, DType::I64);
    let sequence = g.node("ReduceSum", &[before, one]).one();
    // Padding is behind the last one; its positions only have to exist.
    let sequences = g.dimension(past, 0);
    let last = g.node("Sub", &[sequences, one]).one();
    let known = g.node("Min", &[sequence, last]).one();
    let [past, start] = [past, starts].map(|v| g.gather(v, known, 0));
    let offset = g.node("Sub", &[row, start]).one();
    let position = g.add(past, offset);
    let most = g.int(max_positions as i64 - 1);
    let position = g.node("Min", &[position, most]).one();
    (sequence, position)
}

/// The rows whose slot is not -1, `i64 [W]`, and their slots as block and offset, `i64 [W, 2]`.
fn kept_slots(g: &mut Graph, slots: Value) -> (Value, Value) {
    let (zero, size) = (g.int(0), g.int(BLOCK as i64));
    let keep = g.node("GreaterOrEqual", &[slots, zero]).one();
    let kept = g.node("NonZero", &[keep]).one();
    let kept = g.reshape(kept, &[-1]);
    let slot = g.gather(slots, kept, 0);
    let slot = g.unsqueeze(slot, 1);
    let block = g.node("Div", &[slot, size]).one();
    let offset = g.node("Mod", &[slot, size]).one();
    (kept, g.concat(&[block, offset], 1))
}

/// The blocks in use, `i32 [V]`: those that begin before their sequence's `total` tokens end; and
/// of each place in them the sequence and the position, `i64 [1, S]` each.
fn blocks(g: &mut Graph, inputs: &Inputs, total: Value) -> (Value, Value, Value) {
    let size = g.int(BLOCK as i64);
    let columns = Size::Of(g.dimension(inputs.blocks, 1));
    let columns = g.range(columns);
    let begins = g.mul(columns, size);
    let total = g.unsqueeze(total, 1);
    let in_use = g.node("Less", &[begins, total]).one();
    // Row and column of each in the table.
    let at = g.node("NonZero", &[in_use]).one();
    let pairs = g.transpose(at, &[1, 0]);
    let used = g.node("GatherND", &[inputs.blocks, pairs]).one();

    let mut of_places = |row: i64, scale: i64, within: &[i64]| {
        let value = g.slice(at, 0, row, row + 1);
        let value = g.transpose(value, &[1, 0]);
        let (scale, within) = (g.int(scale), g.ints(within));
        let value = g.mul(value, scale);
        let value = g.add(value, within);
        g.reshape(value, &[1, -1])
    };
    let sequence = of_places(0, 1, &[0; BLOCK as usize]);
    let position = of_places(1, BLOCK as i64, &Vec::from_iter(0..BLOCK as i64));
    (used, sequence, position)
}
