//! The nodes that the graphs use again and again, by the names of the field.
//!
//! Each adds what its name says and nothing else; layouts are the caller's. Weights are looked up
//! through a [`Plan`], so that a missing or misshapen tensor is an error where it is used.
//!
//! Values are of the type in which the graph computes, but where a name or a doc says 32 bits:
//! [`Graph::widened`] and [`Graph::rounded`] are the ways from one to the other, and no nodes where
//! the graph computes in 32 bits.

use super::error::ImportError;
use super::graph::{DType, Graph, Value};
use super::plan::{Part, Plan};

impl Graph {
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        self.node("Add", &[a, b]).one()
    }

    pub fn mul(&mut self, a: Value, b: Value) -> Value {
        self.node("Mul", &[a, b]).one()
    }

    pub fn matmul(&mut self, a: Value, b: Value) -> Value {
        self.node("MatMul", &[a, b]).one()
    }

    /// In `shape` 0 keeps a dimension and -1 takes what is left.
    pub fn reshape(&mut self, value: Value, shape: &[i64]) -> Value {
        let shape = self.ints(shape);
        self.reshape_to(value, shape)
    }

    /// As [`Self::reshape`], to a shape that is known when the graph runs.
    pub fn reshape_to(&mut self, value: Value, shape: Value) -> Value {
        self.node("Reshape", &[value, shape]).one()
    }

    /// A tensor of one dimension, for shapes.
    pub fn sizes(&mut self, sizes: &[Size]) -> Value {
        let known: Option<Vec<i64>> = sizes.iter().map(|size| size.known()).collect();
        if let Some(known) = known {
            return self.ints(&known);
        }
        let parts: Vec<Value> = sizes.iter().map(|&size| self.size(size)).collect();
        self.concat(&parts, 0)
    }

    /// `size` as a tensor of one dimension with one element.
    pub fn size(&mut self, size: Size) -> Value {
        match size {
            Size::Of(value) => value,
            Size::Is(n) => self.ints(&[n]),
        }
    }

    pub fn plus(&mut self, size: Size, n: i64) -> Size {
        self.computed("Add", size, n, i64::wrapping_add)
    }

    pub fn times(&mut self, size: Size, n: i64) -> Size {
        self.computed("Mul", size, n, i64::wrapping_mul)
    }

    /// Rounded towards 0; `n` is not 0.
    pub fn over(&mut self, size: Size, n: i64) -> Size {
        self.computed("Div", size, n, i64::wrapping_div)
    }

    fn computed(&mut self, op: &'static str, a: Size, b: i64, now: fn(i64, i64) -> i64) -> Size {
        match a {
            Size::Is(a) => Size::Is(now(a, b)),
            Size::Of(a) => {
                let b = self.ints(&[b]);
                Size::Of(self.node(op, &[a, b]).one())
            }
        }
    }

    /// 0, 1, .. `size - 1`.
    pub fn range(&mut self, size: Size) -> Value {
        match size {
            Size::Is(n) => self.ints(&Vec::from_iter(0..n)),
            Size::Of(n) => {
                let limit = self.reshape(n, &[]);
                let (first, step) = (self.int(0), self.int(1));
                self.node("Range", &[first, limit, step]).one()
            }
        }
    }

    /// Dimension `axis` of `value`, as a tensor of one dimension with one element.
    pub fn dimension(&mut self, value: Value, axis: i64) -> Value {
        self.node("Shape", &[value])
            .int("start", axis)
            .int("end", axis + 1)
            .one()
    }

    pub fn transpose(&mut self, value: Value, permutation: &[i64]) -> Value {
        self.node("Transpose", &[value])
            .ints("perm", permutation)
            .one()
    }

    /// Adds a dimension of one element before `axis`.
    pub fn unsqueeze(&mut self, value: Value, axis: i64) -> Value {
        let axis = self.ints(&[axis]);
        self.node("Unsqueeze", &[value, axis]).one()
    }

    pub fn concat(&mut self, values: &[Value], axis: i64) -> Value {
        self.node("Concat", values).int("axis", axis).one()
    }

    pub fn expand(&mut self, value: Value, shape: Value) -> Value {
        self.node("Expand", &[value, shape]).one()
    }

    pub fn gather(&mut self, value: Value, indices: Value, axis: i64) -> Value {
        self.node("Gather", &[value, indices])
            .int("axis", axis)
            .one()
    }

    /// Elements `from..to` of `axis`.
    pub fn slice(&mut self, value: Value, axis: i64, from: i64, to: i64) -> Value {
        let at = [from, to, axis].map(|n| self.ints(&[n]));
        self.node("Slice", &[value, at[0], at[1], at[2]]).one()
    }

    /// A linear layer without its bias, or a convolution on what one step of its kernel sees: the
    /// weight is `[outputs, ..]`, and `x` ends with as many elements as one output of it has.
    pub fn product(
        &mut self,
        plan: &mut Plan,
        x: Value,
        name: &str,
        weight: &[u64],
    ) -> Result<Value, ImportError> {
        let weight = self.factor(plan, name, weight, self.compute())?;
        Ok(self.matmul(x, weight))
    }

    /// The same of an `x` in 32 bits, computed in 32 bits and left so.
    pub fn product_in_32_bits(
        &mut self,
        plan: &mut Plan,
        x: Value,
        name: &str,
        weight: &[u64],
    ) -> Result<Value, ImportError> {
        let weight = self.factor(plan, name, weight, DType::F32)?;
        Ok(self.matmul(x, weight))
    }

    /// The bias of the linear layer `name`, in 32 bits.
    pub fn bias_in_32_bits(
        &mut self,
        plan: &mut Plan,
        name: &str,
        outputs: u64,
    ) -> Result<Value, ImportError> {
        let bias = plan.tensor(&format!("{name}.bias"), &[outputs])?;
        Ok(self.weight_as(&bias, DType::F32))
    }

    /// `value` in 32 bits: to be added up, normalised, or put through a function.
    pub fn widened(&mut self, value: Value) -> Value {
        match self.compute() {
            DType::F32 => value,
            _ => self.cast(value, DType::F32),
        }
    }

    /// `value`, of 32 bits, in the type in which the graph computes: to be multiplied with weights.
    pub fn rounded(&mut self, value: Value) -> Value {
        match self.compute() {
            DType::F32 => value,
            compute => self.cast(value, compute),
        }
    }

    /// `y * P(Y <= y)` of `y = x + bias`, for a normal Y; the bias is in 32 bits.
    pub fn bias_gelu(&mut self, x: Value, bias: Value) -> Value {
        match self.on_cuda() {
            true => self.own("BiasGelu", &[x, bias]).one(),
            false => self.contrib("BiasGelu", &[x, bias]).one(),
        }
    }

    /// `x * sigmoid(alpha * x)`, of an `x` in 32 bits, as the result is. ONNX Runtime's CUDA kernel
    /// computes in its input's type, below 0 as `1 - 1 / (1 + exp(alpha * x))`: in bfloat16 little
    /// is left of that where the sigmoid is small.
    pub fn quick_gelu(&mut self, x: Value, alpha: f32) -> Value {
        self.contrib("QuickGelu", &[x]).float("alpha", alpha).one()
    }

    /// `y * sigmoid(1.702 * y)` of `y = x + bias` (`quick_gelu` of CLIP); the bias is in 32 bits.
    pub fn bias_quick_gelu(&mut self, x: Value, bias: Value) -> Value {
        if self.on_cuda() {
            return self.own("BiasQuickGelu", &[x, bias]).one();
        }
        let x = self.add(x, bias);
        self.quick_gelu(x, 1.702)
    }

    /// The weight of a product, turned for `MatMul`.
    pub fn factor(
        &mut self,
        plan: &mut Plan,
        name: &str,
        weight: &[u64],
        dtype: DType,
    ) -> Result<Value, ImportError> {
        let name = format!("{name}.weight");
        let part = Part::whole(name.as_str(), weight);
        let weight = plan.beside(&format!("{name}.transposed"), vec![part])?;
        Ok(self.weight_as(&weight, dtype))
    }

    /// Normalises `x` over its last dimension, in 32 bits as `x` is.
    pub fn layer_norm(
        &mut self,
        plan: &mut Plan,
        x: Value,
        norm: &Norm,
    ) -> Result<Value, ImportError> {
        let [scale, shift] = self.norm_weights(plan, norm)?;
        Ok(self
            .node("LayerNormalization", &[x, scale, shift])
            .int("axis", -1)
            .float("epsilon", norm.epsilon)
            .one())
    }

    /// What `norm` multiplies by and adds, `[width]` each, in 32 bits.
    pub fn norm_weights(
        &mut self,
        plan: &mut Plan,
        norm: &Norm,
    ) -> Result<[Value; 2], ImportError> {
        let shape = [norm.width];
        let scale = plan.tensor(&format!("{}.weight", norm.name), &shape)?;
        let scale = self.weight_as(&scale, DType::F32);
        let shift = self.bias_in_32_bits(plan, &norm.name, norm.width)?;
        Ok([scale, shift])
    }
}

/// A layer normalisation of the checkpoint.
pub struct Norm {
    pub name: String,
    /// Elements over which it normalises.
    pub width: u64,
    pub epsilon: f32,
}

/// One dimension of a shape.
#[derive(Clone, Copy, Debug)]
pub enum Size {
    /// Known when the graph runs: a tensor of one dimension with one element.
    Of(Value),
    Is(i64),
}

impl Size {
    pub fn known(self) -> Option<i64> {
        match self {
            Self::Of(_) => None,
            Self::Is(n) => Some(n),
        }
    }
}
