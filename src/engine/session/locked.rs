//! Memory of the host that stays where it is (page-locked): the device reads it by itself, several
//! times as fast as memory whose pages may move, which the driver copies first.

use std::ffi::c_void;
use std::sync::Arc;

use super::cuda::Cuda;

/// Bytes, page-locked where a device is to read them and the driver allows it.
pub struct Locked {
    bytes: Box<[u8]>,
    /// There when the bytes are locked.
    cuda: Option<Arc<Cuda>>,
}

impl Locked {
    /// So many zeros that no device reads.
    pub fn plain(bytes: usize) -> Self {
        Self {
            bytes: vec![0; bytes].into_boxed_slice(),
            cuda: None,
        }
    }

    /// So many zeros for a device. Where they cannot be locked they are ordinary memory, which is
    /// slower and nothing else.
    pub(super) fn on(cuda: &Arc<Cuda>, bytes: usize) -> Self {
        let mut locked = Self::plain(bytes);
        let data = locked.bytes.as_mut_ptr().cast::<c_void>();
        // SAFETY: the box is on the heap: it stays where it is until `drop`, which unlocks it first.
        match unsafe { cuda.lock(data, bytes) } {
            Ok(()) => locked.cuda = Some(Arc::clone(cuda)),
            Err(why) => tracing::debug!("memory for page images is not locked: {why}"),
        }
        locked
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        if let Some(cuda) = self.cuda.take() {
            // SAFETY: `on` locked this memory, which is still there.
            let unlocked = unsafe { cuda.unlock(self.bytes.as_mut_ptr().cast()) };
            if let Err(why) = unlocked {
                tracing::debug!("memory for page images stays locked: {why}");
            }
        }
    }
}
