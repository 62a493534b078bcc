//! Words for errors.
use crate::driver::{Outcome, put};
use nvshare_abi::*;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::sync::Mutex;

/// The name in `cuda.h`, kept for ever, as callers keep the pointer.
fn name(error: CUresult) -> Option<&'static CStr> {
    static NAMES: Mutex<BTreeMap<u32, &'static CStr>> = Mutex::new(BTreeMap::new());
    let short = error.name()?;
    let mut names = NAMES.lock().unwrap_or_else(|e| e.into_inner());
    let made = || -> &'static CStr {
        Box::leak(CString::new(format!("CUDA_{short}")).expect("a name without NUL").into_boxed_c_str())
    };
    Some(names.entry(error.0).or_insert_with(made))
}

/// # Safety
/// `text` is null or valid for a write.
unsafe fn say(error: CUresult, text: *mut *const c_char) -> Outcome {
    let found = name(error);
    // SAFETY: the caller's promise.
    unsafe { put(text, found.map_or(std::ptr::null(), CStr::as_ptr))? };
    found.map(|_| ()).ok_or(CUresult::ERROR_INVALID_VALUE)
}

driver! {
    cuGetErrorName(error: CUresult, text: *mut *const c_char) |_| { say(error, text) }

    cuGetErrorString(error: CUresult, text: *mut *const c_char) |_| { say(error, text) }
}
