//! CLIP's image encoder on SAM's features.
//!
//! SAM's features stand in the place of patch embeddings, behind a class token; then positions, a
//! normalisation, and blocks of attention and MLP. There is no normalisation at the end, and the
//! tower's own patch convolution is not used (`deepencoder.py` beside the published weights).

use super::checkpoint::Measured;
use super::config::Clip;
use super::error::ImportError;
use super::graph::{Graph, Value};
use super::nodes::Size;
use super::plan::Plan;
use super::relative::{Heads, attention, split};

/// Of every `LayerNorm` (`vit_model_cfg`).
const EPSILON: f32 = 1e-5;
/// `quick_gelu`: x * sigmoid(1.702 * x).
const QUICK_GELU: f32 = 1.702;
const NAME: &str = "model.vision_model";

/// The tower on `features` `[views, tokens, width]`, with `positions` `[1 + tokens, width]`:
/// `[views, 1 + tokens, width]`, the class token first.
pub fn tower(
    g: &mut Graph,
    plan: &mut Plan,
    clip: &Clip,
    measured: &Measured,
    features: Value,
    positions: Value,
) -> Result<Value, ImportError> {
    let width = clip.width;
    let patch = [width, 3, clip.patch_size, clip.patch_size];
    plan.unused(&format!("{NAME}.embeddings.patch_embedding.weight"), &patch)?;
    let mut tokens = g.within("embeddings", |g| {
        let class = plan.tensor(&format!("{NAME}.embeddings.class_embedding"), &[width])?;
        let class = g.weight(&class);
        let views = g.dimension(features, 0);
        let shape = g.sizes(&[Size::Of(views), Size::Is(1), Size::Is(width as i64)]);
        let class = g.expand(class, shape);
        let tokens = g.concat(&[class, features], 1);
        let tokens = g.add(tokens, positions);
        // The published name is spelt so.
        g.layer_norm(
            plan,
            tokens,
            &format!("{NAME}.pre_layrnorm"),
            width,
            EPSILON,
        )
    })?;
    for layer in 0..clip.layers {
        let name = format!("{NAME}.transformer.layers.{layer}");
        tokens = g.within(format!("layers.{layer}"), |g| {
            block(g, plan, clip, measured.clip_mlp, &name, tokens)
        })?;
    }
    Ok(tokens)
}

fn block(
    g: &mut Graph,
    plan: &mut Plan,
    clip: &Clip,
    inner: u64,
    name: &str,
    tokens: Value,
) -> Result<Value, ImportError> {
    let width = clip.width;
    let heads = Heads {
        count: clip.heads as i64,
        dim: (width / clip.heads) as i64,
    };
    let part = |part: &str| format!("{name}.{part}");
    let x = g.layer_norm(plan, tokens, &part("layer_norm1"), width, EPSILON)?;
    let x = g.linear(plan, x, &part("self_attn.qkv_proj"), width, 3 * width)?;
    let qkv = split(g, x);
    let x = attention(g, heads, qkv);
    let x = g.linear(plan, x, &part("self_attn.out_proj"), width, width)?;
    let tokens = g.add(tokens, x);

    let x = g.layer_norm(plan, tokens, &part("layer_norm2"), width, EPSILON)?;
    let x = g.linear(plan, x, &part("mlp.fc1"), width, inner)?;
    let x = g
        .contrib("QuickGelu", &[x])
        .float("alpha", QUICK_GELU)
        .one();
    let x = g.linear(plan, x, &part("mlp.fc2"), inner, width)?;
    Ok(g.add(tokens, x))
}
