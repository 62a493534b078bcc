//! What the application frees.
use crate::driver::captures::Captures;
use crate::driver::contexts::Contexts;
use crate::driver::stream::context_of;
use crate::memory::alloc::batch::FreedAllocation;
use crate::memory::alloc::deferred::{DeferredFrees, StreamAt};
use crate::memory::alloc::release::Releaser;
use crate::memory::dependencies::Dependencies;
use crate::memory::handled_by::HandledBy;
use crate::memory::ledger::shared::SharedLedger;
use crate::memory::ledger::{Allocation, Backing, Extent};
use crate::sys::detached::{Detached, Transaction};
use nvshare_abi::*;
use std::sync::Arc;

/// An allocation that the driver is freeing. It stays charged until it has done so.
#[derive(Debug)]
pub struct FreeingAllocation<'a> {
    ledger: &'a SharedLedger,
    start: u64,
    allocation: Allocation,
    extent: Option<Extent>,
}

/// Frees what the application frees, at once or in a stream's order.
#[derive(Debug)]
pub struct Frees {
    ledger: Arc<SharedLedger>,
    releaser: Arc<Releaser>,
    deferred: Arc<DeferredFrees>,
    contexts: Arc<Contexts>,
    captures: Arc<Captures>,
}

impl Frees {
    pub fn new(
        uses: &Dependencies,
        ledger: Arc<SharedLedger>,
        releaser: Arc<Releaser>,
        deferred: Arc<DeferredFrees>,
    ) -> Self {
        let Dependencies { contexts, captures, .. } = uses.clone();
        Self { ledger, releaser, deferred, contexts, captures }
    }

    /// Takes an allocation back. Where the call is the driver's, [`Self::detach`] is to come before it.
    ///
    /// # Errors
    /// What the driver says to the wait that a free implies; `INVALID_VALUE` for what has been freed already.
    pub fn free(&self, start: u64) -> Result<HandledBy, CUresult> {
        let (allocation, shared) = {
            let ledger = self.ledger.lock();
            let Some(allocation) = ledger.allocations.get(&start) else {
                // At the start of a chunk the driver would free the whole chunk.
                return if ledger.is_in_a_chunk(start) {
                    Err(CUresult::ERROR_INVALID_VALUE)
                } else {
                    Ok(HandledBy::Driver)
                };
            };
            (*allocation, !ledger.peers.peers_of(allocation.device).is_empty())
        };
        if allocation.freed {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let is_ours = |extent: &Extent| extent.arena.is_some() || !extent.is_the_drivers();
        if !self.ledger.lock().extents.get(&allocation.extent).is_some_and(is_ours) {
            return Ok(HandledBy::Driver);
        }
        // As the driver's own free does: work that uses the memory ends first. Not beside a capture, which that would
        // disturb; the memory is then given back later.
        if self.captures.any() {
            self.deferred.defer(start, allocation.id);
            return Ok(HandledBy::Us);
        }
        for context in self.contexts.all() {
            if shared || context.raw() == allocation.context {
                context.synchronize().ok()?;
            }
        }
        self.releaser.release_allocation(start, allocation.id);
        Ok(HandledBy::Us)
    }

    /// Frees an allocation in a stream's order.
    ///
    /// # Errors
    /// `INVALID_VALUE` for what has been freed already.
    pub fn free_async(&self, start: u64, stream: CUstream) -> Result<HandledBy, CUresult> {
        let Some(allocation) = self.mark_freed(start)? else { return Ok(HandledBy::Driver) };
        let context = context_of(stream)
            .or_else(|| self.contexts.current().map(|context| context.raw()))
            .unwrap_or(allocation.context);
        let Allocation { id, bytes, pool, .. } = allocation;
        let item = FreedAllocation { start, id, bytes, pool };
        self.deferred.add(item, StreamAt { context, stream });
        Ok(HandledBy::Us)
    }

    /// Marks the allocation that begins there as freed, unless its memory is the driver's to free: of its own pools, or
    /// the application's managed memory.
    ///
    /// # Errors
    /// `INVALID_VALUE` if it was freed before, or lies in a chunk and is no allocation.
    fn mark_freed(&self, start: u64) -> Result<Option<Allocation>, CUresult> {
        let mut guard = self.ledger.lock();
        let ledger = &mut *guard;
        let Some(allocation) = ledger.allocations.get_mut(&start).filter(|allocation| !allocation.managed)
        else {
            // At the start of a chunk the driver would free the whole chunk.
            return if ledger.is_in_a_chunk(start) { Err(CUresult::ERROR_INVALID_VALUE) } else { Ok(None) };
        };
        let is_the_drivers = |extent: &Extent| extent.backing == Backing::Plain && extent.arena.is_none();
        if ledger.extents.get(&allocation.extent).is_none_or(is_the_drivers) {
            return Ok(None);
        }
        if std::mem::replace(&mut allocation.freed, true) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        Ok(Some(*allocation))
    }

    /// Takes out an allocation that the driver is about to free: afterwards the address may be somebody else's at once.
    pub fn detach(&self, start: u64) -> Option<Detached<FreeingAllocation<'_>>> {
        let mut ledger = self.ledger.lock();
        let allocation = ledger.allocations.remove(&start)?;
        let extent = ledger.extents.remove(&allocation.extent);
        Some(Detached::new(FreeingAllocation { ledger: &self.ledger, start, allocation, extent }))
    }
}

impl Transaction for FreeingAllocation<'_> {
    fn commit(self) {
        self.ledger.lock().uncharge(&self.allocation);
    }

    fn rollback(self) {
        let mut ledger = self.ledger.lock();
        ledger.allocations.insert(self.start, self.allocation);
        if let Some(extent) = self.extent {
            ledger.extents.insert(self.allocation.extent, extent);
        }
    }
}
