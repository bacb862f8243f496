//! The nodes that the graphs use again and again, by the names of the field.
//!
//! Each adds what its name says and nothing else; layouts are the caller's. Weights are looked up
//! through a [`Plan`], so that a missing or misshapen tensor is an error where it is used.

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

    /// A linear layer, `y = x W^T + b`: `[.., inputs]` to `[.., outputs]`.
    pub fn linear(
        &mut self,
        plan: &mut Plan,
        x: Value,
        name: &str,
        inputs: u64,
        outputs: u64,
    ) -> Result<Value, ImportError> {
        let product = self.product(plan, x, name, &[outputs, inputs])?;
        let bias = self.weight(&plan.tensor(&format!("{name}.bias"), &[outputs])?);
        Ok(self.add(product, bias))
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
        let weight = self.factor(plan, name, weight)?;
        Ok(self.matmul(x, weight))
    }

    /// The same, computed in 32 bits whatever the graph computes in, and left so.
    pub fn product_in_32_bits(
        &mut self,
        plan: &mut Plan,
        x: Value,
        name: &str,
        weight: &[u64],
    ) -> Result<Value, ImportError> {
        let [x, weight] = [x, self.factor(plan, name, weight)?].map(|v| match self.compute() {
            DType::F32 => v,
            _ => self.cast(v, DType::F32),
        });
        Ok(self.matmul(x, weight))
    }

    /// The weight of a product, turned for `MatMul`.
    fn factor(
        &mut self,
        plan: &mut Plan,
        name: &str,
        weight: &[u64],
    ) -> Result<Value, ImportError> {
        let name = format!("{name}.weight");
        let part = Part::whole(name.as_str(), weight);
        let weight = plan.beside(&format!("{name}.transposed"), vec![part])?;
        Ok(self.weight(&weight))
    }

    /// Normalises over the last dimension, of `width` elements.
    pub fn layer_norm(
        &mut self,
        plan: &mut Plan,
        x: Value,
        name: &str,
        width: u64,
        epsilon: f32,
    ) -> Result<Value, ImportError> {
        let scale = self.weight(&plan.tensor(&format!("{name}.weight"), &[width])?);
        let bias = self.weight(&plan.tensor(&format!("{name}.bias"), &[width])?);
        Ok(self
            .node("LayerNormalization", &[x, scale, bias])
            .int("axis", -1)
            .float("epsilon", epsilon)
            .one())
    }
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
