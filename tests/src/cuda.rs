//! The driver API as a program without the runtime library sees it: looked up by name.
#![allow(unsafe_code)] // it calls the driver
use anyhow::{Context as _, Result, bail};
use libloading::os::unix::Library;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// The kernels that the simulated driver executes and a real one compiles.
pub const KERNELS: &str = include_str!("../fakecuda/kernels.ptx");

/// How a program finds the driver's functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Lookup {
    #[default]
    Dlsym,
    /// `cuGetProcAddress_v2`, as the CUDA runtime does it.
    ProcAddress,
    /// The same with the per-thread default stream's rules.
    PerThread,
}

type ProcAddress = unsafe extern "C" fn(*const c_char, *mut *mut c_void, c_int, u64, *mut c_uint) -> u32;

macro_rules! driver {
    ($( $field:ident: $symbol:literal ($($ty:ty),*); )*) => {
        /// The functions that the loads use; plain integers for handles.
        pub struct Cuda { $( $field: unsafe extern "C" fn($($ty),*) -> u32, )* _library: Library }

        impl Cuda {
            /// Opens `libcuda.so.1` and looks everything up.
            ///
            /// # Errors
            /// If the driver or one of the functions is not there.
            pub fn load(lookup: Lookup) -> Result<Self> {
                // SAFETY: the driver's initialisers are meant to run in any process.
                let library = unsafe { Library::new("libcuda.so.1") }.context("libcuda.so.1")?;
                let find = |symbol: &str| -> Result<*mut c_void> { address(&library, lookup, symbol) };
                Ok(Self {
                    $( $field: {
                        let found = find($symbol)?;
                        // SAFETY: NVIDIA's function of that name has this type.
                        unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($ty),*) -> u32>(found) }
                    }, )*
                    _library: library,
                })
            }
        }
    };
}

driver! {
    init: "cuInit"(c_uint);
    device_get: "cuDeviceGet"(*mut c_int, c_int);
    primary_retain: "cuDevicePrimaryCtxRetain"(*mut usize, c_int);
    ctx_set_current: "cuCtxSetCurrent"(usize);
    ctx_synchronize: "cuCtxSynchronize"();
    mem_alloc: "cuMemAlloc_v2"(*mut u64, usize);
    mem_free: "cuMemFree_v2"(u64);
    host_alloc: "cuMemHostAlloc"(*mut *mut c_void, usize, c_uint);
    host_register: "cuMemHostRegister_v2"(*mut c_void, usize, c_uint);
    stream_create: "cuStreamCreate"(*mut usize, c_uint);
    mem_info: "cuMemGetInfo_v2"(*mut usize, *mut usize);
    copy_out: "cuMemcpyDtoH_v2"(*mut c_void, u64, usize);
    copy_in: "cuMemcpyHtoD_v2"(u64, *const c_void, usize);
    event_create: "cuEventCreate"(*mut usize, c_uint);
    event_record: "cuEventRecord"(usize, usize);
    event_elapsed: "cuEventElapsedTime"(*mut f32, usize, usize);
    module_load: "cuModuleLoadData"(*mut usize, *const c_void);
    module_function: "cuModuleGetFunction"(*mut usize, usize, *const c_char);
    launch: "cuLaunchKernel"(usize, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, usize, *mut *mut c_void, *mut *mut c_void);
}

fn address(library: &Library, lookup: Lookup, symbol: &str) -> Result<*mut c_void> {
    // SAFETY: only the address is taken here.
    let by_name = |name: &str| unsafe { library.get::<*mut c_void>(name.as_bytes()) }.map(|s| s.into_raw());
    if lookup == Lookup::Dlsym {
        return by_name(symbol).with_context(|| symbol.to_owned());
    }
    let get = by_name("cuGetProcAddress_v2").context("cuGetProcAddress_v2")?;
    // SAFETY: NVIDIA's function of that name has this type.
    let get: ProcAddress = unsafe { std::mem::transmute(get) };
    let base = CString::new(symbol.trim_end_matches("_v2"))?;
    let (mut found, mut status) = (null_mut(), 0);
    let flags = if lookup == Lookup::PerThread { 2 } else { 0 };
    // SAFETY: a NUL-terminated name and pointers to locals.
    let code = unsafe { get(base.as_ptr(), &mut found, 12080, flags, &mut status) };
    if code != 0 || found.is_null() {
        bail!("cuGetProcAddress({symbol}): error {code}, status {status}");
    }
    Ok(found)
}

/// `0`, or the driver's error with the call that gave it.
fn check(what: &str, code: u32) -> Result<()> {
    if code == 0 { Ok(()) } else { bail!("{what}: CUDA error {code}") }
}

impl Cuda {
    /// Initialises CUDA and makes the first device's primary context current.
    ///
    /// # Errors
    /// What the driver says.
    pub fn begin(&self) -> Result<()> {
        self.begin_on(0).map(|_| ())
    }

    /// The same with the device of that number; its context.
    ///
    /// # Errors
    /// What the driver says.
    pub fn begin_on(&self, number: c_int) -> Result<usize> {
        let (mut device, mut context) = (0, 0);
        // SAFETY: pointers to locals.
        unsafe {
            check("cuInit", (self.init)(0))?;
            check("cuDeviceGet", (self.device_get)(&mut device, number))?;
            check("cuDevicePrimaryCtxRetain", (self.primary_retain)(&mut context, device))?;
        }
        self.make_current(context)?;
        Ok(context)
    }

    /// # Errors
    /// What the driver says.
    pub fn make_current(&self, context: usize) -> Result<()> {
        // SAFETY: a handle; the driver checks it.
        check("cuCtxSetCurrent", unsafe { (self.ctx_set_current)(context) })
    }

    /// # Errors
    /// What the driver says.
    pub fn function(&self, name: &str) -> Result<usize> {
        self.function_of(KERNELS, name)
    }

    /// A kernel of a PTX text.
    ///
    /// # Errors
    /// What the driver says.
    pub fn function_of(&self, ptx: &str, name: &str) -> Result<usize> {
        let text = CString::new(ptx)?;
        let name_c = CString::new(name)?;
        let (mut module, mut function) = (0, 0);
        // SAFETY: NUL-terminated texts and pointers to locals.
        unsafe {
            check("cuModuleLoadData", (self.module_load)(&mut module, text.as_ptr().cast()))?;
            check(name, (self.module_function)(&mut function, module, name_c.as_ptr()))?;
        }
        Ok(function)
    }

    /// # Errors
    /// What the driver says; `CUDA error 2` is out of memory.
    pub fn allocate(&self, bytes: usize) -> Result<u64> {
        let mut pointer = 0;
        // SAFETY: pointer to a local.
        check("cuMemAlloc", unsafe { (self.mem_alloc)(&mut pointer, bytes) })?;
        Ok(pointer)
    }

    /// Memory of the host that kernels can read and write, at the same address.
    ///
    /// # Errors
    /// What the driver says.
    pub fn host_memory(&self, bytes: usize) -> Result<*mut c_void> {
        let mut pointer = null_mut();
        // SAFETY: pointer to a local.
        check("cuMemHostAlloc", unsafe { (self.host_alloc)(&mut pointer, bytes, 0) })?;
        Ok(pointer)
    }

    /// A word in host memory that kernels can read while we write it.
    ///
    /// # Errors
    /// What the driver says.
    pub fn shared_word(&self) -> Result<&'static AtomicU32> {
        let pointer = self.host_memory(4096)?;
        // SAFETY: 4096 bytes, aligned to a page, never freed.
        let word: &'static AtomicU32 = unsafe { &*pointer.cast::<AtomicU32>() };
        word.store(0, SeqCst);
        Ok(word)
    }

    /// Memory of the host that kernels can read and write from then on.
    ///
    /// # Errors
    /// What the driver says.
    ///
    /// # Safety
    /// The range is mapped, begins and ends at a page, and stays.
    pub unsafe fn register(&self, start: *mut c_void, bytes: usize) -> Result<()> {
        // SAFETY: the caller's promise.
        check("cuMemHostRegister", unsafe { (self.host_register)(start, bytes, 0) })
    }

    /// A stream that is not ordered with the default one.
    ///
    /// # Errors
    /// What the driver says.
    pub fn stream(&self) -> Result<usize> {
        let mut stream = 0;
        // SAFETY: pointer to a local.
        check("cuStreamCreate", unsafe { (self.stream_create)(&mut stream, 1) })?;
        Ok(stream)
    }

    /// # Errors
    /// What the driver says.
    pub fn free(&self, pointer: u64) -> Result<()> {
        // SAFETY: an address; the driver checks it.
        check("cuMemFree", unsafe { (self.mem_free)(pointer) })
    }

    /// Free and total bytes.
    ///
    /// # Errors
    /// What the driver says.
    pub fn memory(&self) -> Result<(usize, usize)> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: pointers to locals.
        check("cuMemGetInfo", unsafe { (self.mem_info)(&mut free, &mut total) })?;
        Ok((free, total))
    }

    /// Launches on the default stream. `arguments` are the kernel's parameters, each of 8 bytes or fewer.
    ///
    /// # Errors
    /// What the driver says.
    pub fn launch(&self, function: usize, arguments: &mut [u64]) -> Result<()> {
        self.launch_on(0, function, arguments)
    }

    /// As [`Self::launch`], on a stream.
    ///
    /// # Errors
    /// What the driver says.
    pub fn launch_on(&self, stream: usize, function: usize, arguments: &mut [u64]) -> Result<()> {
        let mut pointers: Vec<*mut c_void> = arguments.iter_mut().map(|a| (a as *mut u64).cast()).collect();
        // SAFETY: one pointer for each parameter of the kernel, to 8 bytes each.
        check("cuLaunchKernel", unsafe {
            (self.launch)(function, 512, 1, 1, 256, 1, 1, 0, stream, pointers.as_mut_ptr(), null_mut())
        })
    }

    /// As [`Self::launch_on`] the default stream, in so many blocks; `arguments` point to the parameters.
    ///
    /// # Errors
    /// What the driver says.
    ///
    /// # Safety
    /// There are as many, of the sizes that the kernel takes.
    pub unsafe fn launch_blocks(
        &self,
        function: usize,
        blocks: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<()> {
        // SAFETY: the caller's promise.
        check("cuLaunchKernel", unsafe {
            (self.launch)(function, blocks, 1, 1, 256, 1, 1, 0, 0, arguments.as_mut_ptr(), null_mut())
        })
    }

    /// # Errors
    /// What the driver says.
    pub fn synchronize(&self) -> Result<()> {
        // SAFETY: no arguments.
        check("cuCtxSynchronize", unsafe { (self.ctx_synchronize)() })
    }

    /// # Errors
    /// What the driver says.
    pub fn event(&self) -> Result<usize> {
        let mut event = 0;
        // SAFETY: pointer to a local.
        check("cuEventCreate", unsafe { (self.event_create)(&mut event, 0) })?;
        Ok(event)
    }

    /// Records on the default stream.
    ///
    /// # Errors
    /// What the driver says.
    pub fn record(&self, event: usize) -> Result<()> {
        // SAFETY: an event of ours, and the default stream.
        check("cuEventRecord", unsafe { (self.event_record)(event, 0) })
    }

    /// The GPU's time between two recorded events, in seconds.
    ///
    /// # Errors
    /// What the driver says, for instance that they have not happened.
    pub fn seconds_between(&self, start: usize, end: usize) -> Result<f64> {
        let mut millis = 0.0;
        // SAFETY: pointer to a local.
        check("cuEventElapsedTime", unsafe { (self.event_elapsed)(&mut millis, start, end) })?;
        Ok(f64::from(millis) / 1e3)
    }

    /// Copies words to the device.
    ///
    /// # Errors
    /// What the driver says.
    pub fn write(&self, pointer: u64, words: &[u32]) -> Result<()> {
        // SAFETY: as many bytes as the words have; the driver checks the address.
        check("cuMemcpyHtoD", unsafe { (self.copy_in)(pointer, words.as_ptr().cast(), 4 * words.len()) })
    }

    /// Copies words from the device.
    ///
    /// # Errors
    /// What the driver says.
    pub fn read(&self, pointer: u64, words: &mut [u32]) -> Result<()> {
        // SAFETY: as above.
        check("cuMemcpyDtoH", unsafe { (self.copy_out)(words.as_mut_ptr().cast(), pointer, 4 * words.len()) })
    }

    /// How many of the `count` words at `pointer` are not `expected`.
    ///
    /// # Errors
    /// What the driver says.
    pub fn count_wrong(&self, pointer: u64, count: usize, expected: u32) -> Result<usize> {
        let mut words = vec![!expected; count.min(1 << 20)];
        let mut wrong = 0;
        for start in (0..count).step_by(words.len().max(1)) {
            let part = words.len().min(count - start);
            // SAFETY: `part` words fit into the buffer.
            check("cuMemcpyDtoH", unsafe {
                (self.copy_out)(words.as_mut_ptr().cast(), pointer + 4 * start as u64, 4 * part)
            })?;
            wrong += words[..part].iter().filter(|word| **word != expected).count();
        }
        Ok(wrong)
    }
}
