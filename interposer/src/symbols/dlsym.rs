//! `dlsym`, interposed: the CUDA runtime does not link the driver, it looks the driver's functions up.
//!
//! The trampoline is naked so that every name that is not ours reaches glibc with the caller's own
//! return address: `dlsym(RTLD_NEXT, …)` is answered relative to whoever called.
//!
//! Allocators look functions up at their first call. So for any name but the driver's and `dlmopen` nothing here allocates
//! before the jump to glibc, and nothing asks glibc for a name that it may lack: it would allocate an error message.
#![allow(unsafe_code)] // it stands in for a C library function and calls it
#![cfg_attr(miri, allow(dead_code))] // Miri has a dlsym of its own beside which no other may be exported
use super::entry::Entry;
use super::glibc::{glibc_dlsym, real_dlsym};
use super::{elf, exports, namespaces};
use core::ffi::{CStr, c_char, c_void};
use core::ptr::null_mut;

/// Our function for `name`, if there is one and `handle` really has the driver's. Null: it is glibc's to answer.
extern "C" fn ours(handle: *mut c_void, name: *const c_char) -> *mut c_void {
    // Who asks for RTLD_NEXT is an interposer behind us, and wants the driver's or glibc's.
    if handle == libc::RTLD_NEXT {
        return null_mut();
    }
    // SAFETY: dlsym's own contract: a NUL-terminated name. Nothing is called for those that begin with "dl", which
    // sanitizers look up before they are ready to be.
    let is_dlmopen = unsafe { elf::is(name.cast(), c"dlmopen") };
    // SAFETY: dlsym's own contract: the name has at least one byte and is NUL-terminated.
    let name = unsafe {
        if !is_dlmopen && *name == b'd' as c_char {
            return null_mut();
        }
        CStr::from_ptr(name)
    };
    let (export, replaces): (_, fn(*mut c_void) -> bool) = match Entry::named(name) {
        Some(entry) => (exports::address(entry), namespaces::is_drivers),
        // Programs look it up by name, because linking it needs glibc 2.34 or libdl.
        None if is_dlmopen => {
            (super::dlopen::dlmopen as *mut c_void, |theirs| !namespaces::is_foreign(theirs))
        }
        None => return null_mut(),
    };
    let theirs = real_dlsym(handle, name);
    if !theirs.is_null() && replaces(theirs) { export } else { null_mut() }
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
        // A byte at a time: the string may end where its page does.
        "movzx eax, byte ptr [rsi]",
        "cmp al, 0x63", // "cu"
        "je 4f",
        "cmp al, 0x64", // "dl"
        "jne 2f",
        "cmp byte ptr [rsi + 1], 0x6c",
        "jne 2f",
        "jmp 3f",
        "4:",
        "cmp byte ptr [rsi + 1], 0x75",
        "jne 2f",
        "3:",
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
        "cbz w9, 2f",
        "ldrb w10, [x1, #1]",
        "orr w9, w9, w10, lsl #8",
        "mov w10, #0x7563", // "cu"
        "cmp w9, w10",
        "b.eq 3f",
        "mov w10, #0x6c64", // "dl"
        "cmp w9, w10",
        "b.ne 2f",
        "3:",
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

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    /// The program's string may be the last of a mapping.
    #[test]
    fn a_short_name_at_the_end_of_a_page_is_looked_up() {
        const PAGE: usize = 4096;
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping of two pages, of which the second can no longer be read.
        let page = unsafe {
            let page = libc::mmap(null_mut(), 2 * PAGE, access, kind, -1, 0);
            assert_ne!(page, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(page.add(PAGE), PAGE, libc::PROT_NONE), 0);
            page.cast::<c_char>()
        };
        for name in [c"", c"c", c"d", c"cu", c"dl", c"dlmopen", c"cuInit"] {
            let bytes = name.to_bytes_with_nul();
            // SAFETY: the last bytes of the page, then a NUL-terminated string that lies in it.
            unsafe {
                let at = page.add(PAGE - bytes.len());
                core::ptr::copy_nonoverlapping(name.as_ptr(), at, bytes.len());
                let _ = dlsym(libc::RTLD_DEFAULT, at);
            }
        }
    }
}
