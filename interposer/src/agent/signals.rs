//! Threads that take none of the application's signals.
#![allow(unsafe_code)] // signal masks
use std::mem::MaybeUninit;

/// Starts a thread with every signal blocked.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises the set; pthread_sigmask writes the old mask to `before`, and a
    // thread begins with its maker's mask.
    let masked = unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) == 0
    };
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    if masked {
        // SAFETY: `before` was written by the successful call above.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    spawned.map(drop)
}
