//! The rows that a 3 x 3 convolution multiplies: of x `[views, side * side, channels]` in 32 bits, what
//! each step of it sees, `[views, along * along, 9 * channels]`, row by row of the kernel, with zeros
//! beyond the border; `along` is every `stride`th token of a row, from the first. Attribute: `stride`.
//! Channels are a multiple of 4.

use std::sync::Arc;

use ort::operator::{
    ComputeContext, Kernel as Compute, KernelContext, Operator, OperatorInput, OperatorOutput,
};
use ort::value::TensorElementType::Float32;

use super::driver::{Kernel, Shape};
use super::kernels;
use super::tensors::{Input, PROVIDER, arguments, attribute, fault, number, output, stream};

/// Elements that a thread moves at a time.
const FOUR: usize = 4;
/// Steps of the kernel.
const STEPS: usize = 9;
const THREADS: u32 = 192;

pub struct Neighbours;

pub struct Rows {
    kernel: Arc<Kernel>,
    stride: usize,
}

impl Operator for Neighbours {
    type Kernel<'a> = Rows;

    fn name(&self) -> &str {
        "Neighbours"
    }

    fn execution_provider_type(&self) -> Option<&str> {
        Some(PROVIDER)
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(Float32)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel<'a>(&self, context: &KernelContext<'a>) -> ort::Result<Rows> {
        Ok(Rows {
            kernel: kernels::neighbours().map_err(fault)?,
            stride: attribute(context, "stride")?.max(1),
        })
    }
}

impl Compute for Rows {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let x = Input::of(context, 0)?;
        let &[views, tokens, channels] = x.shape() else {
            return Err(fault("the maps have not three dimensions"));
        };
        let [views, tokens, channels] = [views, tokens, channels].map(|d| d as usize);
        let side = tokens.isqrt();
        if side == 0 || side * side != tokens || !channels.is_multiple_of(FOUR) {
            return Err(fault(format!(
                "there is no kernel for maps of {tokens} tokens with {channels} channels"
            )));
        }
        let along = (side - 1) / self.stride + 1;
        let places = along * along;
        let shape = [views, places, STEPS * channels].map(|d| d as i64);
        let out = output(context, 0, &shape)?;
        let shape = Shape {
            blocks: [number(views * places)?, 1, 1],
            threads: THREADS,
            shared: 0,
        };
        let x = x.data();
        let (side, along, stride) = (number(side)?, number(along)?, number(self.stride)?);
        let fours = number(channels / FOUR)?;
        let mut arguments = arguments![x, out, side, along, stride, fours];
        // SAFETY: these are the parameters of `neighbours` in neighbours.cu; both tensors have the sizes
        // that it counts with, and the runtime keeps them until the stream is done with them.
        unsafe { self.kernel.launch(shape, stream(context)?, &mut arguments) }.map_err(fault)
    }
}
