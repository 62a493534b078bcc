//! How the application's threads wake the agent: through memory, so that the program's table of descriptors has nothing
//! of it.
use crate::clock;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::thread::Thread;
use std::time::Duration;

/// Something changed: an allocation, a device, a call at the shut gate, a word of the scheduler's.
#[derive(Debug, Default)]
pub struct Bell {
    rung: AtomicBool,
    agent: OnceLock<Thread>,
}

impl Bell {
    /// Wakes the agent, once until it has looked.
    pub fn ring(&self) {
        if !self.rung.swap(true, AcqRel)
            && let Some(agent) = self.agent.get()
        {
            agent.unpark();
        }
    }

    /// The calling thread is the agent's. What rang before is heard.
    pub fn listen(&self) {
        let _ = self.agent.set(std::thread::current());
    }

    /// Waits for a ring, for `bound` at most. What rings afterwards rings again.
    pub fn wait(&self, bound: Duration) {
        let start = clock::instant();
        // A swap, so that what was written before a ring that woke nobody is seen after this.
        while !self.rung.swap(false, AcqRel) {
            let Some(left) = bound.checked_sub(clock::instant() - start).filter(|left| !left.is_zero())
            else {
                return;
            };
            std::thread::park_timeout(left);
        }
    }
}
