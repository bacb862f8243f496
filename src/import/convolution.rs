//! Convolutions of 3 x 3 with a border of zeros, as one product.
//!
//! What a step of the kernel sees becomes a row (on the CPU by a gather by index, on CUDA by the
//! operator `Neighbours`), and the rows are multiplied with the weights (im2col: Chellapilla, Puri and Simard 2006). Of a convolution in 32 bits ONNX Runtime
//! makes a kernel without tensor cores on CUDA, which took a fifth of the time of a view; a product
//! in 32 bits uses them. Tokens are rows throughout, so that nothing is turned before and after.

use super::error::ImportError;
use super::graph::{DType, Graph, Value};
use super::nodes::Size;
use super::plan::Plan;

/// Steps of the kernel along each axis.
const KERNEL: i64 = 3;

/// Square maps of `side` tokens to a side.
#[derive(Clone, Copy)]
pub struct Maps {
    pub views: Value,
    pub side: Size,
}

impl Maps {
    /// The convolution `name`, without bias, of `x` `[views, side * side, inputs]` in 32 bits: what
    /// comes out, `[views, places, outputs]` in 32 bits, and the maps that its places form: every
    /// `stride`th token of a row, from the first.
    pub fn convolution(
        self,
        g: &mut Graph,
        plan: &mut Plan,
        x: Value,
        name: &str,
        [inputs, outputs]: [u64; 2],
        stride: i64,
    ) -> Result<(Value, Self), ImportError> {
        let last = g.plus(self.side, -1);
        let last = g.over(last, stride);
        let next = Self {
            side: g.plus(last, 1),
            ..self
        };
        let elements = KERNEL * KERNEL * inputs as i64;
        let rows = if g.on_cuda() {
            g.own("Neighbours", &[x]).int("stride", stride).one()
        } else {
            let seen = self.seen(g, next.side, stride);
            let zero = g.floats32(&[], &[0.0]);
            let border = g.sizes(&[Size::Of(self.views), Size::Is(1), Size::Is(inputs as i64)]);
            let border = g.expand(zero, border);
            let padded = g.concat(&[x, border], 1);
            let rows = g.gather(padded, seen, 1);
            g.reshape(rows, &[0, 0, elements])
        };

        let shape = [outputs, inputs, KERNEL as u64, KERNEL as u64];
        let weight = plan.tensor(&format!("{name}.weight"), &shape)?;
        let weight = g.weight_as(&weight, DType::F32);
        // Computed once, when the graph is loaded.
        let weight = g.transpose(weight, &[2, 3, 1, 0]);
        let weight = g.reshape(weight, &[elements, outputs as i64]);
        Ok((g.matmul(rows, weight), next))
    }

    /// `[places, 9]`: which tokens each of `along * along` places sees; one past the last: border.
    fn seen(self, g: &mut Graph, along: Size, stride: i64) -> Value {
        let (place, step) = (g.range(along), g.ints(&Vec::from_iter(-1..KERNEL - 1)));
        let stride = g.int(stride);
        let first = g.mul(place, stride);
        let first = g.reshape(first, &[-1, 1]);
        // `[along, 3]`: the rows, and as well the columns, that a place sees.
        let at = g.add(first, step);
        let (one, three) = (Size::Is(1), Size::Is(KERNEL));
        let shape = g.sizes(&[along, one, three, one]);
        let rows = g.reshape_to(at, shape);
        let shape = g.sizes(&[one, along, one, three]);
        let columns = g.reshape_to(at, shape);

        let side = g.size(self.side);
        let none = g.int(-1);
        let inside = [rows, columns].map(|at| {
            let above = g.node("Less", &[none, at]).one();
            let below = g.node("Less", &[at, side]).one();
            g.node("And", &[above, below]).one()
        });
        let inside = g.node("And", &inside).one();
        let row_starts = g.mul(rows, side);
        let token = g.add(row_starts, columns);
        let past = g.mul(side, side);
        let seen = g.node("Where", &[inside, token, past]).one();
        g.reshape(seen, &[-1, KERNEL * KERNEL])
    }
}
