//! Where the application's memory lies, and how it moves.
//!
//! Reading order: `ledger` (what there is, and the pieces and arenas it is made of), `alloc` (what the application's
//! calls make and free), `migrate` (how memory leaves the device and comes back), `share` (what processes open of each
//! other).
use crate::driver::captures::Captures;
use crate::driver::contexts::Contexts;
use crate::driver::device::Device;
use crate::gate::Gate;
use crate::limits::Limits;
use crate::settings::EngineChoice;
use crate::sys::detached::{Detached, Transaction};
use crate::sys::lock::{Mutex, MutexGuard, RwLock, rank};
use crate::sys::waker::Waker;
use ledger::Ledger;
use nvshare_abi::CUresult;
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, DeviceId};
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::sync::{Arc, Condvar, OnceLock};

pub mod alloc;
mod handled;
pub mod ledger;
pub mod migrate;
pub mod share;
pub use alloc::AllocRequest;
pub use alloc::deferred::{StreamAt, context_of};
pub use alloc::teardown::ContextMemory;
pub use alloc::vmm::is_ours;
pub use handled::Handled;
pub use ledger::peers::AccessScope;
pub use ledger::piece::{GRANULE, read_write_access};
pub use ledger::query::{AllocInfo, ResidencyGuard};
pub use ledger::{Totals, Unevictable};
pub use migrate::TotalsOf;
pub use migrate::swap_space::{FileMapping, SwapSpace};

/// What plain allocations are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Managed memory: moved by prefetches, and by page faults where those did not suffice.
    Managed,
    /// Pieces of physical memory at fixed addresses, moved by copies.
    Swap,
    /// The driver's own plain memory, which stays.
    Plain,
}

impl Engine {
    /// Its name in the settings and to the scheduler.
    pub fn name(self) -> &'static str {
        match self {
            Self::Managed => "managed",
            Self::Swap => "swap",
            Self::Plain => "plain",
        }
    }
}

/// What the management of memory needs of the rest of the library.
#[derive(Clone, Debug)]
pub struct Collaborators {
    pub contexts: Arc<Contexts>,
    pub captures: Arc<Captures>,
    pub gate: Arc<Gate>,
    pub limits: Arc<Limits>,
    /// Wakes the agent.
    pub waker: Arc<Waker>,
}

#[cfg(test)]
impl Default for Collaborators {
    fn default() -> Self {
        Self {
            contexts: Arc::default(),
            captures: Arc::default(),
            gate: Arc::new(Gate::new_shut()),
            limits: Arc::new(Limits::new(None, true)),
            waker: Arc::default(),
        }
    }
}

/// All device memory of this process.
#[derive(Debug)]
pub struct Memory {
    contexts: Arc<Contexts>,
    captures: Arc<Captures>,
    gate: Arc<Gate>,
    limits: Arc<Limits>,
    waker: Arc<Waker>,
    ledger: Mutex<Ledger, { rank::LEDGER }>,
    /// Memory has come or gone.
    moved: Condvar,
    /// Whether there is more or less of it than the agent was told of.
    changed: AtomicBool,
    pub space: SwapSpace,
    choice: EngineChoice,
    engine: OnceLock<Engine>,
    /// Whether a scheduler can make room for us.
    scheduler_attached: AtomicBool,
    deferred: Mutex<alloc::deferred::DeferredFrees, { rank::LEAF }>,
    /// Held while what streams have freed is asked for.
    reclaim_lock: Mutex<(), { rank::RECLAIM }>,
    /// Held while streams are asked by their numbers, and while one ends.
    stream_names: Mutex<(), { rank::STREAM_NAMES }>,
    /// Read while a call of the application's must find memory where it is, written while it leaves.
    residency: RwLock<(), { rank::RESIDENCY }>,
    /// Read while the driver chooses addresses for us, written while those of one memory become another's.
    addresses: RwLock<(), { rank::ADDRESSES }>,
    /// Whether it gives addresses of managed memory back, once that was tried.
    converts: OnceLock<bool>,
}

impl Memory {
    pub fn new(choice: EngineChoice, uses: &Collaborators) -> Self {
        let Collaborators { contexts, captures, gate, limits, waker } = uses.clone();
        Self {
            contexts,
            captures,
            gate,
            limits,
            waker,
            ledger: Mutex::default(),
            moved: Condvar::new(),
            changed: AtomicBool::new(false),
            space: SwapSpace::default(),
            choice,
            engine: OnceLock::new(),
            scheduler_attached: AtomicBool::new(false),
            deferred: Mutex::default(),
            reclaim_lock: Mutex::default(),
            stream_names: Mutex::default(),
            residency: RwLock::default(),
            addresses: RwLock::default(),
            converts: OnceLock::new(),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock()
    }

    /// What new allocations are made of: decided at the first, and the same from then on.
    pub fn engine(&self, pieces_work: bool, managed_works: bool) -> Engine {
        *self.engine.get_or_init(|| {
            let engine = match self.choice {
                EngineChoice::Plain => Engine::Plain,
                // Without swap space nothing could ever leave.
                EngineChoice::Swap if pieces_work && self.space.offered() != Some(false) => Engine::Swap,
                EngineChoice::Auto if pieces_work && self.space.offered() == Some(true) => Engine::Swap,
                _ if managed_works => Engine::Managed,
                _ => Engine::Plain,
            };
            crate::sys::log::info!("the engine of this process is {}", engine.name());
            engine
        })
    }

    /// As [`Self::engine`], for a device.
    pub fn engine_on(&self, device: &Device) -> Engine {
        self.engine(device.pieces, device.movable)
    }

    /// The engine's name as far as it is decided, else the setting's.
    pub fn engine_name(&self) -> &'static str {
        self.engine.get().map_or(self.choice.name(), |engine| engine.name())
    }

    /// Wakes the agent if there is more or less memory than it knows of.
    pub fn report_changes(&self) {
        if self.changed.load(Relaxed) && self.changed.swap(false, AcqRel) {
            self.waker.wake();
        }
    }

    /// Whether swap space may be used: unless it is decided that plain allocations are made of other memory, and the
    /// application has made no physical memory itself.
    pub fn may_swap(&self) -> bool {
        let other = matches!(self.engine.get(), Some(Engine::Managed | Engine::Plain));
        !other || !self.ledger().pieces.is_empty()
    }

    pub fn set_scheduler_attached(&self, scheduler_attached: bool) {
        self.scheduler_attached.store(scheduler_attached, Release);
        self.moved.notify_all();
    }

    fn is_scheduler_attached(&self) -> bool {
        self.scheduler_attached.load(Acquire)
    }

    pub fn charged(&self, device: DeviceId) -> u64 {
        self.ledger().charged(device)
    }

    pub fn totals(&self, device: DeviceId) -> Totals {
        self.ledger().totals(device)
    }

    /// On each device, the smallest memory that the driver has refused since this was last asked.
    pub fn refused(&self) -> Vec<Share> {
        let refused = std::mem::take(&mut self.ledger().refused);
        refused.into_iter().map(|(device, bytes)| Share { device, bytes: Bytes(bytes) }).collect()
    }

    /// What cannot leave the device, in words: reason and bytes.
    pub fn unevictable_by_reason(&self, device: DeviceId) -> Vec<(&'static str, u64)> {
        self.ledger().unevictable_by_reason(device).into_iter().collect()
    }

    /// Counts memory that stays where it is, before the driver makes it.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY`, with nothing counted.
    pub fn charge(&self, device: DeviceId, bytes: u64, limit: Option<u64>) -> Result<(), CUresult> {
        self.ledger().charge(device, bytes, limit)
    }

    pub fn refund(&self, device: DeviceId, bytes: u64) {
        self.ledger().refund(device, bytes);
    }

    /// The driver has made what was charged.
    pub fn add_unevictable(&self, key: usize, unevictable: Unevictable) {
        self.ledger().add_unevictable(key, unevictable);
    }

    /// Takes out memory that the driver is about to free: afterwards its handle may be another's at once. It is counted
    /// no more.
    pub fn detach_unevictable(&self, key: usize) -> Option<Detached<FreeingUnevictable<'_>>> {
        let entry = self.ledger().take_unevictable(key)?;
        Some(Detached::new(FreeingUnevictable { memory: self, key, entry }))
    }
}

/// Memory that stays on the device, and that the driver is freeing.
#[derive(Debug)]
pub struct FreeingUnevictable<'a> {
    memory: &'a Memory,
    key: usize,
    entry: Unevictable,
}

impl Transaction for FreeingUnevictable<'_> {
    fn commit(self) {}

    fn rollback(self) {
        let mut ledger = self.memory.ledger();
        if ledger.charge(self.entry.device, self.entry.bytes, None).is_ok() {
            ledger.add_unevictable(self.key, self.entry);
        }
    }
}
