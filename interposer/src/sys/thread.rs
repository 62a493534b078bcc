//! Threads that take none of the application's signals.
#![allow(unsafe_code)] // signal masks, and a sanitizer's functions
use crate::symbols::glibc::real_dlsym;
use std::mem::MaybeUninit;

/// As the kernel gives a first thread: the driver's compiler runs on one of ours. Bytes of addresses, not of memory.
const STACK: usize = 8 << 20;

/// Starts a thread with every signal blocked.
///
/// # Errors
/// The system's, or there is no libpthread.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    // The standard library would panic.
    #[cfg(not(miri))]
    if !crate::symbols::threads::are_there() {
        return Err(std::io::ErrorKind::Unsupported.into());
    }
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises the set; pthread_sigmask writes the old mask to `before`, and a
    // thread begins with its maker's mask.
    let masked = unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) == 0
    };
    let quiet = move || {
        pass_over_in_sanitizer();
        body();
    };
    let spawned = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(quiet);
    if masked {
        // SAFETY: `before` was written by the successful call above.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    spawned.map(drop)
}

/// A thread sanitizer sees which functions of the C library this thread calls, but not what synchronises it with others,
/// because this library is not instrumented. Its reports of this thread would be wrong.
fn pass_over_in_sanitizer() {
    type Begin = unsafe extern "C" fn(*const core::ffi::c_char, core::ffi::c_int);
    for name in [c"AnnotateIgnoreReadsBegin", c"AnnotateIgnoreWritesBegin"] {
        let found = real_dlsym(libc::RTLD_DEFAULT, name);
        if !found.is_null() {
            // SAFETY: a sanitizer's function of that name has this type (its dynamic annotations), and any file may be named.
            unsafe { std::mem::transmute::<*mut core::ffi::c_void, Begin>(found)(c"nvshare".as_ptr(), 0) };
        }
    }
}
