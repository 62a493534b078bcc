//! What we keep for this process, from its `cuInit` to its end or fork.
#![allow(unsafe_code)] // a pointer that is published
use crate::admission::Admission;
use crate::bypass::BypassDetector;
use crate::driver::captures::Captures;
use crate::driver::contexts::Contexts;
use crate::driver::pools::Pools;
use crate::gate::Gate;
use crate::memory::Memory;
use crate::memory::share::Ipc;
use crate::settings::Settings;
use crate::sys::waker::Waker;
use nvshare_protocol::tenant::usable;
use nvshare_protocol::{Bytes, DeviceId};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::*};

/// Held back of every device while no scheduler has said how much.
const DEFAULT_RESERVE: Bytes = Bytes(1 << 30);

pub struct Process {
    pub settings: Settings,
    pub gate: Gate,
    pub contexts: Contexts,
    pub captures: Captures,
    pub bypass: BypassDetector,
    pub memory: Memory,
    pub ipc: Ipc,
    pub admission: Admission,
    pub pools: Pools,
    pub waker: Waker,
    reserve: AtomicU64,
    /// The scheduler's limit for this tenant; `u64::MAX`: none.
    limit: AtomicU64,
}

static PROCESS: AtomicPtr<Process> = AtomicPtr::new(null_mut());

/// None before CUDA is initialised in this process.
#[inline]
pub fn current() -> Option<&'static Process> {
    // SAFETY: null, or a box that `start` has leaked.
    unsafe { PROCESS.load(Acquire).as_ref() }
}

/// Makes a process the current one. None if another thread was first.
pub fn publish(process: Process) -> Option<&'static Process> {
    let process = Box::into_raw(Box::new(process));
    if PROCESS.compare_exchange(null_mut(), process, AcqRel, Acquire).is_err() {
        // SAFETY: just made by Box::into_raw, and published to nobody.
        drop(unsafe { Box::from_raw(process) });
        return None;
    }
    // SAFETY: published, and never freed.
    Some(unsafe { &*process })
}

/// A forked child starts clean. The parent's state stays behind untouched: its locks may be held by threads that the
/// child does not have.
pub fn forget_in_child() {
    PROCESS.store(null_mut(), Release);
}

impl Process {
    pub fn new(settings: Settings) -> Self {
        Self {
            memory: Memory::new(settings.engine),
            ipc: Ipc::default(),
            admission: Admission::default(),
            pools: Pools::default(),
            settings,
            gate: Gate::new_shut(),
            contexts: Contexts::default(),
            captures: Captures::default(),
            bypass: BypassDetector::default(),
            waker: Waker::default(),
            reserve: AtomicU64::new(DEFAULT_RESERVE.0),
            limit: AtomicU64::new(u64::MAX),
        }
    }

    /// What the scheduler said of this tenant's memory.
    pub fn set_terms(&self, reserve: Bytes, limit: Option<Bytes>) {
        self.reserve.store(reserve.0, Relaxed);
        self.limit.store(limit.map_or(u64::MAX, |limit| limit.0), Relaxed);
    }

    /// The memory that the application sees on a device of `capacity`.
    pub fn visible(&self, capacity: Bytes) -> u64 {
        let usable = usable(capacity, Bytes(self.reserve.load(Relaxed))).0;
        usable.min(self.limit().unwrap_or(u64::MAX))
    }

    /// The tenant's limit, by its own setting or the scheduler's, whichever is less.
    pub fn limit(&self) -> Option<u64> {
        let own = self.settings.limit.unwrap_or(Bytes::MAX).0;
        Some(own.min(self.limit.load(Relaxed))).filter(|limit| *limit != u64::MAX)
    }

    /// The most that may be allocated on a device, if there is a bound.
    pub fn bound(&self, capacity: Bytes) -> Option<u64> {
        (!self.settings.oversubscribe).then(|| self.visible(capacity))
    }

    /// What is left of [`Self::visible`].
    pub fn available(&self, device: DeviceId, capacity: Bytes) -> u64 {
        self.visible(capacity).saturating_sub(self.memory.charged(device))
    }
}
