//! Where the application's memory lies, and how it moves.
//!
//! Reading order: `ledger` (what there is, and the pieces and arenas it is made of), `alloc` (what the application's
//! calls make and free), `migrate` (how memory leaves the device and comes back), `share` (what processes open of each
//! other).
use crate::driver::captures::Captures;
use crate::driver::contexts::Contexts;
use crate::gate::Gate;
use crate::limits::Limits;
use crate::settings::EngineChoice;
use crate::sys::lock::{Mutex, rank};
use crate::sys::waker::Waker;
use alloc::addresses::Addresses;
use engine::EngineSelection;
use ledger::shared::SharedLedger;
use migrate::residency::Residency;
use std::sync::{Arc, OnceLock};

pub mod alloc;
pub mod engine;
mod handled;
pub mod ledger;
pub mod migrate;
pub mod share;
pub use alloc::AllocRequest;
pub use alloc::deferred::{StreamAt, context_of};
pub use alloc::teardown::ContextMemory;
pub use alloc::vmm::is_ours;
pub use engine::Engine;
pub use handled::Handled;
pub use ledger::peers::AccessScope;
pub use ledger::query::AllocInfo;
pub use ledger::sizes::GRANULE;
pub use ledger::{Totals, Unevictable};
pub use migrate::TotalsOf;
pub use migrate::residency::ResidencyGuard;
pub use migrate::swap_space::{FileMapping, SwapGrant, SwapSpace};

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
    pub ledger: Arc<SharedLedger>,
    pub space: Arc<SwapSpace>,
    pub engine: EngineSelection,
    pub residency: Residency,
    pub addresses: Addresses,
    deferred: Mutex<alloc::deferred::DeferredFrees, { rank::LEAF }>,
    /// Held while what streams have freed is asked for.
    reclaim_lock: Mutex<(), { rank::RECLAIM }>,
    /// Held while streams are asked by their numbers, and while one ends.
    stream_names: Mutex<(), { rank::STREAM_NAMES }>,
    /// Whether the driver gives addresses of managed memory back, once that was tried.
    converts: OnceLock<bool>,
}

impl Memory {
    pub fn new(choice: EngineChoice, uses: &Collaborators) -> Self {
        let Collaborators { contexts, captures, gate, limits, waker } = uses.clone();
        let ledger = Arc::new(SharedLedger::new(waker.clone()));
        let space = Arc::new(SwapSpace::default());
        Self {
            contexts,
            captures,
            gate,
            limits,
            waker,
            engine: EngineSelection::new(choice, space.clone()),
            residency: Residency::new(ledger.clone()),
            addresses: Addresses::default(),
            ledger,
            space,
            deferred: Mutex::default(),
            reclaim_lock: Mutex::default(),
            stream_names: Mutex::default(),
            converts: OnceLock::new(),
        }
    }

    /// Whether swap space may be used: unless it is decided that plain allocations are made of other memory, and the
    /// application has made no physical memory itself.
    pub fn may_swap(&self) -> bool {
        !self.engine.is_without_swap() || !self.ledger.lock().pieces.is_empty()
    }
}
