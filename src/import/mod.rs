//! A checkpoint becomes a model pack: ONNX graphs over one data file, and `pack.toml`.
//!
//! [`shards`] knows the checkpoint's tensors, [`plan`] gives each its place in the data file,
//! [`graph`] builds a graph from values and nodes, and writes it in ONNX's own format ([`onnx`]).
//! Nothing here runs a graph.

pub mod checkpoint;
mod clip;
pub mod config;
pub mod error;
pub mod graph;
mod nodes;
mod onnx;
pub mod plan;
pub mod positions;
mod relative;
mod sam;
pub mod shards;
pub mod vision;
