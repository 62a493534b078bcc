//! `dlopen` and `dlmopen`, interposed: what they load may bypass us when it looks the driver up.
//!
//! With `RTLD_DEEPBIND` a plugin finds glibc's `dlsym` before ours, so that we do not pass the flag on. What is loaded into
//! a namespace of its own has its own glibc and its own driver. We cannot prevent that, but look for it (`namespaces`).
//!
//! The trampolines are naked for the same reason as that of `dlsym`: glibc tells by the return address whose `RUNPATH`
//! applies.
#![allow(unsafe_code)] // it stands in for functions of the C library
#![cfg_attr(miri, allow(dead_code))]
use super::{glibc, namespaces};
use crate::{bypass, process, settings};
use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::ptr::null_mut;
use core::sync::atomic::AtomicPtr;

extern "C" fn glibc_dlopen() -> *mut c_void {
    static DLOPEN: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
    glibc::function(c"dlopen", &DLOPEN)
}

extern "C" fn glibc_dlmopen() -> *mut c_void {
    static DLMOPEN: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
    glibc::function(c"dlmopen", &DLMOPEN)
}

/// How a file is opened: without `RTLD_DEEPBIND`, unless the user wishes it.
extern "C" fn shallow(mode: c_int) -> c_int {
    if mode & libc::RTLD_DEEPBIND == 0 {
        return mode;
    }
    // Not from `Settings`, which are read when CUDA is initialised. Plugins are loaded before.
    // SAFETY: the auxiliary vector; a NUL-terminated name, whose value is NUL-terminated, and compared at once.
    let keeps = unsafe {
        let value = libc::getenv(settings::DEEPBIND.as_ptr());
        libc::getauxval(libc::AT_SECURE) == 0 && !value.is_null() && CStr::from_ptr(value) == c"1"
    };
    if !keeps {
        return mode & !libc::RTLD_DEEPBIND;
    }
    if bypass::note_deepbind()
        && let Some(process) = process::current()
    {
        process.bypass.deepbind();
    }
    mode
}

/// The same for a namespace.
extern "C" fn opening(namespace: c_long, mode: c_int) -> c_int {
    if namespace != libc::LM_ID_BASE {
        namespaces::watch();
    }
    shallow(mode)
}

/// # Safety
/// As glibc's.
#[cfg(target_arch = "x86_64")]
#[cfg_attr(not(miri), unsafe(no_mangle))]
#[unsafe(naked)]
pub unsafe extern "C" fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void {
    core::arch::naked_asm!(
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "test esi, {deepbind}",
        "je 2f",
        "mov edi, esi",
        "call {shallow}",
        "mov [rsp + 8], rax",
        "2:",
        "call {glibc}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        deepbind = const libc::RTLD_DEEPBIND,
        shallow = sym shallow,
        glibc = sym glibc_dlopen,
    )
}

/// # Safety
/// As glibc's.
#[cfg(target_arch = "x86_64")]
#[cfg_attr(not(miri), unsafe(no_mangle))]
#[unsafe(naked)]
pub unsafe extern "C" fn dlmopen(namespace: c_long, file: *const c_char, mode: c_int) -> *mut c_void {
    core::arch::naked_asm!(
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "mov esi, edx",
        "call {opening}",
        "mov [rsp], rax",
        "call {glibc}",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        opening = sym opening,
        glibc = sym glibc_dlmopen,
    )
}

/// # Safety
/// As glibc's.
#[cfg(target_arch = "aarch64")]
#[cfg_attr(not(miri), unsafe(no_mangle))]
#[unsafe(naked)]
pub unsafe extern "C" fn dlopen(file: *const c_char, mode: c_int) -> *mut c_void {
    core::arch::naked_asm!(
        "stp x29, x30, [sp, #-32]!",
        "mov x29, sp",
        "stp x0, x1, [sp, #16]",
        "tst w1, #{deepbind}",
        "b.eq 2f",
        "mov w0, w1",
        "bl {shallow}",
        "str x0, [sp, #24]",
        "2:",
        "bl {glibc}",
        "mov x16, x0",
        "ldp x0, x1, [sp, #16]",
        "ldp x29, x30, [sp], #32",
        "br x16",
        deepbind = const libc::RTLD_DEEPBIND,
        shallow = sym shallow,
        glibc = sym glibc_dlopen,
    )
}

/// # Safety
/// As glibc's.
#[cfg(target_arch = "aarch64")]
#[cfg_attr(not(miri), unsafe(no_mangle))]
#[unsafe(naked)]
pub unsafe extern "C" fn dlmopen(namespace: c_long, file: *const c_char, mode: c_int) -> *mut c_void {
    core::arch::naked_asm!(
        "stp x29, x30, [sp, #-48]!",
        "mov x29, sp",
        "stp x0, x1, [sp, #16]",
        "mov w1, w2",
        "bl {opening}",
        "str x0, [sp, #32]",
        "bl {glibc}",
        "mov x16, x0",
        "ldp x0, x1, [sp, #16]",
        "ldr x2, [sp, #32]",
        "ldp x29, x30, [sp], #48",
        "br x16",
        opening = sym opening,
        glibc = sym glibc_dlmopen,
    )
}
