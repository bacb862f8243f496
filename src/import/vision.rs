//! The vision towers as a graph: views in, image tokens out.
//!
//! SAM's tower sees the pixels, CLIP's tower sees SAM's features; their tokens side by side,
//! projected to the decoder's width, are the image tokens. The graph is of any number of views of
//! any one size that [`positions`](super::positions) has tables for.
//!
//! The blocks' products and attention are of the type in which the graph computes. All else is in
//! 32 bits on CUDA too: patches, residual streams (`stream`), norms, SAM's
//! convolutions and the projector, a few hundredths of the work, where bfloat16 would round what
//! every later layer sees. Their weights are bfloat16 still, and TensorFloat-32 may be used.

use super::checkpoint::Measured;
use super::clip;
use super::config::Config;
use super::decoder::Form;
use super::error::ImportError;
use super::graph::{DType, Dim, Graph};
use super::nodes::Size;
use super::plan::Plan;
use super::sam;
use crate::pack::{EIGHT, HEAD_DIMS};

/// Builds the graph over weights in `data_file`.
///
/// | input | | |
/// |---|---|---|
/// | `views` | u8 | `[views, side, side, 3]`: RGB; `side` a multiple of 4 patches |
/// | `sam_positions` | f32 | `[grid, grid, sam_width]`: `grid` patches to a side |
/// | `sam_relative` | f32 | `[global layers, 2, 2 * grid - 1, head_dim]`: rows, columns |
/// | `clip_positions` | f32 | `[1 + (grid / 4)^2, clip_width]` |
///
/// | output | | |
/// |---|---|---|
/// | `sam` | f32 | `[views, channels, grid / 4, grid / 4]` |
/// | `clip` | f32 | `[views, 1 + (grid / 4)^2, clip_width]`: the class token first |
/// | `projected` | as the graph computes | `[views, (grid / 4)^2, hidden]` |
pub fn build(
    plan: &mut Plan,
    config: &Config,
    measured: &Measured,
    form: Form,
    data_file: &str,
) -> Result<Graph, ImportError> {
    if form == Form::Cuda
        && let Some(why) = without_kernels(config, measured)
    {
        let hint = "import it for the CPU alone: --dtype f32";
        return Err(ImportError::file(plan.folder(), why, hint));
    }
    let mut graph = Graph::new("vision", form.compute(), data_file);
    let g = &mut graph;
    let (sam, clip) = (&config.sam, &config.clip);
    let free = Dim::Free;
    let views = g.input(
        "views",
        DType::U8,
        &[free("views"), free("side"), free("side"), Dim::Fixed(3)],
    );
    let positions = [free("grid"), free("grid"), Dim::Fixed(sam.width)];
    let positions = g.input("sam_positions", DType::F32, &positions);
    let relative = [
        Dim::Fixed(sam.global_layers.len() as u64),
        Dim::Fixed(2),
        free("distances"),
        Dim::Fixed(sam.width / sam.heads),
    ];
    let relative = g.input("sam_relative", DType::F32, &relative);
    let relative = g.rounded(relative);
    let clip_positions = [free("clip_tokens"), Dim::Fixed(clip.width)];
    let clip_positions = g.input("clip_positions", DType::F32, &clip_positions);

    let inputs = sam::Inputs {
        views,
        positions,
        relative,
    };
    let features = g.within("sam", |g| sam::tower(g, plan, sam, measured, &inputs))?;
    let channels = sam.downsample[1];
    let tokens = g.within("clip", |g| {
        clip::tower(g, plan, clip, measured, features, clip_positions)
    })?;
    let projected = g.within("projector", |g| {
        let without_class = g.slice(tokens, 1, 1, i64::MAX);
        let both = g.concat(&[without_class, features], 2);
        let (inputs, outputs) = (config.projector_input, config.language.hidden);
        let name = "model.projector.layers";
        let product = g.product_in_32_bits(plan, both, name, &[outputs, inputs])?;
        let bias = g.bias_in_32_bits(plan, name, outputs)?;
        let projected = g.add(product, bias);
        Ok::<_, ImportError>(g.rounded(projected))
    })?;

    let side = g.dimension(views, 1);
    let side = g.over(Size::Of(side), 4 * measured.sam_patch as i64);
    let shape = g.sizes(&[Size::Is(0), side, side, Size::Is(channels as i64)]);
    let map = g.reshape_to(features, shape);
    let map = g.transpose(map, &[0, 3, 1, 2]);
    let shape = [
        free("views"),
        Dim::Fixed(channels),
        free("sam_side"),
        free("sam_side"),
    ];
    g.output("sam", map, DType::F32, &shape);
    let shape = [free("views"), free("clip_tokens"), Dim::Fixed(clip.width)];
    g.output("clip", tokens, DType::F32, &shape);
    let shape = [
        free("views"),
        free("image_tokens"),
        Dim::Fixed(config.language.hidden),
    ];
    g.output("projected", projected, g.compute(), &shape);
    Ok(graph)
}

/// Why dropleaf's operators have no kernels for such a model, if so.
fn without_kernels(config: &Config, measured: &Measured) -> Option<String> {
    let (sam, clip) = (&config.sam, &config.clip);
    for (tower, width, heads) in [
        ("SAM", sam.width, sam.heads),
        ("CLIP", clip.width, clip.heads),
    ] {
        let dim = width / heads.max(1);
        if !HEAD_DIMS.contains(&dim) {
            return Some(format!(
                "CUDA has kernels for heads of {HEAD_DIMS:?} elements, {tower}'s have {dim}"
            ));
        }
    }
    if !measured.sam_window.is_multiple_of(2) {
        let side = measured.sam_window;
        return Some(format!("CUDA has no kernel for windows of {side} tokens"));
    }
    let rows = [
        measured.sam_mlp,
        measured.clip_mlp,
        measured.sam_neck,
        sam.downsample[0],
    ];
    let odd = rows
        .into_iter()
        .find(|width| !width.is_multiple_of(EIGHT))?;
    Some(format!("CUDA has no kernels for rows of {odd} elements"))
}

#[cfg(test)]
mod tests;
