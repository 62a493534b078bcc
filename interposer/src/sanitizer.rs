//! Programs built with AddressSanitizer refuse to start where any library stands before its run-time library, as a
//! preloaded one must. It asks for its options by this name, which no library but its own has; a program's own
//! answer comes before ours.
#![allow(unsafe_code)] // a C function under the sanitizer's name

/// What the sanitizer is to do otherwise than usual: nothing but pass over the libraries' order. That order matters for
/// interceptors of `malloc` and the like, of which we have none.
#[unsafe(no_mangle)]
pub extern "C" fn __asan_default_options() -> *const std::ffi::c_char {
    c"verify_asan_link_order=0".as_ptr()
}
