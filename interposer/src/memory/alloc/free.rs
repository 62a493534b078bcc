//! What the application frees.
#![allow(unsafe_code)] // frees device memory through the driver
use crate::driver;
use crate::memory::Memory;
use crate::memory::handled::Handled;
use crate::memory::ledger::{Allocation, Backing, Extent, Ledger};
use crate::sys::detached::{Detached, Transaction};
use crate::sys::lock::MutexGuard;
use nvshare_abi::*;
use nvshare_protocol::DeviceId;

/// An allocation that the driver is freeing. It stays charged until it has done so.
#[derive(Debug)]
pub struct FreeingAllocation<'a> {
    memory: &'a Memory,
    start: u64,
    allocation: Allocation,
    extent: Option<Extent>,
}

impl Memory {
    /// Takes an allocation back. Where the call is the driver's, [`Self::detach`] is to come before it.
    ///
    /// # Errors
    /// What the driver says to the wait that a free implies; `INVALID_VALUE` for what has been freed already.
    pub fn free(&self, start: u64) -> Result<Handled, CUresult> {
        let (allocation, shared) = {
            let ledger = self.ledger.lock();
            let Some(allocation) = ledger.allocations.get(&start) else {
                // Where a chunk begins, the driver would free all of it.
                return if ledger.is_in_a_chunk(start) {
                    Err(CUresult::ERROR_INVALID_VALUE)
                } else {
                    Ok(Handled::NotOurs)
                };
            };
            (*allocation, !ledger.peers.peers_of(allocation.device).is_empty())
        };
        if allocation.freed {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let is_ours = |extent: &Extent| extent.arena.is_some() || !extent.is_the_drivers();
        if !self.ledger.lock().extents.get(&allocation.extent).is_some_and(is_ours) {
            return Ok(Handled::NotOurs);
        }
        // As the driver's own free does: work that uses the memory ends first. Not beside a capture, which that would
        // disturb; the memory is then given back later.
        if self.captures.any() {
            self.defer_free(start, allocation.id);
            return Ok(Handled::Ours);
        }
        for context in self.contexts.all() {
            if shared || context.raw() == allocation.context {
                context.synchronize().ok()?;
            }
        }
        self.release_allocation(start, allocation.id);
        Ok(Handled::Ours)
    }

    /// Frees what nothing uses any more, if it is still the allocation of that id.
    pub fn release_allocation(&self, start: u64, id: u64) {
        let mut ledger = self.ledger.lock();
        let known = ledger.allocations.get(&start).is_some_and(|known| known.id == id);
        if let Some(allocation) = known.then(|| ledger.allocations.remove(&start)).flatten() {
            ledger.uncharge(&allocation);
            self.release_place(ledger, start, &allocation);
        }
    }

    /// The place of an allocation is free.
    pub fn release_place(&self, mut ledger: MutexGuard<'_, Ledger>, start: u64, allocation: &Allocation) {
        let Some(arena_key) = ledger.extents.get(&allocation.extent).and_then(|extent| extent.arena) else {
            drop(ledger);
            return self.drop_extent(allocation.extent);
        };
        let empty = ledger.arenas.get_mut(&arena_key).and_then(|arena| arena.free(start));
        let kept = ledger.retained_free(arena_key);
        if let (Some(region), Some(arena)) = (empty, ledger.arenas.get_mut(&arena_key))
            && arena.free_space().1 > kept
        {
            arena.remove_region(region);
            drop(ledger);
            self.drop_extent(region);
        }
    }

    /// Gives back the chunks on a device that nothing lies in, until at most `keep` bytes are free in those of an arena;
    /// how many bytes of them were on the device, none if there was no such chunk.
    pub fn release_empty_chunks(&self, device: DeviceId, keep: u64) -> Option<u64> {
        let mut shed = None;
        loop {
            let mut ledger = self.ledger.lock();
            let here = ledger
                .arenas
                .iter_mut()
                .filter(|(arena_key, arena)| arena_key.device == device && arena.free_space().1 > keep);
            let empty = here.filter_map(|(_, arena)| Some((arena.free_region()?, arena))).next();
            let Some((region, arena)) = empty else { break };
            arena.remove_region(region);
            let there = match ledger.extents.get(&region).map(|extent| &extent.backing) {
                Some(Backing::Pieces(ids)) => {
                    let pieces = ids.iter().filter_map(|id| ledger.pieces.get(id));
                    pieces.filter(|piece| piece.is_resident()).map(|piece| piece.bytes).sum()
                }
                Some(Backing::Managed { resident }) => *resident,
                Some(Backing::Plain) | None => 0,
            };
            shed = Some(shed.unwrap_or(0) + there);
            drop(ledger);
            self.drop_extent(region);
        }
        shed
    }

    /// Gives an extent's memory and addresses back. Nothing uses it any more.
    pub fn drop_extent(&self, start: u64) {
        let extent = self.ledger.lock().extents.remove(&start);
        extent.into_iter().for_each(|extent| self.release_extent(start, extent));
    }

    /// The same of one that is out of the ledger.
    pub fn release_extent(&self, start: u64, extent: Extent) {
        self.ledger.mark_changed();
        let Backing::Pieces(ids) = extent.backing else {
            // The driver waits in it, and by its documentation needs a context.
            let context = self.contexts.named(extent.context);
            // SAFETY: made in `extent`.
            let free = || unsafe { driver::cuMemFree_v2(start) };
            context.and_then(|context| context.within(free));
            return;
        };
        let slots = self.ledger.lock().drop_pieces(&ids);
        slots.into_iter().for_each(|slot| self.space.free_slot(slot));
        // SAFETY: reserved in `pieces`, and nothing is mapped there any more.
        unsafe { driver::cuMemAddressFree(start, extent.bytes as usize) };
    }

    /// Takes out an allocation that the driver is about to free: afterwards the address may be somebody else's at once.
    pub fn detach(&self, start: u64) -> Option<Detached<FreeingAllocation<'_>>> {
        let mut ledger = self.ledger.lock();
        let allocation = ledger.allocations.remove(&start)?;
        let extent = ledger.extents.remove(&allocation.extent);
        Some(Detached::new(FreeingAllocation { memory: self, start, allocation, extent }))
    }
}

impl Transaction for FreeingAllocation<'_> {
    fn commit(self) {
        self.memory.ledger.lock().uncharge(&self.allocation);
    }

    fn rollback(self) {
        let mut ledger = self.memory.ledger.lock();
        ledger.allocations.insert(self.start, self.allocation);
        if let Some(extent) = self.extent {
            ledger.extents.insert(self.allocation.extent, extent);
        }
    }
}
