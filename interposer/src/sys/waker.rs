//! How threads of the application wake one of ours: through memory, so that the program's table of descriptors has nothing
//! of it.
use crate::sys::clock;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::thread::Thread;
use std::time::Duration;

/// A flag that something changed, and the thread that is to look.
#[derive(Debug, Default)]
pub struct Waker {
    woken: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Waker {
    /// Wakes the thread, once until it has looked.
    pub fn wake(&self) {
        if !self.woken.swap(true, AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// The calling thread is the one to wake. A wake that came before counts.
    pub fn attach(&self) {
        let _ = self.thread.set(std::thread::current());
    }

    /// Waits for a wake, for `bound` at most. One that comes afterwards wakes again.
    pub fn wait(&self, bound: Duration) {
        let start = clock::instant();
        // A swap, so that what was written before a wake that found nobody asleep is seen after this.
        while !self.woken.swap(false, AcqRel) {
            let Some(left) = bound.checked_sub(clock::instant() - start).filter(|left| !left.is_zero())
            else {
                return;
            };
            std::thread::park_timeout(left);
        }
    }
}
