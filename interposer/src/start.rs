//! Puts everything together when CUDA is initialised in this process.
#![allow(unsafe_code)] // it registers the fork handler
use crate::process::{self, Process};
use crate::settings::Settings;
use crate::sys::{guarded_fd, log};
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
            // SAFETY: the handler only stores to atomics and closes descriptors.
            unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
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

extern "C" fn in_child() {
    process::forget_in_child();
    guarded_fd::close_in_child();
}
