//! The residual stream of a vision tower: what its sub-layers add to, and see normalised.
//!
//! It is kept in 32 bits whatever the graph computes in. In bfloat16 each of its additions would
//! round the whole stream, and all later layers would see that. What a sub-layer multiplies is
//! rounded from the norm's result, so that this costs casts and no wider product.
//!
//! Where the graph computes in another type than 32-bit floats (on CUDA), additions wait for the
//! norm that follows: `SkipLayerNormalization` does both, and the bias, in one pass over memory.

use super::error::ImportError;
use super::graph::{DType, Graph, Value};
use super::nodes::Norm;
use super::plan::Plan;

pub struct Stream {
    /// `[batch, tokens, width]`, 32-bit floats.
    tokens: Value,
    /// A sub-layer's result and its bias that are not added to `tokens` yet.
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
        let x = match self.waiting.take() {
            None => g.layer_norm(plan, self.tokens, norm)?,
            Some([x, bias]) => {
                let [scale, shift] = g.norm_weights(plan, norm)?;
                // The second and third outputs are for training alone.
                let [x, tokens] = g
                    .contrib(
                        "SkipLayerNormalization",
                        &[x, self.tokens, scale, shift, bias],
                    )
                    .float("epsilon", norm.epsilon)
                    .outputs_at([0, 3]);
                self.tokens = tokens;
                x
            }
        };
        Ok(g.rounded(x))
    }

    /// Adds the linear layer `name` of `x`, `[batch, tokens, inputs]` in the type in which the graph
    /// computes, to the stream.
    pub fn add_linear(
        &mut self,
        g: &mut Graph,
        plan: &mut Plan,
        x: Value,
        name: &str,
        [inputs, outputs]: [u64; 2],
    ) -> Result<(), ImportError> {
        let product = g.product(plan, x, name, &[outputs, inputs])?;
        let product = g.widened(product);
        let bias = g.bias_in_32_bits(plan, name, outputs)?;
        self.sum(g);
        self.waiting = Some([product, bias]);
        if g.compute() == DType::F32 {
            self.sum(g);
        }
        Ok(())
    }

    /// All that was added up: `[batch, tokens, width]`, 32-bit floats.
    pub fn sum(&mut self, g: &mut Graph) -> Value {
        if let Some([x, bias]) = self.waiting.take() {
            let x = g.add(x, bias);
            self.tokens = g.add(self.tokens, x);
        }
        self.tokens
    }
}
