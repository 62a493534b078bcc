//! Modules, libraries and their kernels: from PTX text only.
use crate::driver::{Outcome, put};
use crate::ptx;
use crate::sim::kernels::Kernel;
use crate::sim::process::Process;
use nvshare_abi::*;
use std::ffi::CStr;

/// Makes a module of a PTX text.
fn load(text: &str) -> Result<usize, CUresult> {
    let process = Process::get()?;
    if !ptx::is_ptx(text) {
        return Err(CUresult::ERROR_INVALID_IMAGE);
    }
    let mut inner = process.inner();
    let handle = inner.handle();
    inner.modules.modules.insert(handle, ptx::entries(text));
    Ok(handle)
}

/// The image that a caller passes.
///
/// # Safety
/// `image` is a PTX text that ends with NUL, or begins with a cubin's or fat binary's mark.
unsafe fn image(image: *const c_void) -> Result<usize, CUresult> {
    if image.is_null() {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    // SAFETY: every image has four bytes; a text without a binary's mark ends with NUL.
    let text = unsafe {
        let mark = image.cast::<[u8; 4]>().read();
        if mark == *b"\x7fELF" || mark == [0x50, 0xed, 0x55, 0xba] {
            return Err(CUresult::ERROR_NO_BINARY_FOR_GPU);
        }
        CStr::from_ptr(image.cast())
    };
    load(&text.to_string_lossy())
}

/// A kernel of a module or library.
///
/// # Safety
/// `name` is null or a text that ends with NUL.
unsafe fn kernel(module: usize, name: *const c_char) -> Result<Kernel, CUresult> {
    if name.is_null() {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let process = Process::get()?;
    let inner = process.inner();
    let entries = inner.modules.modules.get(&module).ok_or(CUresult::ERROR_INVALID_HANDLE)?;
    let known = entries.iter().any(|entry| *entry == name);
    if known { Ok(Kernel::named(&name)) } else { Err(CUresult::ERROR_NOT_FOUND) }
}

fn function(kernel: Kernel) -> Result<CUfunction, CUresult> {
    let process = Process::get()?;
    let mut inner = process.inner();
    let handle = inner.handle();
    inner.modules.functions.insert(handle, kernel);
    Ok(handle as CUfunction)
}

fn unload(module: usize) -> Outcome {
    let removed = Process::get()?.inner().modules.modules.remove(&module);
    removed.map(|_| ()).ok_or(CUresult::ERROR_INVALID_HANDLE)
}

driver! {
    cuModuleLoad(module: *mut CUmodule, path: *const c_char) |_| {
        Process::get()?.context()?;
        let path = CStr::from_ptr(path).to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).map_err(|_| CUresult::ERROR_FILE_NOT_FOUND)?;
        put(module, load(&text)? as CUmodule)
    }

    cuModuleLoadData(module: *mut CUmodule, data: *const c_void) |_| {
        Process::get()?.context()?;
        put(module, image(data)? as CUmodule)
    }

    cuModuleLoadDataEx(module: *mut CUmodule, data: *const c_void, _count: c_uint, _options: *mut CUjit_option, _values: *mut *mut c_void) |_| {
        Process::get()?.context()?;
        put(module, image(data)? as CUmodule)
    }

    cuModuleUnload(module: CUmodule) |_| { unload(module as usize) }

    cuModuleGetFunction(pfunction: *mut CUfunction, module: CUmodule, name: *const c_char) |_| {
        put(pfunction, function(kernel(module as usize, name)?)?)
    }

    cuModuleGetGlobal_v2(_dptr: *mut CUdeviceptr, _bytes: *mut usize, _module: CUmodule, _name: *const c_char) |_| {
        Err(CUresult::ERROR_NOT_FOUND)
    }

    cuLibraryLoadData(library: *mut CUlibrary, code: *const c_void, _jit_options: *mut CUjit_option, _jit_values: *mut *mut c_void, _jit_count: c_uint, _options: *mut CUlibraryOption, _values: *mut *mut c_void, _count: c_uint) |_| {
        put(library, image(code)? as CUlibrary)
    }

    cuLibraryUnload(library: CUlibrary) |_| { unload(library as usize) }

    cuLibraryGetKernel(pkernel: *mut CUkernel, library: CUlibrary, name: *const c_char) |_| {
        let found = kernel(library as usize, name)?;
        let process = Process::get()?;
        let mut inner = process.inner();
        let handle = inner.handle();
        inner.modules.kernels.insert(handle, found);
        put(pkernel, handle as CUkernel)
    }

    cuKernelGetFunction(pfunction: *mut CUfunction, kernel: CUkernel) |_| {
        Process::get()?.context()?;
        let found = Process::get()?.inner().modules.kernels.get(&(kernel as usize)).copied();
        put(pfunction, function(found.ok_or(CUresult::ERROR_INVALID_HANDLE)?)?)
    }
}
