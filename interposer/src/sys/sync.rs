//! Locks and bounds on waiting. The primitives below the gate are the standard library's, or loom's when the model runs.
use std::sync::LockResult;
use std::time::Duration;

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
pub use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(loom))]
pub use std::sync::{Condvar, Mutex, MutexGuard};

/// The content of a lock, also if a thread has panicked while it held it: what we guard is consistent between any two
/// statements.
pub fn ignore_poison<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A point in time, or never.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Option<std::time::Instant>);

impl Deadline {
    pub fn after(bound: Duration) -> Self {
        Self(if cfg!(loom) { None } else { crate::sys::clock::instant().checked_add(bound) })
    }

    /// What is left, or `None` when it has passed.
    pub fn left(self) -> Option<Duration> {
        match self.0 {
            None => Some(Duration::MAX),
            Some(at) => {
                at.checked_duration_since(crate::sys::clock::instant()).filter(|left| !left.is_zero())
            }
        }
    }
}

#[cfg(not(loom))]
pub fn wait_timeout<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, left: Duration) -> MutexGuard<'a, T> {
    ignore_poison(condvar.wait_timeout(guard, left.min(Duration::from_secs(3600)))).0
}

/// The model knows no time: only a notification ends the wait.
#[cfg(loom)]
pub fn wait_timeout<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, _: Duration) -> MutexGuard<'a, T> {
    ignore_poison(condvar.wait(guard))
}
