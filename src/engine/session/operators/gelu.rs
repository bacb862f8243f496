//! A bias and the function behind it, of x `[.., width]` and bias `[width]`; the width is a multiple
//! of 8. `BiasGelu` is exact, by the error function; `BiasQuickGelu` is `y * sigmoid(1.702 * y)`.

use std::ffi::CStr;
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
const THREADS: u32 = 256;

pub struct BiasGelu;
pub struct BiasQuickGelu;

pub struct Biased {
    kernel: Arc<Kernel>,
}

impl Biased {
    fn new(name: &'static CStr) -> ort::Result<Self> {
        let kernel = kernels::gelu(name).map_err(fault)?;
        Ok(Self { kernel })
    }
}

macro_rules! operator {
    ($operator:ident, $kernel:literal) => {
        impl Operator for $operator {
            type Kernel<'a> = Biased;

            fn name(&self) -> &str {
                stringify!($operator)
            }

            fn execution_provider_type(&self) -> Option<&str> {
                Some(PROVIDER)
            }

            fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
                [Bfloat16, Float32].map(OperatorInput::required)
            }

            fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
                [OperatorOutput::required(Bfloat16)]
            }

            fn create_kernel<'a>(&self, _: &KernelContext<'a>) -> ort::Result<Biased> {
                Biased::new($kernel)
            }
        }
    };
}

operator!(BiasGelu, c"bias_gelu");
operator!(BiasQuickGelu, c"bias_quick_gelu");

impl Compute for Biased {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let (x, bias) = (Input::of(context, 0)?, Input::of(context, 1)?);
        let width = x.width();
        bias.expect("the bias", width)?;
        if !width.is_multiple_of(EIGHT) {
            return Err(fault(format!("a width of {width} has no kernel")));
        }
        let out = output(context, 0, x.shape())?;
        let (eights, width) = (number(x.elements() / EIGHT)?, number(width / EIGHT)?);
        let shape = Shape {
            blocks: [eights.div_ceil(THREADS), 1, 1],
            threads: THREADS,
            shared: 0,
        };
        let (x, bias) = (x.data(), bias.data());
        let mut arguments = arguments![x, bias, out, eights, width];
        // SAFETY: these are the parameters of the kernels in gelu.cu; all tensors are of the elements
        // that they read and write, and the runtime keeps them until the stream is done with them.
        unsafe { self.kernel.launch(shape, stream(context)?, &mut arguments) }.map_err(fault)
    }
}
