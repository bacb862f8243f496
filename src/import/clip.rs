//! CLIP's image encoder on SAM's features.
//!
//! SAM's features stand in the place of patch embeddings, behind a class token; then positions, a
//! normalisation, and blocks of attention and MLP. There is no normalisation at the end, and the
//! tower's own patch convolution is not used (`deepencoder.py` beside the published weights).

use super::checkpoint::Measured;
use super::config::Clip;
use super::error::ImportError;
use super::graph::{DType, Graph, Value};
use super::nodes::{Norm, Size};
use super::plan::Plan;
use super::relative::{Heads, Packed};
use super::stream::Stream;

/// Of every `LayerNorm` (`vit_model_cfg`).
const EPSILON: f32 = 1e-5;
const NAME: &str = "model.vision_model";

/// The tower on `features` `[views, tokens, width]`, with `positions` `[1 + tokens, width]`:
/// `[views, 1 + tokens, width]`, the class token first. All three are in 32 bits.
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
    let mut stream = g.within("embeddings", |g| {
        let class = plan.tensor(&format!("{NAME}.embeddings.class_embedding"), &[width])?;
        let class = g.weight_as(&class, DType::F32);
        let views = g.dimension(features, 0);
        let shape = g.sizes(&[Size::Of(views), Size::Is(1), Size::Is(width as i64)]);
        let class = g.expand(class, shape);
        let tokens = g.concat(&[class, features], 1);
        let tokens = g.add(tokens, positions);
        // The published name is spelt so.
        let norm = norm(format!("{NAME}.pre_layrnorm"), width);
        g.layer_norm(plan, tokens, &norm).map(Stream::new)
    })?;
    for layer in 0..clip.layers {
        let name = format!("{NAME}.transformer.layers.{layer}");
        g.within(format!("layers.{layer}"), |g| {
            block(g, plan, clip, measured.clip_mlp, &name, &mut stream)
        })?;
    }
    Ok(stream.sum(g))
}

fn block(
    g: &mut Graph,
    plan: &mut Plan,
    clip: &Clip,
    inner: u64,
    name: &str,
    stream: &mut Stream,
) -> Result<(), ImportError> {
    let width = clip.width;
    let heads = Heads {
        count: clip.heads as i64,
        dim: (width / clip.heads) as i64,
    };
    let part = |part: &str| format!("{name}.{part}");
    let x = stream.norm(g, plan, &norm(part("layer_norm1"), width))?;
    let packed = Packed::new(g, plan, x, &part("self_attn.qkv_proj"), width)?;
    let x = packed.attention(g, heads);
    let projection = part("self_attn.out_proj");
    stream.add_linear(g, plan, x, &projection, [width, width], Some(packed.lacks))?;

    let x = stream.norm(g, plan, &norm(part("layer_norm2"), width))?;
    let first = part("mlp.fc1");
    let x = g.product(plan, x, &first, &[inner, width])?;
    let bias = g.bias_in_32_bits(plan, &first, inner)?;
    let x = g.bias_quick_gelu(x, bias);
    stream.add_linear(g, plan, x, &part("mlp.fc2"), [inner, width], None)
}

fn norm(name: String, width: u64) -> Norm {
    Norm {
        name,
        width,
        epsilon: EPSILON,
    }
}
