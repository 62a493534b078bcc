//! `dlsym`, interposed: the CUDA runtime never links the driver, it looks its functions up.
//!
//! The trampoline is naked so that every name that is not ours reaches glibc with the caller's own
//! return address: `dlsym(RTLD_NEXT, …)` is answered relative to whoever called.
//!
//! Allocators look functions up at their first call. Before the jump to glibc nothing here allocates, and nothing asks
//! glibc for what it may lack, for it would allocate to say so.
#![allow(unsafe_code)] // it stands in for a C library function and calls it
#![cfg_attr(miri, allow(dead_code))] // Miri has a dlsym of its own beside which no other may be exported
use crate::entry::Entry;
use crate::loaded;
use core::ffi::{CStr, c_char, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::*};

extern "C" fn glibc_dlsym() -> *mut c_void {
    static GLIBC_DLSYM: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
    let known = GLIBC_DLSYM.load(Acquire);
    if !known.is_null() {
        return known;
    }
    // In libc since 2.34, in libdl before; or that of an interposer that stands behind us.
    let found = loaded::next(c"dlsym");
    if found.is_null() {
        return finds_nothing as *mut c_void;
    }
    GLIBC_DLSYM.store(found, Release);
    found
}

/// In the place of a `dlsym` that there is not.
extern "C" fn finds_nothing(_: *mut c_void, _: *const c_char) -> *mut c_void {
    null_mut()
}

pub fn real_dlsym(handle: *mut c_void, name: &CStr) -> *mut c_void {
    // SAFETY: glibc's dlsym has this type.
    let dlsym: extern "C" fn(*mut c_void, *const c_char) -> *mut c_void =
        unsafe { core::mem::transmute(glibc_dlsym()) };
    dlsym(handle, name.as_ptr())
}

/// Ours for `name`, if there is one and `handle` really has the driver's; null means "not ours".
extern "C" fn ours(handle: *mut c_void, name: *const c_char) -> *mut c_void {
    // SAFETY: dlsym's own contract: a NUL-terminated name.
    let name = unsafe { CStr::from_ptr(name) };
    match Entry::named(name) {
        // RTLD_NEXT is for interposers that stand behind us in the order; they mean the driver's.
        Some(entry) if handle != libc::RTLD_NEXT && !real_dlsym(handle, name).is_null() => entry.export(),
        _ => null_mut(),
    }
}

/// # Safety
/// As glibc's.
#[cfg(target_arch = "x86_64")]
#[cfg_attr(not(miri), unsafe(no_mangle))]
#[unsafe(naked)]
pub unsafe extern "C" fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void {
    core::arch::naked_asm!(
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "test rsi, rsi",
        "je 2f",
        "cmp word ptr [rsi], 0x7563", // "cu"
        "jne 2f",
        "call {ours}",
        "test rax, rax",
        "je 2f",
        "add rsp, 24",
        "ret",
        "2:",
        "call {glibc}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        ours = sym ours,
        glibc = sym glibc_dlsym,
    )
}

/// # Safety
/// As glibc's.
#[cfg(target_arch = "aarch64")]
#[cfg_attr(not(miri), unsafe(no_mangle))]
#[unsafe(naked)]
pub unsafe extern "C" fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void {
    core::arch::naked_asm!(
        "stp x29, x30, [sp, #-32]!",
        "mov x29, sp",
        "stp x0, x1, [sp, #16]",
        "cbz x1, 2f",
        "ldrb w9, [x1]",
        "cmp w9, #0x63", // "c"
        "b.ne 2f",
        "ldrb w9, [x1, #1]",
        "cmp w9, #0x75", // "u"
        "b.ne 2f",
        "bl {ours}",
        "cbz x0, 2f",
        "ldp x29, x30, [sp], #32",
        "ret",
        "2:",
        "bl {glibc}",
        "mov x16, x0",
        "ldp x0, x1, [sp, #16]",
        "ldp x29, x30, [sp], #32",
        "br x16",
        ours = sym ours,
        glibc = sym glibc_dlsym,
    )
}
