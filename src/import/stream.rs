//! The residual stream of a vision tower: what its sub-layers add to, and see normalised.
//!
//! It is kept in 32 bits whatever the graph computes in. In bfloat16 each of its additions would
//! round the whole stream, and all later layers would see that. What a sub-layer multiplies is
//! rounded from the norm's result, so that this costs casts and no wider product.
//!
//! On CUDA additions wait for the norm that follows: the operator `SkipLayerNorm` adds the product and
//! its bias, normalises and rounds in one pass over memory.

use super::error::ImportError;
use super::graph::{Graph, Value};
use super::nodes::Norm;
use super::plan::Plan;

pub struct Stream {
    /// `[batch, tokens, width]`, 32-bit floats.
    tokens: Value,
    /// A sub-layer's product, in the type in which the graph computes, and its bias, in 32 bits, that are
    /// not added to `tokens` yet.
    waiting: Option<[Value; 2]>,
}

impl Stream {
    /// A stream that begins as `tokens`, `[batch, tokens, width]` in 32-bit floats.
    pub fn new(tokens: Value) -> Self {
        Self {
            tokens,
            waiting: None,
        }
    }

    /// Normalises the stream, for a sub-layer: in the type in which the graph computes.
    pub fn norm(
        &mut self,
        g: &mut Graph,
        plan: &mut Plan,
        norm: &Norm,
    ) -> Result<Value, ImportError> {
        let waiting = self.waiting.take();
        if !g.on_cuda() {
            return g.layer_norm(plan, self.tokens, norm);
        }
        let [scale, shift] = g.norm_weights(plan, norm)?;
        let epsilon = norm.epsilon;
        let Some([x, bias]) = waiting else {
            let node = g.own("LayerNorm", &[self.tokens, scale, shift]);
            return Ok(node.float("epsilon", epsilon).one());
        };
        let node = g.own("SkipLayerNorm", &[x, bias, self.tokens, scale, shift]);
        let [normed, sum] = node.float("epsilon", epsilon).outputs();
        self.tokens = sum;
        Ok(normed)
    }

    /// Adds the linear layer `name` of `x`, `[batch, tokens, inputs]` in the type in which the graph
    /// computes, to the stream. Where each row of `x` lacks a constant vector, `lacks`, `[inputs]` in
    /// 32 bits, the bias makes up for it; ONNX Runtime computes that once, when it loads the graph.
    pub fn add_linear(
        &mut self,
        g: &mut Graph,
        plan: &mut Plan,
        x: Value,
        name: &str,
        [inputs, outputs]: [u64; 2],
        lacks: Option<Value>,
    ) -> Result<(), ImportError> {
        let product = g.product(plan, x, name, &[outputs, inputs])?;
        let mut bias = g.bias_in_32_bits(plan, name, outputs)?;
        if let Some(lacks) = lacks {
            let more = g.product_in_32_bits(plan, lacks, name, &[outputs, inputs])?;
            bias = g.add(more, bias);
        }
        self.sum(g);
        self.waiting = Some([product, bias]);
        if !g.on_cuda() {
            self.sum(g);
        }
        Ok(())
    }

    /// All that was added up: `[batch, tokens, width]`, 32-bit floats.
    pub fn sum(&mut self, g: &mut Graph) -> Value {
        if let Some([x, bias]) = self.waiting.take() {
            let x = g.widened(x);
            let x = g.add(x, bias);
            self.tokens = g.add(self.tokens, x);
        }
        self.tokens
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use safetensors::Dtype;

    use super::super::graph::{DType, Dim};
    use super::super::onnx::ModelProto;
    use super::super::testing::{made, plan};
    use super::*;

    /// The operators of a stream with two sub-layers, a norm between them if `norm` says so.
    fn operators(compute: DType, norm: bool) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let t = |shape: &[usize]| made(Dtype::BF16, shape, |i| i as f32);
        let tensors = [
            ("a.weight", t(&[4, 4])),
            ("a.bias", t(&[4])),
            ("n.weight", t(&[4])),
            ("n.bias", t(&[4])),
        ];
        // Stored as the graph adds up, so that no weight's cast is counted.
        let mut plan = plan(dir.path(), DType::F32, &tensors);
        let mut g = Graph::new("g", compute, "w.bin");
        let shape = [Dim::Fixed(1), Dim::Free("tokens"), Dim::Fixed(4)];
        let (tokens, x) = (
            g.input("tokens", DType::F32, &shape),
            g.input("x", compute, &shape),
        );
        let mut stream = Stream::new(tokens);
        let n = Norm {
            name: "n".into(),
            width: 4,
            epsilon: 1e-6,
        };
        let mut add = |stream: &mut Stream, g: &mut Graph, x| {
            stream
                .add_linear(g, &mut plan, x, "a", [4, 4], None)
                .unwrap();
            match norm {
                true => stream.norm(g, &mut plan, &n).unwrap(),
                false => x,
            }
        };
        let x = add(&mut stream, &mut g, x);
        add(&mut stream, &mut g, x);
        let sum = stream.sum(&mut g);
        g.output("sum", sum, DType::F32, &shape);
        let model = ModelProto::decode(g.encode().as_slice()).unwrap();
        let nodes = model.graph.unwrap().node;
        nodes.into_iter().map(|n| n.op_type.unwrap()).collect()
    }

    #[test]
    fn in_32_bits_what_is_added_stands_in_the_sum_at_once() {
        let layer = ["MatMul", "Add", "Add", "LayerNormalization"];
        assert_eq!(operators(DType::F32, true), [layer, layer].concat());
        let layer = ["MatMul", "Add", "Add"];
        assert_eq!(operators(DType::F32, false), [layer, layer].concat());
    }

    #[test]
    fn in_bfloat16_the_sum_is_in_32_bits_and_the_norm_adds() {
        // The weight is cast once.
        let layer = ["MatMul", "SkipLayerNorm"];
        let expected = [&["Cast"][..], &layer, &layer].concat();
        assert_eq!(operators(DType::Bf16, true), expected);
        // Where no norm follows, nothing that was added is lost.
        let (layer, added) = (["MatMul"], ["Cast", "Add", "Add"]);
        let expected = [&["Cast"][..], &layer, &layer, &added, &added].concat();
        assert_eq!(operators(DType::Bf16, false), expected);
    }
}
