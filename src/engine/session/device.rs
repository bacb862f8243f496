//! Tensors that stay on the device where they were made.

use std::ffi::c_void;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use half::bf16;
use ort::value::DynTensor;

use super::RunError;
use super::cuda::Cuda;

/// A tensor on the device.
pub struct OnDevice {
    tensor: DynTensor,
    bytes: usize,
    cuda: Arc<Cuda>,
}

impl OnDevice {
    /// `bytes` are those of all elements.
    pub(super) fn new(tensor: DynTensor, bytes: usize, cuda: &Arc<Cuda>) -> Self {
        let cuda = Arc::clone(cuda);
        Self {
            tensor,
            bytes,
            cuda,
        }
    }

    pub(super) fn tensor(&self) -> &DynTensor {
        &self.tensor
    }

    pub fn shape(&self) -> &[i64] {
        self.tensor.shape()
    }

    pub(super) fn memory(&self) -> (*const u8, usize) {
        (self.tensor.data_ptr().cast(), self.bytes)
    }

    /// Where `range` of the bytes begins, if they are all there.
    pub(super) fn at(&self, range: &Range<usize>) -> Option<*const c_void> {
        let inside = range.start <= range.end && range.end <= self.bytes;
        inside.then(|| self.memory().0.wrapping_add(range.start).cast())
    }

    /// A copy of the elements, which are bfloat16.
    pub fn read(&self) -> Result<Vec<bf16>, RunError> {
        let mut elements = vec![bf16::ZERO; self.bytes / size_of::<bf16>()];
        let (from, bytes) = (self.memory().0.cast(), size_of_val(&elements[..]));
        // SAFETY: the tensor has at least so many bytes, the vector exactly; no run writes to it.
        unsafe { self.cuda.copy(elements.as_mut_ptr().cast(), from, bytes) }.map_err(RunError)?;
        Ok(elements)
    }
}

impl fmt::Debug for OnDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnDevice({:?})", self.shape())
    }
}

/// Whether they are the same tensor.
impl PartialEq for OnDevice {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}
