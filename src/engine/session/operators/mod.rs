//! Operators of our own on CUDA, in the domain [`OPERATORS`]: what ONNX Runtime has only as several
//! operators, each with a pass over memory, or not at all.
//!
//! | operator | inputs | outputs |
//! |---|---|---|
//! | `LayerNorm` | stream f32, scale f32, shift f32 | normed |
//! | `SkipLayerNorm` | product, bias f32, stream f32, scale f32, shift f32 | normed, sum f32 |
//! | `BiasGelu`, `BiasQuickGelu` | x, bias f32 | as x |
//! | `Neighbours` | x f32 | rows f32 |
//! | `Attention` | qkv, bias f32 | attended |
//! | `RelativeAttention` | qkv, bias f32, rows, columns | attended |
//! | `PagedAttention8` | qkv, caches u8 with scales, lengths and places i32, cosines and sines f32 | attended, the caches |
//!
//! What is not f32 is bfloat16. Shapes and attributes stand with each operator. The last is of the
//! language model, all others are of the vision towers; the graphs are made by the import.
//!
//! The kernels are CUDA C++ in `kernels/`, translated to PTX by `packaging/make-kernels`.

mod attention;
mod driver;
mod gelu;
mod kernels;
mod neighbours;
mod norm;
mod paged_attention8;
mod tensors;

use ort::operator::OperatorDomain;

use crate::pack::OPERATORS;

/// All operators.
pub(super) fn domain() -> ort::Result<OperatorDomain> {
    OperatorDomain::new(OPERATORS)?
        .add(norm::LayerNorm)?
        .add(norm::SkipLayerNorm)?
        .add(gelu::BiasGelu)?
        .add(gelu::BiasQuickGelu)?
        .add(neighbours::Neighbours)?
        .add(attention::Attention)?
        .add(attention::RelativeAttention)?
        .add(paged_attention8::PagedAttention8)
}
