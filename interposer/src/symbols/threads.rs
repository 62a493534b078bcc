//! The functions that are in libpthread or libdl before glibc 2.34, found when they are called.
//!
//! A file that names these libraries makes the loader bring them into every program. They are of one build with a C library:
//! a program that brings a C library of its own, and not those two, would get the system's, and not start. What the
//! program has is right: the driver needs both, and they are there when the library calls one of these.
//!
//! Our own code, and the standard library's, is linked to the hidden functions below, and nobody else is.
#![allow(unsafe_code)] // functions in assembly, under the C library's names
use super::elf;
use super::glibc::real_dlsym;
use core::ffi::{CStr, c_char, c_int, c_void};

/// Whether this process can have threads. Before glibc 2.34 libpthread is brought if nobody has done so.
pub fn are_there() -> bool {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    let is_there = || !find(c"pthread_create").is_null();
    // SAFETY: the C library's own part, which most programs have; it is never closed. One of another release is refused.
    let bring =
        || unsafe { Library::open(Some("libpthread.so.0"), RTLD_NOW | RTLD_LOCAL) }.map(Library::into_raw);
    is_there() || bring().is_ok() && is_there()
}

/// The program's function of that name. That of a sanitizer comes first, and stands in the program.
fn find(name: &CStr) -> *mut c_void {
    let found = real_dlsym(libc::RTLD_DEFAULT, name);
    // What the driver has brought along is not for everybody.
    if found.is_null() { elf::next(name) } else { found }
}

extern "C" fn resolve(name: *const c_char) -> *mut c_void {
    // SAFETY: a literal below.
    let name = unsafe { CStr::from_ptr(name) };
    let found = find(name);
    if !found.is_null() {
        return found;
    }
    let answers_a_pointer = name.to_bytes().starts_with(b"dl") || name == c"pthread_getspecific";
    if answers_a_pointer { finds_nothing as *mut c_void } else { is_missing as *mut c_void }
}

/// As a function of threads answers that the system lacks.
extern "C" fn is_missing() -> c_int {
    libc::ENOSYS
}

/// As `dladdr`, `dlerror` and `pthread_getspecific` answer that there is nothing. (`dlerror` does so always: the lookup of it
/// takes the message.)
extern "C" fn finds_nothing() -> usize {
    0
}

macro_rules! found_when_called {
    ($($name:literal)*) => {$(
        #[cfg(target_arch = "x86_64")]
        core::arch::global_asm!(
            concat!(".pushsection .text.", $name, ",\"ax\",@progbits"),
            concat!(".globl ", $name),
            concat!(".hidden ", $name),
            concat!(".type ", $name, ",@function"),
            concat!($name, ":"),
            "push rdi",
            "push rsi",
            "push rdx",
            "push rcx",
            "push r8",
            "lea rdi, [rip + 2f]",
            "call {resolve}",
            "pop r8",
            "pop rcx",
            "pop rdx",
            "pop rsi",
            "pop rdi",
            "jmp rax",
            "2:",
            concat!(".asciz \"", $name, "\""),
            concat!(".size ", $name, ", . - ", $name),
            ".popsection",
            resolve = sym resolve,
        );
        #[cfg(target_arch = "aarch64")]
        core::arch::global_asm!(
            concat!(".pushsection .text.", $name, ",\"ax\",@progbits"),
            ".balign 4",
            concat!(".globl ", $name),
            concat!(".hidden ", $name),
            concat!(".type ", $name, ",@function"),
            concat!($name, ":"),
            "stp x29, x30, [sp, #-64]!",
            "mov x29, sp",
            "stp x0, x1, [sp, #16]",
            "stp x2, x3, [sp, #32]",
            "str x4, [sp, #48]",
            "adr x0, 2f",
            "bl {resolve}",
            "mov x16, x0",
            "ldp x0, x1, [sp, #16]",
            "ldp x2, x3, [sp, #32]",
            "ldr x4, [sp, #48]",
            "ldp x29, x30, [sp], #64",
            "br x16",
            "2:",
            concat!(".asciz \"", $name, "\""),
            concat!(".size ", $name, ", . - ", $name),
            ".popsection",
            resolve = sym resolve,
        );
    )*};
}
found_when_called! {
    "dladdr" "dlerror" "pthread_attr_setstacksize" "pthread_create" "pthread_detach" "pthread_join" "pthread_key_create"
    "pthread_key_delete" "pthread_rwlock_rdlock" "pthread_rwlock_unlock" "pthread_rwlock_wrlock" "pthread_setname_np"
    "pthread_setspecific" "pthread_getspecific" "pthread_sigmask"
}
