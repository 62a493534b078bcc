//! Puts everything together when CUDA is initialised in this process.
#![allow(unsafe_code)] // it registers the fork handler
use crate::process::{self, Process};
use crate::settings::Settings;
use crate::sys::{guarded_fd, log};
use std::ffi::{c_int, c_void};
use std::sync::Once;
use std::time::Duration;

/// How long `cuInit` waits for the scheduler's first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(1);

static FORK_HANDLER: Once = Once::new();

/// CUDA is initialised: begin, once.
pub fn start() {
    // Another thread may have begun a moment ago, or begin at the same time.
    if process::current().is_none()
        && let Some(process) = process::publish(Process::new(Settings::of_this_process()))
    {
        FORK_HANDLER.call_once(|| {
            // SAFETY: the handler only stores to atomics and closes descriptors; no file's end takes it away.
            unsafe { __register_atfork(None, None, Some(in_child), std::ptr::null_mut()) };
        });
        // The standard library would write to descriptor 2, whatever that is, and wait for its reader.
        std::panic::set_hook(Box::new(|fault| log::error!("{}", fault.to_string().replace('\n', " "))));
        process.bypass.check();
        crate::agent::spawn(process);
    }
    if let Some(process) = process::current() {
        process.admission.wait_for_answer(FIRST_ANSWER);
    }
}

type Handler = Option<unsafe extern "C" fn()>;
unsafe extern "C" {
    /// What `pthread_atfork` calls, in libc itself: the other is in libpthread before glibc 2.34.
    fn __register_atfork(before: Handler, parent: Handler, child: Handler, file: *mut c_void) -> c_int;
}

extern "C" fn in_child() {
    process::forget_in_child();
    guarded_fd::close_in_child();
}
