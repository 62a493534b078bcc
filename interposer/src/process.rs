//! What we keep for this process, from its `cuInit` to its end or fork.
#![allow(unsafe_code)] // the fork handler, and a pointer that is published
use crate::agent;
use crate::bypass::BypassDetector;
use crate::driver;
use crate::driver::captures::Captures;
use crate::driver::contexts::Contexts;
use crate::gate::Gate;
use crate::memory::Memory;
use crate::memory::share::Ipc;
use crate::place::Place;
use crate::settings::Settings;
use crate::sys::sync::ignore_poison;
use crate::sys::waker::Waker;
use nvshare_abi::{CUdevice, CUmemoryPool};
use nvshare_protocol::tenant::usable;
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::BTreeMap;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::*};
use std::time::Duration;

/// How long `cuInit` waits for the first word with the scheduler.
const GREETING: Duration = Duration::from_secs(1);
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
    pub place: Place,
    /// By handle: the pools whose device is known.
    pools: Mutex<BTreeMap<usize, Pool>>,
    /// By ordinal: the devices' current ones, so that not every allocation asks the driver.
    current_pools: Mutex<BTreeMap<CUdevice, usize>>,
    pub waker: Waker,
    reserve: AtomicU64,
    /// The scheduler's limit for this tenant; `u64::MAX`: none.
    limit: AtomicU64,
}

/// A pool of stream-ordered memory.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// The ordinal of its device; none for a pool of the host.
    pub device: Option<CUdevice>,
    /// Whether it is the driver's alone, because others may be given it.
    pub foreign: bool,
}

static PROCESS: AtomicPtr<Process> = AtomicPtr::new(null_mut());

/// None before CUDA is initialised in this process.
#[inline]
pub fn current() -> Option<&'static Process> {
    // SAFETY: null, or a box that `start` has leaked.
    unsafe { PROCESS.load(Acquire).as_ref() }
}

/// CUDA is initialised: begin, once.
pub fn start() {
    if let Some(process) = current() {
        // Another thread may have begun a moment ago.
        process.place.greeting(GREETING);
        return;
    }
    let settings = Settings::of_this_process();
    let process = Box::into_raw(Box::new(Process {
        memory: Memory::new(settings.engine),
        ipc: Ipc::default(),
        place: Place::default(),
        settings,
        gate: Gate::new_shut(),
        contexts: Contexts::default(),
        captures: Captures::default(),
        bypass: BypassDetector::default(),
        pools: Mutex::default(),
        current_pools: Mutex::default(),
        waker: Waker::default(),
        reserve: AtomicU64::new(DEFAULT_RESERVE.0),
        limit: AtomicU64::new(u64::MAX),
    }));
    if PROCESS.compare_exchange(null_mut(), process, AcqRel, Acquire).is_err() {
        // SAFETY: just made by Box::into_raw, and published to nobody.
        drop(unsafe { Box::from_raw(process) });
        return;
    }
    static HANDLERS: std::sync::Once = std::sync::Once::new();
    HANDLERS.call_once(|| {
        // SAFETY: the handler only stores to atomics and closes descriptors.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
    // SAFETY: published, and never freed.
    let process: &'static Process = unsafe { &*process };
    process.bypass.check();
    agent::spawn(process);
    process.place.greeting(GREETING);
}

/// A forked child starts clean. The parent's state stays behind untouched: its locks may be held by
/// threads that the child does not have.
extern "C" fn in_child() {
    PROCESS.store(null_mut(), Release);
    crate::sys::guarded_fd::close_in_child();
}

impl Process {
    /// The first word with the scheduler is spoken, or there is none to speak with.
    pub fn greet(&self) {
        self.place.give();
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
    pub fn free(&self, device: DeviceId, capacity: Bytes) -> u64 {
        self.visible(capacity).saturating_sub(self.memory.charged(device))
    }

    pub fn pool(&self, pool: usize) -> Option<Pool> {
        ignore_poison(self.pools.lock()).get(&pool).copied()
    }

    pub fn note_pool(&self, pool: usize, what: Pool) {
        ignore_poison(self.pools.lock()).insert(pool, what);
    }

    pub fn forget_pool(&self, pool: usize) {
        ignore_poison(self.pools.lock()).remove(&pool);
    }

    /// The device's current pool, of which memory is taken when none is named.
    pub fn current_pool(&self, ordinal: CUdevice) -> CUmemoryPool {
        let mut known = ignore_poison(self.current_pools.lock());
        let pool = *known.entry(ordinal).or_insert_with(|| {
            let mut pool = std::ptr::null_mut();
            // SAFETY: the pointer is to a local.
            unsafe { driver::cuDeviceGetMemPool(&mut pool, ordinal) };
            pool as usize
        });
        if pool == 0 {
            known.remove(&ordinal);
        }
        pool as CUmemoryPool
    }

    /// The current one of some device is, or may be, another.
    pub fn forget_current_pools(&self) {
        ignore_poison(self.current_pools.lock()).clear();
    }
}
