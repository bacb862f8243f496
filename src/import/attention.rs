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
        let (zero, one) = (g.int(0), g.int(1));
        let [first, last, end] = [[0], [-1], [i64::MAX]].map(|i| g.ints(&i));
        let second = g.ints(&[1]);
        let starts = g.node("Slice", &[cumulative, first, last]).one();
        let ends = g.node("Slice", &[cumulative, second, end]).one();

        // A token's sequence: the number of sequences that end at or before it.
        let size = |g: &mut Graph, of: Value, axis: i64| {
            let shape = g.node("Shape", &[of]).one();
            let axis = g.int(axis);
            g.node("Gather", &[shape, axis]).one()
        };
        let count = size(g, inputs.ids, 0);
        let rows = g.node("Range", &[zero, count, one]).one();
        let rows_down = g.node("Unsqueeze", &[rows, second]).one();
        let before = g.node("LessOrEqual", &[ends, rows_down]).one();
        let before = g.cast(before, DType::I64);
        let sequence = g
            .node("ReduceSum", &[before, second])
            .int("keepdims", 0)
            .one();

        let sequences = size(g, inputs.past, 0);
        let last_sequence = g.node("Sub", &[sequences, one]).one();
        let known = g.node("Min", &[sequence, last_sequence]).one();
        let [past_of, start_of] = [past, starts].map(|v| g.node("Gather", &[v, known]).one());
        let offset = g.node("Sub", &[rows, start_of]).one();
        let position = g.node("Add", &[past_of, offset]).one();
        let most = g.int(max_positions as i64 - 1);
        let position = g.node("Min", &[position, most]).one();
        let positions = g.node("Unsqueeze", &[position, second]).one();

        // Slots of the rows that are kept, as block and offset.
        let keep = g.node("GreaterOrEqual", &[slots, zero]).one();
        let kept = g.node("NonZero", &[keep]).one();
        let kept = g.node("Squeeze", &[kept, first]).one();
        let slot = g.node("Gather", &[slots, kept]).one();
        let slot = g.node("Unsqueeze", &[slot, second]).one();
        let block_size = g.int(BLOCK as i64);
        let block = g.node("Div", &[slot, block_size]).one();
        let offset = g.node("Mod", &[slot, block_size]).one();
        let slots = g.node("Concat", &[block, offset]).int("axis", 1).one();

        // Blocks in use: those that begin before their sequence ends.
        let new = g.node("Sub", &[ends, starts]).one();
        let total = g.node("Add", &[past, new]).one();
        let total = g.node("Unsqueeze", &[total, second]).one();
        let columns = size(g, inputs.blocks, 1);
        let columns = g.node("Range", &[zero, columns, one]).one();
        let begins = g.node("Mul", &[columns, block_size]).one();
        let in_use = g.node("Less", &[begins, total]).one();
        let at = g.node("NonZero", &[in_use]).one();
        let pairs = g.node("Transpose", &[at]).ints("perm", &[1, 0]).one();
        let used = g.node("GatherND", &[inputs.blocks, pairs]).one();

        // Sequence and position of each place in them, [1, S].
        let flat = g.ints(&[1, -1]);
        let within: Vec<i64> = (0..BLOCK as i64).collect();
        let within = g.ints(&within);
        let zeros = g.ints(&[0; BLOCK as usize]);
        let owner = g.node("Gather", &[at, zero]).one();
        let owner = g.node("Unsqueeze", &[owner, second]).one();
        let owner = g.node("Add", &[owner, zeros]).one();
        let owner = g.node("Reshape", &[owner, flat]).one();
        let begin = g.node("Gather", &[at, one]).one();
        let begin = g.node("Mul", &[begin, block_size]).one();
        let begin = g.node("Unsqueeze", &[begin, second]).one();
        let key_position = g.node("Add", &[begin, within]).one();
        let key_position = g.node("Reshape", &[key_position, flat]).one();

        let sequence = g.node("Unsqueeze", &[sequence, second]).one();
        let own = g.node("Equal", &[owner, sequence]).one();
        let earlier = g.node("LessOrEqual", &[key_position, positions]).one();
        let seen = g.node("And", &[own, earlier]).one();
        let (shown, hidden) = (g.scalar(0.0), g.scalar(HIDDEN));
        let mask = g.node("Where", &[seen, shown, hidden]).one();
        Self {
            positions,
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
        let heads = g.ints(&[-1, model.heads as i64, model.head_dim as i64]);
        let second = g.ints(&[1]);
        let [query, key, value] = g
            .node("Split", &[qkv])
            .int("axis", 1)
            .int("num_outputs", 3)
            .outputs();
        let [query, key] = [query, key].map(|x| {
            // Each token as a sequence of its own: [T, 1, hidden].
            let x = g.node("Unsqueeze", &[x, second]).one();
            g.contrib("RotaryEmbedding", &[x, self.positions, cos, sin])
                .one()
        });
        let [query, key, value] = [query, key, value].map(|x| g.node("Reshape", &[x, heads]).one());

        let [key_cache, value_cache] = [(key_cache, key), (value_cache, value)].map(|(to, x)| {
            let x = g.node("Gather", &[x, self.kept]).one();
            g.node("ScatterND", &[to, self.slots, x]).one()
        });
        let [keys, values] = [key_cache, value_cache].map(|cache| {
            let blocks = g.node("Gather", &[cache, self.used]).one();
            g.node("Reshape", &[blocks, heads]).one()
        });

        let root = g.scalar(1.0 / (model.head_dim as f32).sqrt());
        let query = g.node("Mul", &[query, root]).one();
        let turn = |g: &mut Graph, x: Value, order: [i64; 3]| {
            g.node("Transpose", &[x]).ints("perm", &order).one()
        };
        let query = turn(g, query, [1, 0, 2]);
        let keys = turn(g, keys, [1, 2, 0]);
        let values = turn(g, values, [1, 0, 2]);
        let scores = g.node("MatMul", &[query, keys]).one();
        let scores = g.node("Add", &[scores, self.mask]).one();
        let shares = g.node("Softmax", &[scores]).int("axis", -1).one();
        let x = g.node("MatMul", &[shares, values]).one();
        let x = turn(g, x, [1, 0, 2]);
        let hidden = g.ints(&[-1, model.hidden as i64]);
        let x = g.node("Reshape", &[x, hidden]).one();
        (x, key_cache, value_cache)
    }
}
