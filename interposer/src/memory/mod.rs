//! The application's memory: what there is, how it moves, and who else may open it.
//!
//! ```text
//!   calls/                                   agent/
//!     |                                        |
//!   alloc/    allocate, free, pools, vmm     migrate/  evict and restore: pieces by copies, managed memory
//!     |       deferred frees, teardown         |       by prefetches; the swap space
//!     |                                        |
//!     +------------------ ledger/ -------------+       what there is: allocations, extents, pieces
//!     |                                        |
//!   share/    export, import, convert ---------+       what processes open of each other (IPC)
//! ```
//!
//! [`Memory`] only holds the parts together. Each part is given what it uses, and no part knows the whole. The order of
//! their locks is in `sys/lock.rs`.
use crate::settings::EngineChoice;
use alloc::Allocator;
use alloc::addresses::Addresses;
use alloc::deferred::DeferredFrees;
use alloc::extent::ExtentAllocator;
use alloc::free::Frees;
use alloc::pool::PoolAccounts;
use alloc::release::Releaser;
use alloc::teardown::Teardown;
use alloc::vmm::Vmm;
use engine::EngineSelection;
use ledger::shared::SharedLedger;
use migrate::Migrator;
use migrate::pieces::PieceMover;
use migrate::residency::Residency;
use share::IpcMemory;
use share::convert::Converter;
use share::export::Exporter;
use std::sync::Arc;

pub mod alloc;
pub mod dependencies;
pub mod engine;
mod handled_by;
pub mod ledger;
pub mod migrate;
pub mod share;
pub use alloc::AllocRequest;
pub use alloc::deferred::StreamAt;
pub use alloc::teardown::ContextMemory;
pub use alloc::vmm::is_ours;
pub use dependencies::Dependencies;
pub use engine::Engine;
pub use handled_by::HandledBy;
pub use ledger::peers::AccessScope;
pub use ledger::query::AllocInfo;
pub use ledger::sizes::GRANULE;
pub use ledger::{Totals, Unevictable};
pub use migrate::pieces::TotalsOf;
pub use migrate::residency::ResidencyGuard;
pub use migrate::swap_space::{FileMapping, SwapGrant, SwapSpace};

/// All parts of the management of device memory.
#[derive(Debug)]
pub struct Memory {
    /// What there is.
    pub ledger: Arc<SharedLedger>,
    /// Where evicted pieces lie.
    pub swap: Arc<SwapSpace>,
    /// What plain allocations are made of.
    pub engine: Arc<EngineSelection>,
    /// Whether memory is on the device, and who relies on it.
    pub residency: Arc<Residency>,
    /// Who may have the driver choose addresses.
    pub addresses: Arc<Addresses>,
    /// `cuMemAlloc`, `cuMemAllocAsync` and their kin.
    pub alloc: Arc<Allocator>,
    /// `cuMemFree`, `cuMemFreeAsync`.
    pub frees: Frees,
    /// What was freed in a stream's order.
    pub deferred: Arc<DeferredFrees>,
    /// `cuMemPool*`.
    pub pools: PoolAccounts,
    /// `cuMemCreate`, `cuMemMap` and their kin.
    pub vmm: Vmm,
    /// The memory of contexts that end.
    pub teardown: Teardown,
    /// Eviction and restoring of pieces.
    pub pieces: Arc<PieceMover>,
    /// Eviction and restoring of all memory.
    pub migrator: Migrator,
    /// Makes allocations fit for other processes.
    pub exporter: Arc<Exporter>,
    /// Makes pieces of managed memory.
    pub converter: Converter,
    /// `cuIpc*MemHandle`.
    pub ipc: IpcMemory,
}

impl Memory {
    pub fn new(choice: EngineChoice, moves_all: bool, uses: &Dependencies) -> Self {
        let Dependencies { contexts, captures, waker, .. } = uses.clone();
        let ledger = Arc::new(SharedLedger::new(waker.clone()));
        let swap = Arc::new(SwapSpace::default());
        let engine = Arc::new(EngineSelection::new(choice, swap.clone()));
        let addresses = Arc::new(Addresses::default());
        let releaser = Arc::new(Releaser::new(ledger.clone(), swap.clone(), contexts));
        let deferred = Arc::new(DeferredFrees::new(uses, ledger.clone(), releaser.clone()));
        let extents = Arc::new(ExtentAllocator::new(
            uses,
            ledger.clone(),
            swap.clone(),
            addresses.clone(),
            releaser.clone(),
        ));
        let alloc =
            Arc::new(Allocator::new(uses, ledger.clone(), engine.clone(), extents.clone(), deferred.clone()));
        let residency = Arc::new(Residency::new(ledger.clone()));
        let pieces =
            Arc::new(PieceMover::new(uses, ledger.clone(), swap.clone(), residency.clone(), moves_all));
        let exporter = Arc::new(Exporter::new(uses, ledger.clone(), pieces.clone()));
        Self {
            frees: Frees::new(uses, ledger.clone(), releaser.clone(), deferred.clone()),
            pools: PoolAccounts::new(ledger.clone(), releaser.clone(), captures),
            vmm: Vmm::new(ledger.clone(), swap.clone(), alloc.clone(), extents, waker),
            teardown: Teardown::new(ledger.clone(), releaser.clone(), deferred.clone()),
            migrator: Migrator::new(uses, ledger.clone(), releaser, pieces.clone()),
            converter: Converter::new(uses, ledger.clone(), residency.clone(), addresses.clone()),
            ipc: IpcMemory::new(ledger.clone(), exporter.clone(), addresses.clone()),
            ledger,
            swap,
            engine,
            residency,
            addresses,
            alloc,
            deferred,
            pieces,
            exporter,
        }
    }

    /// The scheduler is gone. It may give up the pages of the swap space that we have of it.
    pub fn scheduler_lost(&self) {
        self.swap.scheduler_lost();
        self.ledger.lock().forget_copies();
    }

    /// Whether swap space may be used: unless it is decided that plain allocations are made of other memory, and the
    /// application has made no physical memory itself.
    pub fn may_swap(&self) -> bool {
        !self.engine.is_without_swap() || !self.ledger.lock().pieces.is_empty()
    }
}
