//! What we keep for this process, from its `cuInit` to its end or fork.
#![allow(unsafe_code)] // a pointer that is published
use crate::admission::Admission;
use crate::bypass::BypassDetector;
use crate::driver::captures::Captures;
use crate::driver::contexts::Contexts;
use crate::driver::pools::Pools;
use crate::gate::Gate;
use crate::limits::Limits;
use crate::memory::{Dependencies, Memory};
use crate::settings::Settings;
use crate::sys::waker::Waker;
use nvshare_protocol::{Bytes, DeviceId};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering::*};

pub struct Process {
    pub settings: Settings,
    /// What is wrong with the settings, for operators.
    pub faults: Vec<String>,
    pub gate: Arc<Gate>,
    pub contexts: Arc<Contexts>,
    pub captures: Arc<Captures>,
    pub limits: Arc<Limits>,
    pub bypass: BypassDetector,
    pub memory: Memory,
    pub admission: Admission,
    pub pools: Pools,
    pub waker: Arc<Waker>,
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
    pub fn new((settings, faults): (Settings, Vec<String>)) -> Self {
        let waker = Arc::<Waker>::default();
        let uses = Dependencies {
            contexts: Arc::new(Contexts::new(waker.clone())),
            captures: Arc::default(),
            gate: Arc::new(Gate::new_shut()),
            limits: Arc::new(Limits::new(settings.limit, settings.oversubscribe)),
            waker,
        };
        Self {
            memory: Memory::new(settings.engine, settings.moves_all, &uses),
            admission: Admission::default(),
            pools: Pools::default(),
            settings,
            faults,
            gate: uses.gate,
            contexts: uses.contexts,
            captures: uses.captures,
            limits: uses.limits,
            bypass: BypassDetector::default(),
            waker: uses.waker,
        }
    }

    /// What is left of what the application sees of a device.
    pub fn available(&self, device: DeviceId, capacity: Bytes) -> u64 {
        self.limits.visible(capacity).saturating_sub(self.memory.ledger.charged(device))
    }
}
