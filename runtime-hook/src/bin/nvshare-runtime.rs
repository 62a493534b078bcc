//! The OCI runtime shim: see `nvshare_runtime_hook::shim`.
//!
//! The C library's `main`: Rust's own would ignore SIGPIPE before we could see whether the engine does, and the runtime
//! below is to have what the engine has.
#![no_main]
#![allow(unsafe_code)] // a function under the C library's name

/// What the C library calls; the arguments are the standard library's to find.
#[unsafe(no_mangle)]
extern "C" fn main(_count: i32, _words: *const *const std::ffi::c_char) -> i32 {
    i32::from(nvshare_runtime_hook::shim::main())
}
