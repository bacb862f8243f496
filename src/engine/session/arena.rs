//! One arena of host memory for all sessions on the CPU.
//!
//! Each session has its own by default, and keeps what its largest run took. The models of a page
//! run one after the other, so that one arena for all holds the largest instead of the sum (0.26 GB
//! less after a page of A4, 0.4 GB less after the largest: layout and text detection).

use ort::AsPointer;
use ort::environment::Environment;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};

/// Registers the arena in `environment`; sessions that ask for the environment's allocators use it.
pub(super) fn share(environment: &Environment) -> ort::Result<()> {
    let info = MemoryInfo::new(
        AllocationDevice::CPU,
        0,
        AllocatorType::Arena,
        MemoryType::Default,
    )?;
    // SAFETY: the environment and the description live through the call, which keeps neither
    // pointer; no configuration means the runtime's defaults (`Environment::
    // CreateAndRegisterAllocator` in ONNX Runtime's `environment.cc`). A status that is not null
    // is an error, which `result_from_status` reads and frees.
    unsafe {
        ort::Error::result_from_status((ort::api().CreateAndRegisterAllocator)(
            environment.ptr().cast_mut(),
            info.ptr(),
            std::ptr::null(),
        ))
    }
}
