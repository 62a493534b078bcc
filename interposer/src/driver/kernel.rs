//! A kernel of ours in a context of the application's.
#![allow(unsafe_code)] // it loads a module, and launches
use crate::driver;
use core::ffi::CStr;
use core::ptr::null_mut;
use nvshare_abi::*;

/// Its function, a stream of its own, and memory of the host that both it and we read and write. All of it ends with the
/// context.
#[derive(Clone, Copy, Debug)]
pub struct OwnKernel {
    function: usize,
    stream: usize,
    buffer: usize,
}

impl OwnKernel {
    /// In the context that is current. `image` is its PTX.
    ///
    /// # Errors
    /// The driver's: it cannot be compiled for the device, or there is no room.
    pub fn load(image: &CStr, name: &CStr, buffer_bytes: usize) -> Result<Self, CUresult> {
        let (mut module, mut function): (CUmodule, CUfunction) = (null_mut(), null_mut());
        let (mut stream, mut buffer): (CUstream, *mut c_void) = (null_mut(), null_mut());
        // SAFETY: pointers to locals; the image and the name are texts that end with NUL. What was made is undone once.
        unsafe {
            driver::cuModuleLoadData(&mut module, image.as_ptr().cast()).ok()?;
            let made = driver::cuModuleGetFunction(&mut function, module, name.as_ptr())
                .ok()
                .and_then(|()| driver::cuStreamCreate(&mut stream, CU_STREAM_NON_BLOCKING).ok())
                .and_then(|()| {
                    driver::cuMemHostAlloc(&mut buffer, buffer_bytes, CU_MEMHOSTALLOC_DEVICEMAP).ok()
                });
            if let Err(code) = made {
                if !stream.is_null() {
                    driver::cuStreamDestroy_v2(stream);
                }
                driver::cuModuleUnload(module);
                return Err(code);
            }
        }
        Ok(Self { function: function as usize, stream: stream as usize, buffer: buffer as usize })
    }

    /// The host's memory, which has the same address on the device.
    pub fn buffer(&self) -> *mut c_void {
        self.buffer as *mut c_void
    }

    /// # Safety
    /// The context is current; `arguments` are pointers to what the kernel takes, which touches memory of the device
    /// that stays until [`Self::wait`] has returned.
    ///
    /// # Errors
    /// The driver's.
    pub unsafe fn launch(
        &self,
        blocks: u32,
        threads: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<(), CUresult> {
        let (function, stream) = (self.function as CUfunction, self.stream as CUstream);
        let arguments = arguments.as_mut_ptr();
        // SAFETY: the caller's promise; function and stream are of the context.
        unsafe {
            driver::cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, 0, stream, arguments, null_mut())
        }
        .ok()
    }

    /// Waits for what was launched.
    ///
    /// # Errors
    /// The driver's.
    pub fn wait(&self) -> Result<(), CUresult> {
        // SAFETY: our own stream, of a context that is alive.
        unsafe { driver::cuStreamSynchronize(self.stream as CUstream) }.ok()
    }
}
