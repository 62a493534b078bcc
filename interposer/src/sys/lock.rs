//! The locks of this library, and the one order in which a thread takes them.
//!
//! A thread that holds a lock takes only locks of a higher [`rank`]. Debug builds check that each time, and end the
//! program otherwise, so that every test is a test of the order too, whatever the other threads do meanwhile. Release
//! builds pay nothing for it.
//!
//! The driver is called under some of these locks, also calls of it that wait. It never calls back into this library on
//! the same thread in a way that takes a lock: calls within calls go to it unseen (`dispatch.rs`).
//!
//! A forked child takes none of the locks that its parent's other threads may hold: it begins with state of its own
//! (`process.rs`), and the locks of the old one stay behind.
pub use crate::sys::sync::Condvar;
use crate::sys::sync::{self, ignore_poison};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// All locks, in their order.
///
/// | rank | lock | guards | taken under it |
/// |---|---|---|---|
/// | `STREAM_NAMES` | deferred frees, `stream_names` | that no stream ends while streams are asked by number | captures, the ledger, contexts |
/// | `RECLAIM` | deferred frees, `reclaim_lock` | that one thread asks our events and gives back what they say, and no context ends meanwhile | captures, the ledger, contexts |
/// | `CAPTURES` | `Captures` | the streams that are captured: none begins while it is held | contexts, all of memory |
/// | `IPC_EXPORTS` | exported handles | secrets, and the socket's name | the ledger |
/// | `IPC_IMPORTS` | imported memory | the mappings of other processes' memory | addresses |
/// | `RESIDENCY` (read, write) | `Residency` | that memory stays where it is, for readers | addresses, the ledger |
/// | `ADDRESSES` (read, write) | `Addresses` | that the driver chooses no addresses, for the writer | the ledger, contexts |
/// | `LEDGER` | `SharedLedger` | what memory there is | contexts, swap space |
/// | `CONTEXT_LIST` | `Contexts` | which contexts there are | leaves |
/// | `CONTEXT_LIFE` (read, write) | `Context` | that the context exists, for readers | the context's work |
/// | `CONTEXT_WORK` | `Context` | our stream and events in it | swap space |
/// | `SWAP_SPACE` | `SwapSpace` | slots and mappings | leaves |
/// | `GATE` | `Gate` | the threads that wait at the gate | the admission, which says whether they give up |
/// | `LEAF` | batches of deferred frees, ended contexts, green contexts, devices, contexts that are ending, pools, the admission, the drain's board, the inbox, the bypass detector, refusals by limits | themselves alone | nothing |
pub mod rank {
    pub const STREAM_NAMES: u8 = 0;
    pub const RECLAIM: u8 = 1;
    pub const CAPTURES: u8 = 2;
    pub const IPC_EXPORTS: u8 = 3;
    pub const IPC_IMPORTS: u8 = 4;
    pub const RESIDENCY: u8 = 5;
    pub const ADDRESSES: u8 = 6;
    pub const LEDGER: u8 = 7;
    pub const CONTEXT_LIST: u8 = 8;
    pub const CONTEXT_LIFE: u8 = 9;
    pub const CONTEXT_WORK: u8 = 10;
    pub const SWAP_SPACE: u8 = 11;
    pub const GATE: u8 = 12;
    pub const LEAF: u8 = 13;
}

/// A mutex with a place in the order. What it guards is consistent between any two statements, also after a panic.
#[derive(Debug, Default)]
pub struct Mutex<T, const RANK: u8>(sync::Mutex<T>);

#[must_use]
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    guard: sync::MutexGuard<'a, T>,
    held: Held,
}

impl<T, const RANK: u8> Mutex<T, RANK> {
    pub fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        let held = Held::in_order(RANK);
        MutexGuard { guard: ignore_poison(self.0.lock()), held }
    }

    /// None if another thread holds it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        use std::sync::TryLockError::{Poisoned, WouldBlock};
        let guard = match self.0.try_lock() {
            Ok(guard) => guard,
            Err(Poisoned(poisoned)) => poisoned.into_inner(),
            Err(WouldBlock) => return None,
        };
        Some(MutexGuard { guard, held: Held::in_order(RANK) })
    }
}

impl<T> MutexGuard<'_, T> {
    /// Waits for a notification, without the lock meanwhile.
    pub fn wait(self, condvar: &Condvar) -> Self {
        let Self { guard, held } = self;
        Self { guard: ignore_poison(condvar.wait(guard)), held }
    }

    /// The same, for `left` at most.
    pub fn wait_timeout(self, condvar: &Condvar, left: Duration) -> Self {
        let Self { guard, held } = self;
        Self { guard: sync::wait_timeout(condvar, guard, left), held }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// A lock for many readers or one writer, with a place in the order.
#[derive(Debug, Default)]
pub struct RwLock<T, const RANK: u8>(std::sync::RwLock<T>);

#[must_use]
#[derive(Debug)]
pub struct ReadGuard<'a, T> {
    guard: std::sync::RwLockReadGuard<'a, T>,
    _held: Held,
}

#[must_use]
#[derive(Debug)]
pub struct WriteGuard<'a, T> {
    guard: std::sync::RwLockWriteGuard<'a, T>,
    _held: Held,
}

impl<T, const RANK: u8> RwLock<T, RANK> {
    pub fn new(value: T) -> Self {
        Self(std::sync::RwLock::new(value))
    }

    /// Not twice on one thread: a writer that waits in between would wait for it, and it for the writer.
    pub fn read(&self) -> ReadGuard<'_, T> {
        let _held = Held::in_order(RANK);
        ReadGuard { guard: ignore_poison(self.0.read()), _held }
    }

    pub fn write(&self) -> WriteGuard<'_, T> {
        let _held = Held::in_order(RANK);
        WriteGuard { guard: ignore_poison(self.0.write()), _held }
    }
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

use order::Held;

/// The model runs all its threads on one of the system's: it knows no thread's locks.
#[cfg(all(debug_assertions, not(loom)))]
mod order {
    use crate::sys::fault::fault;
    use std::cell::Cell;

    thread_local! {
        /// The ranks that this thread holds, a bit each.
        static HELD: Cell<u64> = const { Cell::new(0) };
    }

    /// A lock of this thread's, until dropped.
    #[derive(Debug)]
    pub struct Held(u64);

    impl Held {
        /// The thread is about to wait for a lock of this rank, or has it.
        pub fn in_order(rank: u8) -> Self {
            let bit = 1 << rank;
            // A thread that ends has no list any more.
            let _ = HELD.try_with(|held| {
                let others = held.get();
                if others >= bit && !std::thread::panicking() {
                    fault(&format!(
                        "a lock of rank {rank} is taken by a thread that holds ranks {others:#b}"
                    ));
                }
                held.set(others | bit);
            });
            Self(bit)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            let _ = HELD.try_with(|held| held.set(held.get() & !self.0));
        }
    }
}

#[cfg(not(all(debug_assertions, not(loom))))]
mod order {
    #[derive(Debug)]
    pub struct Held;

    impl Held {
        #[inline]
        pub fn in_order(_: u8) -> Self {
            Self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_taken_in_their_order_and_released_in_any() {
        let first = Mutex::<u8, { rank::LEDGER }>::default();
        let second = RwLock::<u8, { rank::CONTEXT_LIFE }>::default();
        let outer = first.lock();
        let inner = second.read();
        drop(outer);
        drop(inner);
        let _again = first.lock();
        assert!(first.try_lock().is_none());
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "a lock of rank 7 is taken by a thread that holds ranks 0b100000000000")]
    fn the_wrong_order_is_noticed_without_a_deadlock() {
        let first = Mutex::<u8, { rank::LEDGER }>::default();
        let second = Mutex::<u8, { rank::SWAP_SPACE }>::default();
        let _inner = second.lock();
        let _outer = first.lock();
    }

    #[test]
    fn who_waits_for_a_notification_holds_its_place() {
        let (lock, changed) = (Mutex::<bool, { rank::LEAF }>::new(false), Condvar::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                *lock.lock() = true;
                changed.notify_all();
            });
            let mut done = lock.lock();
            while !*done {
                done = done.wait_timeout(&changed, Duration::from_millis(10));
            }
            drop(done);
            let mut done = lock.lock();
            while !*done {
                done = done.wait(&changed);
            }
        });
    }
}
