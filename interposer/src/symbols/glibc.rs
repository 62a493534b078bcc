//! The C library's own functions, for which this library stands in.
#![allow(unsafe_code)] // it gives an address its type
use super::elf;
use core::ffi::{CStr, c_char, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::*};

/// The function of that name in libc, or in libdl before glibc 2.34, or in an interposer that stands behind us.
pub fn function(name: &CStr, slot: &AtomicPtr<c_void>) -> *mut c_void {
    let known = slot.load(Acquire);
    if !known.is_null() {
        return known;
    }
    let found = elf::next(name);
    if found.is_null() {
        return finds_nothing as *mut c_void;
    }
    slot.store(found, Release);
    found
}

/// Stands in for a function that does not exist. The answer of each of them is then a null pointer.
extern "C" fn finds_nothing() -> *mut c_void {
    null_mut()
}

pub extern "C" fn glibc_dlsym() -> *mut c_void {
    static DLSYM: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
    function(c"dlsym", &DLSYM)
}

pub fn real_dlsym(handle: *mut c_void, name: &CStr) -> *mut c_void {
    // SAFETY: glibc's dlsym has this type.
    let dlsym: extern "C" fn(*mut c_void, *const c_char) -> *mut c_void =
        unsafe { core::mem::transmute(glibc_dlsym()) };
    dlsym(handle, name.as_ptr())
}
