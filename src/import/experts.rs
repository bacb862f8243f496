//! The decoder's mixture of experts: a gate that chooses some for each token, and shared ones that
//! see every token (`DeepseekV2MoE` in `modeling_deepseekv2.py` of the published checkpoint).
//!
//! Where that can be, the shared experts are computed as experts of the same kernel that every token
//! is sent to: nine nodes a layer less than an MLP beside it.

use super::config::Language;
use super::error::ImportError;
use super::graph::{DType, Dim, Graph, Value};
use super::plan::{Part, Plan};

/// How many experts of the routed ones' width the shared expert is taken apart into, to be computed
/// beside them; `None` where it stands for itself. An MLP is the sum of its parts, each with some of
/// its inner columns.
fn shared_parts(model: &Language) -> Option<u64> {
    let (width, shared) = (model.expert_width, model.shared_width);
    // The kernel's weights are those of one softmax: neither a sum made 1 nor a factor of the routed
    // experts alone would leave the shared ones as they are.
    let fits = shared > 0 && width > 0 && shared.is_multiple_of(width);
    let plain = model.routed_scale == 1.0 && !model.normalise_weights;
    (fits && plain).then(|| shared / width)
}

/// `down(silu(gate(x)) * up(x))`
pub(super) fn gated_mlp(
    g: &mut Graph,
    plan: &mut Plan,
    name: &str,
    hidden: u64,
    width: u64,
    x: Value,
) -> Result<Value, ImportError> {
    let gate = g.product(plan, x, &format!("{name}.gate_proj"), &[width, hidden])?;
    let up = g.product(plan, x, &format!("{name}.up_proj"), &[width, hidden])?;
    // With alpha 1 this is silu, in one node on both devices.
    let gate = g.widened(gate);
    let gate = g.quick_gelu(gate, 1.0);
    let gate = g.rounded(gate);
    let x = g.mul(gate, up);
    g.product(plan, x, &format!("{name}.down_proj"), &[hidden, width])
}

/// A score that gives no share in a softmax; finite, so that no infinities are subtracted.
const NO_SHARE: f32 = -1e30;

/// What the gate says of each expert, before the softmax; an output, too, for measurements. The
/// published gate computes in 32 bits (`MoEGate`), and so does this, from an `x` in 32 bits. `MoE`
/// takes it in the graph's type: as logarithms of shares the numbers of the best experts are near 0,
/// where bfloat16 is finest.
///
/// Of `parts` experts more it says 0, the logarithm of a share of 1. Their columns are made as all
/// are, by one product: joined to its result they would not do for CUDA graphs, for ONNX Runtime's
/// `Concat` of unlike parts reads what it needs from the host.
fn gate(
    g: &mut Graph,
    plan: &mut Plan,
    name: &str,
    [count, hidden]: [u64; 2],
    layer: u64,
    x: Value,
    parts: u64,
) -> Result<Value, ImportError> {
    let mut weight = g.factor(plan, &format!("{name}.gate"), &[count, hidden], DType::F32)?;
    if parts > 0 {
        // Both are constants, which ONNX Runtime joins when it loads the graph.
        let shape = [hidden as i64, parts as i64];
        let zeros = g.floats32(&shape, &vec![0.0; (hidden * parts) as usize]);
        weight = g.concat(&[weight, zeros], 1);
    }
    let scores = g.matmul(x, weight);
    let shape = [Dim::Free("tokens"), Dim::Fixed(count + parts)];
    g.output(&format!("router.{layer}"), scores, DType::F32, &shape);
    if parts == 0 {
        if g.compute() == DType::F32 {
            return Ok(scores);
        }
        let shares = g.node("LogSoftmax", &[scores]).int("axis", -1).one();
        return Ok(g.rounded(shares));
    }
    let all = [(count + parts) as i64];
    let of_each = |routed: f32, shared: f32| -> Vec<f32> {
        let part = |value: f32, times: u64| std::iter::repeat_n(value, times as usize);
        part(routed, count).chain(part(shared, parts)).collect()
    };
    let left_out = g.floats32(&all, &of_each(0.0, NO_SHARE));
    let scores = g.add(scores, left_out);
    let shares = g.node("LogSoftmax", &[scores]).int("axis", -1).one();
    let routed = of_each(1.0, 0.0).iter().map(|&v| v as u8).collect();
    let routed = g.constant(DType::Bool, &all, routed);
    let whole = g.floats32(&[], &[0.0]);
    let shares = g.node("Where", &[routed, shares, whole]).one();
    Ok(g.rounded(shares))
}

/// The chosen experts' outputs, weighted by the gate, and the shared experts'; `x` and their sum are
/// in 32 bits.
///
/// Where the shared experts' parts are among the experts of the kernel, its softmax sees the shares
/// of the routed ones, which sum to 1, and 1 for each of n parts: all weights come out divided by
/// `1 + n`. The parts are always among the best, for no share is above 1.
pub(super) fn experts(
    g: &mut Graph,
    plan: &mut Plan,
    model: &Language,
    layer: u64,
    x: Value,
) -> Result<Value, ImportError> {
    let name = format!("model.layers.{layer}.mlp");
    let shared = format!("{name}.shared_experts");
    let parts = shared_parts(model).unwrap_or(0);
    let (hidden, width, count) = (model.hidden, model.expert_width, model.experts);
    let part = |expert: u64, what: &str, shape: &[u64]| {
        Part::whole(format!("{name}.experts.{expert}.{what}.weight"), shape)
    };
    let mut pairs: Vec<(Part, Part)> = (0..count)
        .map(|e| {
            let shape = [width, hidden];
            (part(e, "gate_proj", &shape), part(e, "up_proj", &shape))
        })
        .collect();
    pairs.extend((0..parts).map(|p| {
        let rows = p * width..(p + 1) * width;
        let [gate, up] = ["gate_proj", "up_proj"].map(|what| {
            let shape = [model.shared_width, hidden];
            Part::rows(format!("{shared}.{what}.weight"), &shape, rows.clone())
        });
        (gate, up)
    }));
    let all = count + parts;
    let gate_up = plan.interleaved(
        &format!("{name}.experts.gate_up_proj"),
        pairs,
        &[all, 2 * width, hidden],
    )?;
    let mut down: Vec<Part> = (0..count)
        .map(|e| part(e, "down_proj", &[hidden, width]))
        .collect();
    down.extend((0..parts).map(|p| {
        let shape = [hidden, model.shared_width];
        let columns = p * width..(p + 1) * width;
        Part::columns(format!("{shared}.down_proj.weight"), &shape, columns)
    }));
    let down = plan.stacked(
        &format!("{name}.experts.down_proj"),
        down,
        &[all, hidden, width],
    )?;
    let [gate_up, down] = [gate_up, down].map(|w| g.weight(&w));
    let router = g.within("gate", |g| {
        gate(g, plan, &name, [count, hidden], layer, x, parts)
    })?;
    let x = g.rounded(x);
    // swiglu with these numbers is silu(gate) * up; fusion 1: rows of gate and up in turn.
    let mut chosen = g
        .contrib("MoE", &[x, router, gate_up, Value::NONE, down])
        .int("k", (model.experts_per_token + parts) as i64)
        .text("activation_type", "swiglu")
        .int("swiglu_fusion", 1)
        .float("activation_alpha", 1.0)
        .float("activation_beta", 0.0)
        .int("normalize_routing_weights", model.normalise_weights.into())
        .one();
    chosen = g.widened(chosen);
    if parts > 0 {
        let divided = g.floats32(&[], &[(1 + parts) as f32]);
        return Ok(g.mul(chosen, divided));
    }
    if model.routed_scale != 1.0 && !model.normalise_weights {
        let scale = g.floats32(&[], &[model.routed_scale]);
        chosen = g.mul(chosen, scale);
    }
    if model.shared_width == 0 {
        return Ok(chosen);
    }
    let shared = g.within("shared", |g| {
        gated_mlp(g, plan, &shared, hidden, model.shared_width, x)
    })?;
    let shared = g.widened(shared);
    Ok(g.add(chosen, shared))
}
