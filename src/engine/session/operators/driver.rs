//! CUDA's driver interface, as far as kernels need it: PTX becomes code for the card that is there,
//! and kernels are launched.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use libloading::Library;

/// `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES` of `cuda.h`.
const DYNAMIC_SHARED: c_int = 8;
/// Bytes of shared memory that a block gets without asking.
const GRANTED: u32 = 48 << 10;

type LoadData = unsafe extern "C" fn(
    *mut *mut c_void,
    *const c_void,
    *mut c_int,
    *mut *mut c_void,
    c_uint,
    *mut c_int,
    *mut *mut c_void,
    c_uint,
) -> c_int;
type GetKernel = unsafe extern "C" fn(*mut *mut c_void, *mut c_void, *const c_char) -> c_int;
type SetAttribute = unsafe extern "C" fn(c_int, c_int, *mut c_void, c_int) -> c_int;
type GetDevice = unsafe extern "C" fn(*mut c_int) -> c_int;
type Launch = unsafe extern "C" fn(
    *mut c_void,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    *mut c_void,
    *mut *mut c_void,
    *mut *mut c_void,
) -> c_int;

struct Driver {
    load: LoadData,
    get_kernel: GetKernel,
    set_attribute: SetAttribute,
    get_device: GetDevice,
    launch: Launch,
    /// Keeps the functions above.
    _library: Library,
}

impl Driver {
    fn open() -> Result<Self, String> {
        // SAFETY: NVIDIA's driver, which the runtime's CUDA provider has loaded already; the
        // signatures are those of `cuda.h`.
        unsafe {
            let library = Library::new("libcuda.so.1").map_err(|e| e.to_string())?;
            let missing = |e: libloading::Error| e.to_string();
            Ok(Self {
                load: *library.get(b"cuLibraryLoadData\0").map_err(missing)?,
                get_kernel: *library.get(b"cuLibraryGetKernel\0").map_err(missing)?,
                set_attribute: *library.get(b"cuKernelSetAttribute\0").map_err(missing)?,
                get_device: *library.get(b"cuCtxGetDevice\0").map_err(missing)?,
                launch: *library.get(b"cuLaunchKernel\0").map_err(missing)?,
                _library: library,
            })
        }
    }
}

/// The driver, opened once and kept.
fn driver() -> Result<&'static Driver, String> {
    static DRIVER: Mutex<Option<&'static Driver>> = Mutex::new(None);
    let mut opened = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
    match *opened {
        Some(driver) => Ok(driver),
        None => Ok(opened.insert(Box::leak(Box::new(Driver::open()?)))),
    }
}

/// Kernels that were translated together. They stay as long as the process.
pub struct Module {
    driver: &'static Driver,
    library: *mut c_void,
}

// SAFETY: a handle of the driver, whose functions may be called from any thread.
unsafe impl Send for Module {}

impl Module {
    /// Has the driver translate `ptx`.
    pub fn load(ptx: &CStr) -> Result<Self, String> {
        let driver = driver()?;
        let (mut library, none, nothing) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: the text ends with a zero, as the driver wants it; no options are given.
        let status = unsafe {
            let ptx = ptx.as_ptr().cast();
            (driver.load)(&mut library, ptx, none, nothing, 0, none, nothing, 0)
        };
        done("cuLibraryLoadData", status)?;
        Ok(Self { driver, library })
    }

    pub fn kernel(&self, name: &CStr) -> Result<Kernel, String> {
        let mut handle = ptr::null_mut();
        // SAFETY: the library was loaded and is never unloaded.
        let status = unsafe { (self.driver.get_kernel)(&mut handle, self.library, name.as_ptr()) };
        done("cuLibraryGetKernel", status)?;
        Ok(Kernel {
            driver: self.driver,
            handle,
            shared: AtomicU32::new(GRANTED),
        })
    }
}

/// A function of the device.
pub struct Kernel {
    driver: &'static Driver,
    handle: *mut c_void,
    /// Bytes of shared memory that a block may have.
    shared: AtomicU32,
}

// SAFETY: a handle of the driver, whose functions may be called from any thread.
unsafe impl Send for Kernel {}
// SAFETY: the same.
unsafe impl Sync for Kernel {}

/// Blocks of threads, and the bytes of shared memory of each.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub blocks: [u32; 3],
    pub threads: u32,
    pub shared: u32,
}

impl Kernel {
    /// Queues the kernel on `stream`.
    ///
    /// # Safety
    /// `arguments` must point to values of the number and the types of the kernel's parameters, whose
    /// pointers are to device memory that is valid for what the kernel does with it until `stream`
    /// has worked it off.
    pub unsafe fn launch(
        &self,
        shape: Shape,
        stream: *mut c_void,
        arguments: &mut [*mut c_void],
    ) -> Result<(), String> {
        let [x, y, z] = shape.blocks;
        if x == 0 || y == 0 || z == 0 {
            return Ok(());
        }
        if shape.shared > self.shared.load(Ordering::Relaxed) {
            self.grant(shape.shared)?;
        }
        // SAFETY: the caller's promise.
        let status = unsafe {
            (self.driver.launch)(
                self.handle,
                x,
                y,
                z,
                shape.threads,
                1,
                1,
                shape.shared,
                stream,
                arguments.as_mut_ptr(),
                ptr::null_mut(),
            )
        };
        done("cuLaunchKernel", status)
    }

    fn grant(&self, bytes: u32) -> Result<(), String> {
        let mut device = 0;
        // SAFETY: the signatures are those of `cuda.h`; the calling thread has the runtime's context,
        // for it is in the midst of a run.
        let status = unsafe {
            done("cuCtxGetDevice", (self.driver.get_device)(&mut device))?;
            (self.driver.set_attribute)(DYNAMIC_SHARED, bytes as c_int, self.handle, device)
        };
        done("cuKernelSetAttribute", status)
            .map_err(|e| format!("{e}: blocks of this card cannot have {bytes} bytes"))?;
        self.shared.store(bytes, Ordering::Relaxed);
        Ok(())
    }
}

fn done(call: &str, status: c_int) -> Result<(), String> {
    match status {
        0 => Ok(()),
        2 => Err(format!("{call}: CUDA is out of memory")),
        // No image for the device, PTX that is refused, PTX of a newer version than the driver's.
        209 | 218 | 222 => Err(format!(
            "{call}: CUDA error {status}: the driver cannot translate the kernels; it must be 580 or \
             newer, and the card of compute capability 8.0 or more"
        )),
        221 => Err(format!(
            "{call}: CUDA error {status}: the driver's compiler is missing; install \
             libnvidia-ptxjitcompiler of the driver's version"
        )),
        status => Err(format!("{call}: CUDA error {status}")),
    }
}
