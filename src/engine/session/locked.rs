//! Memory of the host that stays where it is (page-locked): the device reads it by itself, several
//! times as fast as memory whose pages may move, which the driver copies first.

use std::ffi::c_void;
use std::sync::Arc;

use super::cuda::Cuda;

/// Page-locked bytes.
pub struct Locked {
    bytes: Box<[u8]>,
    cuda: Arc<Cuda>,
}

impl Locked {
    /// So many zeros.
    pub fn new(cuda: &Arc<Cuda>, bytes: usize) -> Result<Self, String> {
        let mut bytes = vec![0; bytes].into_boxed_slice();
        // SAFETY: the box is on the heap: it stays where it is until `drop`, which unlocks it first.
        unsafe { cuda.lock(bytes.as_mut_ptr().cast::<c_void>(), bytes.len()) }?;
        let cuda = Arc::clone(cuda);
        Ok(Self { bytes, cuda })
    }

    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: `new` locked this memory, which is still there.
        let unlocked = unsafe { self.cuda.unlock(self.bytes.as_mut_ptr().cast()) };
        if let Err(why) = unlocked {
            tracing::debug!("memory for page images stays locked: {why}");
        }
    }
}
