//! Memory of the host that stays where it is (page-locked): the device reads it by itself, several
//! times as fast as memory whose pages may move, which the driver copies first.

use std::ffi::c_void;
use std::sync::Arc;

use super::cuda::Cuda;

/// Bytes of a page of memory, or of several.
const PAGE: usize = 4096;

/// Page-locked bytes, in pages that have nothing else in them: a page is locked once.
pub struct Locked {
    /// With a page more than is locked.
    memory: Box<[u8]>,
    /// The first byte that is locked.
    first: usize,
    bytes: usize,
    cuda: Arc<Cuda>,
}

impl Locked {
    /// So many zeros.
    pub fn new(cuda: &Arc<Cuda>, bytes: usize) -> Result<Self, String> {
        let whole = bytes.next_multiple_of(PAGE);
        let mut memory = vec![0u8; whole + PAGE].into_boxed_slice();
        let first = memory.as_ptr().addr().next_multiple_of(PAGE) - memory.as_ptr().addr();
        let data = memory[first..first + whole].as_mut_ptr();
        // SAFETY: the box is on the heap: it stays where it is until `drop`, which unlocks it first.
        unsafe { cuda.lock(data.cast::<c_void>(), whole) }?;
        Ok(Self {
            memory,
            first,
            bytes,
            cuda: Arc::clone(cuda),
        })
    }

    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.first..self.first + self.bytes]
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: `new` locked this memory, which is still there.
        let unlocked = unsafe {
            self.cuda
                .unlock(self.memory[self.first..].as_mut_ptr().cast())
        };
        if let Err(why) = unlocked {
            tracing::debug!("memory for page images stays locked: {why}");
        }
    }
}
