//! Layer normalisation of a residual stream in 32 bits, and the addition before it.
//!
//! `LayerNorm`: stream `[.., width]`, scale and shift `[width]`; normed as the stream is, in bfloat16.
//! `SkipLayerNorm` adds product `[.., width]` and bias `[width]` to the stream first; its second
//! output is the sum. Attribute of both: `epsilon`. Widths are multiples of 8.

use std::sync::Arc;

use ort::operator::{
    ComputeContext, Kernel as Compute, KernelContext, Operator, OperatorInput, OperatorOutput,
};
use ort::value::TensorElementType::{Bfloat16, Float32};

use super::driver::{Kernel, Shape};
use super::kernels;
use super::tensors::{Input, PROVIDER, arguments, fault, number, output, stream};

/// Elements of a thread.
const EIGHT: usize = 8;
/// Threads of a block at most.
const THREADS: usize = 1024;
/// Threads of a warp.
const WARP: usize = 32;

pub struct LayerNorm;
pub struct SkipLayerNorm;

pub struct Norm {
    kernel: Arc<Kernel>,
    epsilon: f32,
    /// A product is added before.
    skip: bool,
}

impl Norm {
    fn new(context: &KernelContext<'_>, skip: bool) -> ort::Result<Self> {
        Ok(Self {
            kernel: kernels::norm().map_err(fault)?,
            epsilon: context
                .get("epsilon")
                .ok_or_else(|| fault("the attribute epsilon is missing"))?,
            skip,
        })
    }
}

impl Operator for LayerNorm {
    type Kernel<'a> = Norm;

    fn name(&self) -> &str {
        "LayerNorm"
    }

    fn execution_provider_type(&self) -> Option<&str> {
        Some(PROVIDER)
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [Float32; 3].map(OperatorInput::required)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Bfloat16)]
    }

    fn create_kernel<'a>(&self, context: &KernelContext<'a>) -> ort::Result<Norm> {
        Norm::new(context, false)
    }
}

impl Operator for SkipLayerNorm {
    type Kernel<'a> = Norm;

    fn name(&self) -> &str {
        "SkipLayerNorm"
    }

    fn execution_provider_type(&self) -> Option<&str> {
        Some(PROVIDER)
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [Bfloat16, Float32, Float32, Float32, Float32].map(OperatorInput::required)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [Bfloat16, Float32].map(OperatorOutput::required)
    }

    fn create_kernel<'a>(&self, context: &KernelContext<'a>) -> ort::Result<Norm> {
        Norm::new(context, true)
    }
}

impl Compute for Norm {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let first = if self.skip { 2 } else { 0 };
        let tokens = Input::of(context, first)?;
        let (scale, shift) = (
            Input::of(context, first + 1)?,
            Input::of(context, first + 2)?,
        );
        let (rows, width) = (tokens.rows(), tokens.width());
        scale.expect("the scale", width)?;
        shift.expect("the shift", width)?;
        let threads = width.div_ceil(EIGHT).next_multiple_of(WARP);
        if !width.is_multiple_of(EIGHT) || threads > THREADS {
            return Err(fault(format!("a width of {width} has no kernel")));
        }
        let (mut product, mut bias, mut sum) =
            (std::ptr::null(), std::ptr::null(), std::ptr::null_mut());
        if self.skip {
            let (added, constant) = (Input::of(context, 0)?, Input::of(context, 1)?);
            added.expect("the product", tokens.elements())?;
            constant.expect("the bias", width)?;
            (product, bias) = (added.data(), constant.data());
            sum = output(context, 1, tokens.shape())?;
        }
        let normed = output(context, 0, tokens.shape())?;
        let shape = Shape {
            blocks: [number(rows)?, 1, 1],
            threads: threads as u32,
            shared: 0,
        };
        let (tokens, scale, shift) = (tokens.data(), scale.data(), shift.data());
        let width = number(width)?;
        let mut arguments = arguments![
            product,
            bias,
            tokens,
            scale,
            shift,
            normed,
            sum,
            width,
            self.epsilon
        ];
        // SAFETY: these are the parameters of `layer_norm` in norm.cu; all tensors are of the elements
        // that it reads and writes, and the runtime keeps them until the stream is done with them.
        unsafe { self.kernel.launch(shape, stream(context)?, &mut arguments) }.map_err(fault)
    }
}
