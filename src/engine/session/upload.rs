//! Bytes that are on the device before the run that reads them: other threads bring them there, by
//! page-locked memory and streams of their own, while the device works on something else.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use ort::memory::Allocator;
use ort::value::{DynTensor, TensorElementType};

use super::RunError;
use super::cuda::{Cuda, Stream};
use super::device::OnDevice;
use super::locked::Locked;

/// Places on the device, each for the bytes of one upload.
#[derive(Clone)]
pub struct Uploads(Arc<Shared>);

struct Shared {
    free: Mutex<Vec<Place>>,
    /// Bytes of a place.
    bytes: usize,
}

struct Place {
    locked: Locked,
    tensor: DynTensor,
    stream: Stream,
}

/// Bytes on the device. Their place is free again when this is dropped, which must not be before the
/// run that reads them has ended.
pub struct Upload {
    /// `None` only while this is dropped.
    place: Option<Place>,
    bytes: usize,
    shared: Arc<Shared>,
}

/// Type of the elements of an input that is put together of parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartType {
    U8,
    Bf16,
}

/// A piece of a large input: bytes in the host's memory, of an upload or of a tensor.
#[derive(Clone)]
pub enum Part<'p> {
    Host(&'p [u8]),
    Upload(&'p Upload, Range<usize>),
    Tensor(&'p OnDevice, Range<usize>),
}

impl Uploads {
    /// `count` places of `bytes` bytes.
    pub(super) fn new(
        cuda: &Arc<Cuda>,
        allocator: &Allocator,
        count: usize,
        bytes: usize,
    ) -> Result<Self, RunError> {
        let mut free = Vec::with_capacity(count);
        for _ in 0..count {
            let shape = vec![bytes as i64];
            free.push(Place {
                locked: Locked::new(cuda, bytes).map_err(RunError)?,
                tensor: DynTensor::new(allocator, TensorElementType::Uint8, shape)
                    .map_err(|e| RunError(e.to_string()))?,
                stream: Stream::new(cuda).map_err(RunError)?,
            });
        }
        let free = Mutex::new(free);
        Ok(Self(Arc::new(Shared { free, bytes })))
    }

    /// Brings `parts`, one after the other, to the device and waits for it; from any thread. `None`
    /// where no place is free or none is large enough, or where the copy failed, which the log says.
    pub fn put(&self, parts: &[&[u8]]) -> Option<Upload> {
        let bytes = parts.iter().map(|part| part.len()).sum();
        if bytes > self.0.bytes {
            return None;
        }
        let mut place = self.0.free().pop()?;
        let to = place.tensor.data_ptr_mut();
        let mut rest = place.locked.bytes();
        for part in parts {
            let (to, behind) = rest.split_at_mut(part.len());
            to.copy_from_slice(part);
            rest = behind;
        }
        let from = place.locked.bytes().as_ptr().cast::<c_void>();
        let copied = {
            let _none = super::cuda::no_recording();
            // SAFETY: the tensor has as many bytes as the page-locked memory, of which `bytes` are
            // copied; both are this place's, which nothing else uses while it is not free.
            unsafe { place.stream.copy(to, from, bytes) }
        };
        let upload = Upload {
            place: Some(place),
            bytes,
            shared: Arc::clone(&self.0),
        };
        match copied {
            Ok(()) => Some(upload),
            Err(why) => {
                tracing::warn!("a page image is copied by the run that reads it: {why}");
                None
            }
        }
    }
}

impl Shared {
    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Place>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upload {
    /// Where `range` of the bytes begins, if they are all there.
    fn at(&self, range: &Range<usize>) -> Option<*const c_void> {
        let inside = range.start <= range.end && range.end <= self.bytes;
        let place = self.place.as_ref().filter(|_| inside)?;
        let first = place.tensor.data_ptr().cast::<u8>();
        Some(first.wrapping_add(range.start).cast())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.shared.free().push(place);
        }
    }
}

impl Part<'_> {
    pub fn len(&self) -> usize {
        match self {
            Self::Host(bytes) => bytes.len(),
            Self::Upload(_, range) | Self::Tensor(_, range) => range.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, where they are in the host's memory.
    pub fn host(&self) -> Result<&[u8], RunError> {
        match self {
            Self::Host(bytes) => Ok(bytes),
            Self::Upload(..) | Self::Tensor(..) => {
                Err(RunError("these bytes are on a device".into()))
            }
        }
    }

    /// Address of the first byte, on the host or on the device.
    pub(super) fn first(&self) -> Result<*const c_void, RunError> {
        let first = match self {
            Self::Host(bytes) => Some(bytes.as_ptr().cast()),
            Self::Upload(upload, range) => upload.at(range),
            Self::Tensor(tensor, range) => tensor.at(range),
        };
        first.ok_or_else(|| RunError("a part of an input is not there".into()))
    }
}
