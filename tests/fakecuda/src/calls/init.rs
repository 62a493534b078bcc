//! Birth and lookup.
use crate::driver::put;
use crate::lookup;
use crate::sim::process::Process;
use nvshare_abi::*;
use std::ffi::CStr;

driver! {
    cuInit(flags: c_uint) |_| {
        if flags != 0 {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        Process::init()
    }

    cuDriverGetVersion(version: *mut c_int) |_| { put(version, 13000) }

    cuGetProcAddress(symbol: *const c_char, pfn: *mut *mut c_void, version: c_int, flags: cuuint64_t) |_| {
        find(symbol, pfn, version, flags, std::ptr::null_mut())
    }

    cuGetProcAddress_v2(symbol: *const c_char, pfn: *mut *mut c_void, version: c_int, flags: cuuint64_t, status: *mut CUdriverProcAddressQueryResult) |_| {
        find(symbol, pfn, version, flags, status)
    }

    cuGetExportTable(table: *mut *const c_void, _id: *const CUuuid) |_| {
        put(table, std::ptr::null())?;
        Err(CUresult::ERROR_NOT_FOUND)
    }
}

/// The recorded answer.
///
/// # Safety
/// As `cuGetProcAddress_v2`; `status` may be null.
unsafe fn find(
    symbol: *const c_char,
    pfn: *mut *mut c_void,
    version: c_int,
    flags: cuuint64_t,
    status: *mut CUdriverProcAddressQueryResult,
) -> crate::driver::Outcome {
    if symbol.is_null() || pfn.is_null() {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    // SAFETY: a NUL-terminated text, by the caller's promise.
    let name = unsafe { CStr::from_ptr(symbol) }.to_str().map_err(|_| CUresult::ERROR_NOT_FOUND)?;
    let answer = lookup::answer(name, flags, version);
    // SAFETY: checked against null, and the caller's promise.
    unsafe {
        put(pfn, answer.address as *mut c_void)?;
        if !status.is_null() {
            put(status, answer.status)?;
        }
    }
    if answer.code == 0 { Ok(()) } else { Err(CUresult(answer.code)) }
}
