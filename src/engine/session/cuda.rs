//! Calls of NVIDIA's own libraries that the runtime has no interface for: how much memory
//! the card has and has left, its name, zeroing and copying of device memory, streams for copies.
//!
//! The libraries are those that the runtime's CUDA provider has loaded already.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use libloading::Library;

/// CUDA's runtime library in the version that the runtime was built for.
const SYSTEM: &str = "libcudart.so.13";

/// Memory of the device, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub free: usize,
    pub total: usize,
}

pub struct Cuda {
    runtime: Library,
}

impl Cuda {
    /// Opens CUDA's runtime library (`libcudart.so.*`) in `folder`, else where the system's loader
    /// finds it; `None` when it is nowhere.
    pub fn open(folder: &Path) -> Option<Self> {
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .ok()?
            .flatten()
            .map(|e| e.path())
            .filter(|p| {
                p.file_name()
                    .and_then(|n| n.to_str())
                    .is_some_and(|n| n.starts_with("libcudart.so"))
            })
            .collect();
        files.sort();
        // SAFETY: NVIDIA's library runs no code at loading that asks for more than a process.
        let open = |path: &Path| unsafe { Library::new(path) }.ok();
        files.push(SYSTEM.into());
        let runtime = files.iter().find_map(|path| open(path))?;
        Some(Self { runtime })
    }

    /// Memory of the device that the calling thread uses (the first one, unless it chose another).
    pub fn memory(&self) -> Result<Memory, String> {
        type MemGetInfo = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;
        let (mut free, mut total) = (0, 0);
        // SAFETY: the signature is that of CUDA's runtime interface; both pointers are valid.
        let status = unsafe {
            let call = self
                .runtime
                .get::<MemGetInfo>(b"cudaMemGetInfo\0")
                .map_err(|e| e.to_string())?;
            call(&mut free, &mut total)
        };
        done("cudaMemGetInfo", status)?;
        Ok(Memory { free, total })
    }

    /// Sets `bytes` bytes of device memory to zero and waits for it.
    ///
    /// # Safety
    /// `data` must be device memory of at least that size which nothing else uses meanwhile.
    pub unsafe fn zero(&self, data: *mut c_void, bytes: usize) -> Result<(), String> {
        type Memset = unsafe extern "C" fn(*mut c_void, c_int, usize) -> c_int;
        type Synchronize = unsafe extern "C" fn() -> c_int;
        // SAFETY: the signatures are those of CUDA's runtime interface; the memory is the caller's
        // promise.
        let status = unsafe {
            let memset = self
                .runtime
                .get::<Memset>(b"cudaMemset\0")
                .map_err(|e| e.to_string())?;
            let synchronize = self
                .runtime
                .get::<Synchronize>(b"cudaDeviceSynchronize\0")
                .map_err(|e| e.to_string())?;
            match memset(data, 0, bytes) {
                0 => synchronize(),
                status => status,
            }
        };
        done("cudaMemset", status)
    }

    /// Copies `bytes` bytes between the host and the device, whichever of the two addresses is the
    /// device's. A copy to the device may not have ended when this returns; see [`Self::settle`].
    ///
    /// # Safety
    /// Both addresses must be memory of at least that size which nothing else uses meanwhile.
    pub unsafe fn copy(
        &self,
        to: *mut c_void,
        from: *const c_void,
        bytes: usize,
    ) -> Result<(), String> {
        type Memcpy = unsafe extern "C" fn(*mut c_void, *const c_void, usize, c_int) -> c_int;
        /// The direction is told from the addresses.
        const DEFAULT: c_int = 4;
        // SAFETY: the signature is that of CUDA's runtime interface; the memory is the caller's
        // promise. The host's memory is read or written to before the call returns.
        let status = unsafe {
            let memcpy = self
                .runtime
                .get::<Memcpy>(b"cudaMemcpy\0")
                .map_err(|e| e.to_string())?;
            memcpy(to, from, bytes, DEFAULT)
        };
        done("cudaMemcpy", status)
    }

    /// Locks pages of the host's memory, so that the device can read them by itself.
    ///
    /// # Safety
    /// `data` must be memory of at least `bytes` bytes that is neither freed nor locked again before
    /// [`Self::unlock`].
    pub unsafe fn lock(&self, data: *mut c_void, bytes: usize) -> Result<(), String> {
        type Register = unsafe extern "C" fn(*mut c_void, usize, c_uint) -> c_int;
        // SAFETY: the signature is that of CUDA's runtime interface; the memory is the caller's
        // promise. 0 asks for nothing but the lock.
        let status = unsafe {
            let register = self
                .runtime
                .get::<Register>(b"cudaHostRegister\0")
                .map_err(|e| e.to_string())?;
            register(data, bytes, 0)
        };
        done("cudaHostRegister", status)
    }

    /// Undoes [`Self::lock`].
    ///
    /// # Safety
    /// `data` must be what was locked, and no copy from it may be on its way.
    pub unsafe fn unlock(&self, data: *mut c_void) -> Result<(), String> {
        type Unregister = unsafe extern "C" fn(*mut c_void) -> c_int;
        // SAFETY: the signature is that of CUDA's runtime interface; the memory is the caller's
        // promise.
        let status = unsafe {
            let unregister = self
                .runtime
                .get::<Unregister>(b"cudaHostUnregister\0")
                .map_err(|e| e.to_string())?;
            unregister(data)
        };
        done("cudaHostUnregister", status)
    }

    /// Waits for all copies of the calling thread, and for no other work of the device: copies are
    /// on the default stream, which the runtime's own streams do not wait for.
    pub fn settle(&self) -> Result<(), String> {
        type Synchronize = unsafe extern "C" fn(*mut c_void) -> c_int;
        // SAFETY: the signature is that of CUDA's runtime interface; null is the default stream.
        let status = unsafe {
            let synchronize = self
                .runtime
                .get::<Synchronize>(b"cudaStreamSynchronize\0")
                .map_err(|e| e.to_string())?;
            synchronize(std::ptr::null_mut())
        };
        done("cudaStreamSynchronize", status)
    }
}

/// While CUDA records a graph, no other thread may call what could disturb that.
static RECORDING: RwLock<()> = RwLock::new(());

/// Until the guard is dropped nothing is recorded.
pub fn no_recording() -> RwLockReadGuard<'static, ()> {
    RECORDING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Until the guard is dropped this thread alone calls CUDA.
pub fn recording() -> RwLockWriteGuard<'static, ()> {
    RECORDING.write().unwrap_or_else(PoisonError::into_inner)
}

/// A stream of copies that waits for no other and that no other waits for.
pub struct Stream {
    stream: *mut c_void,
    cuda: Arc<Cuda>,
}

// SAFETY: a handle of CUDA's runtime, whose functions may be called from any thread.
unsafe impl Send for Stream {}

impl Stream {
    pub fn new(cuda: &Arc<Cuda>) -> Result<Self, String> {
        type Create = unsafe extern "C" fn(*mut *mut c_void, c_uint) -> c_int;
        /// `cudaStreamNonBlocking`: independent of the default stream.
        const NON_BLOCKING: c_uint = 1;
        let mut stream = std::ptr::null_mut();
        // SAFETY: the signature is that of CUDA's runtime interface; the pointer is valid.
        let status = unsafe {
            let create = cuda
                .runtime
                .get::<Create>(b"cudaStreamCreateWithFlags\0")
                .map_err(|e| e.to_string())?;
            create(&mut stream, NON_BLOCKING)
        };
        done("cudaStreamCreateWithFlags", status)?;
        let cuda = Arc::clone(cuda);
        Ok(Self { stream, cuda })
    }

    /// Copies `bytes` bytes from page-locked memory of the host to the device and waits for it.
    ///
    /// # Safety
    /// Both addresses must be memory of at least that size which nothing else uses meanwhile.
    pub unsafe fn copy(
        &self,
        to: *mut c_void,
        from: *const c_void,
        bytes: usize,
    ) -> Result<(), String> {
        type Memcpy =
            unsafe extern "C" fn(*mut c_void, *const c_void, usize, c_int, *mut c_void) -> c_int;
        type Synchronize = unsafe extern "C" fn(*mut c_void) -> c_int;
        /// `cudaMemcpyHostToDevice`
        const TO_DEVICE: c_int = 1;
        let runtime = &self.cuda.runtime;
        // SAFETY: the signatures are those of CUDA's runtime interface; the memory is the caller's
        // promise, and it is not used any more when this returns.
        unsafe {
            let memcpy = runtime.get::<Memcpy>(b"cudaMemcpyAsync\0");
            let memcpy = memcpy.map_err(|e| e.to_string())?;
            let synchronize = runtime.get::<Synchronize>(b"cudaStreamSynchronize\0");
            let synchronize = synchronize.map_err(|e| e.to_string())?;
            let status = memcpy(to, from, bytes, TO_DEVICE, self.stream);
            done("cudaMemcpyAsync", status)?;
            done("cudaStreamSynchronize", synchronize(self.stream))
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        type Destroy = unsafe extern "C" fn(*mut c_void) -> c_int;
        // SAFETY: the signature is that of CUDA's runtime interface; the stream was created by `new`
        // and has nothing left to do.
        unsafe {
            if let Ok(destroy) = self.cuda.runtime.get::<Destroy>(b"cudaStreamDestroy\0") {
                destroy(self.stream);
            }
        }
    }
}

fn done(call: &str, status: c_int) -> Result<(), String> {
    match status {
        0 => Ok(()),
        2 => Err(format!("{call}: CUDA is out of memory")),
        status => Err(format!("{call}: CUDA error {status}")),
    }
}

/// The first device's name (`NVIDIA H200`), by the driver; `None` when there is no driver.
pub fn name() -> Option<String> {
    type Init = unsafe extern "C" fn(u32) -> c_int;
    type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
    type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
    let mut text = [0 as c_char; 256];
    let mut device = 0;
    // SAFETY: the signatures are those of CUDA's driver interface; the name is cut to the buffer's
    // size and ends with a zero.
    unsafe {
        let driver = Library::new("libcuda.so.1").ok()?;
        let init = driver.get::<Init>(b"cuInit\0").ok()?;
        let get = driver.get::<Get>(b"cuDeviceGet\0").ok()?;
        let name = driver.get::<Name>(b"cuDeviceGetName\0").ok()?;
        if init(0) != 0
            || get(&mut device, 0) != 0
            || name(text.as_mut_ptr(), text.len() as c_int - 1, device) != 0
        {
            return None;
        }
        let name = CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned();
        Some(name)
    }
}
