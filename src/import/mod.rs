//! A checkpoint becomes a model pack: ONNX graphs over one data file, and `pack.toml`.
//!
//! [`graph`] builds a graph from values and nodes, and writes it in ONNX's own format ([`onnx`]).
//! Nothing here runs a graph.

pub mod graph;
mod onnx;
