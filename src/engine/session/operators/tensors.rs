//! The tensors of one call of an operator: where they are on the device and how large.

use std::ffi::c_void;

use ort::operator::{ComputeContext, KernelContext};
use ort::value::{DynTensorValueType, ValueRef};

/// The provider whose operators these are.
pub const PROVIDER: &str = "CUDAExecutionProvider";

/// What went wrong, in words, as the runtime takes it.
pub fn fault(why: impl std::fmt::Display) -> ort::Error {
    ort::Error::new(why.to_string())
}

/// An attribute that counts something.
pub fn attribute(context: &KernelContext<'_>, name: &str) -> ort::Result<usize> {
    let value: Option<i64> = context.get(name);
    value
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| fault(format!("the attribute {name} is missing or below 0")))
}

/// An input.
pub struct Input<'c> {
    tensor: ValueRef<'c, DynTensorValueType>,
}

impl<'c> Input<'c> {
    /// The input at `place`.
    pub fn of(context: &'c ComputeContext, place: usize) -> ort::Result<Self> {
        let value = context.input(place)?;
        let value = value.ok_or_else(|| fault(format!("input {place} is missing")))?;
        Ok(Self {
            tensor: value.downcast()?,
        })
    }

    pub fn shape(&self) -> &[i64] {
        self.tensor.shape()
    }

    /// Elements of the last dimension.
    pub fn width(&self) -> usize {
        self.shape().last().map_or(1, |&d| d as usize)
    }

    pub fn elements(&self) -> usize {
        self.shape().iter().map(|&d| d as usize).product()
    }

    /// Rows of [`Self::width`] elements.
    pub fn rows(&self) -> usize {
        self.elements() / self.width().max(1)
    }

    /// Refuses a tensor that has not `wanted` elements.
    pub fn expect(&self, what: &str, wanted: usize) -> ort::Result<()> {
        match self.elements() {
            found if found == wanted => Ok(()),
            found => Err(fault(format!("{what} has {found} elements, not {wanted}"))),
        }
    }

    pub fn data(&self) -> *const c_void {
        self.tensor.data_ptr()
    }
}

/// Memory for the output at `place`.
pub fn output(context: &ComputeContext, place: usize, shape: &[i64]) -> ort::Result<*mut c_void> {
    let value = context.output(place, shape.to_vec())?;
    let value = value.ok_or_else(|| fault(format!("output {place} is missing")))?;
    let tensor = value.downcast::<DynTensorValueType>()?;
    Ok(tensor.data_ptr().cast_mut())
}

/// The stream on which the operator is to queue its work; null is the default stream.
pub fn stream(context: &ComputeContext) -> ort::Result<*mut c_void> {
    let stream = context.stream()?;
    Ok(stream.map_or(std::ptr::null_mut(), |s| s.as_ptr().cast()))
}

/// A number for a kernel, which counts in 32 bits.
pub fn number(n: usize) -> ort::Result<u32> {
    u32::try_from(n).map_err(|_| fault(format!("{n} is too large a number for a kernel")))
}

/// The arguments of a kernel as its launch wants them.
macro_rules! arguments {
    ($($value:expr),* $(,)?) => {
        [$((&raw const $value).cast_mut().cast::<std::ffi::c_void>()),*]
    };
}
pub(super) use arguments;
