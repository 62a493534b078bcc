//! Gives back what nothing uses any more.
#![allow(unsafe_code)] // frees device memory through the driver
use crate::driver;
use crate::driver::contexts::Contexts;
use crate::memory::alloc::addresses::unreserve;
use crate::memory::ledger::shared::SharedLedger;
use crate::memory::ledger::{Allocation, Backing, Extent, Ledger};
use crate::memory::migrate::swap_space::SwapSpace;
use crate::sys::lock::MutexGuard;
use nvshare_protocol::DeviceId;
use std::sync::Arc;

#[derive(Debug)]
pub struct Releaser {
    ledger: Arc<SharedLedger>,
    swap: Arc<SwapSpace>,
    contexts: Arc<Contexts>,
}

impl Releaser {
    pub fn new(ledger: Arc<SharedLedger>, swap: Arc<SwapSpace>, contexts: Arc<Contexts>) -> Self {
        Self { ledger, swap, contexts }
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

    /// The place of an allocation is free: its extent goes, or its part of a chunk, and the chunk if enough of the
    /// arena is free without it.
    pub fn release_place(&self, mut ledger: MutexGuard<'_, Ledger>, start: u64, allocation: &Allocation) {
        let Some(arena_key) = ledger.extents.get(&allocation.extent).and_then(|extent| extent.arena) else {
            return self.release(ledger, allocation.extent);
        };
        let empty = ledger.arenas.get_mut(&arena_key).and_then(|arena| arena.free(start));
        let kept = ledger.retained_free(arena_key);
        if let (Some(region), Some(arena)) = (empty, ledger.arenas.get_mut(&arena_key))
            && arena.free_space().1 > kept
        {
            arena.remove_region(region);
            self.release(ledger, region);
        }
    }

    /// Gives back the chunks on a device that nothing lies in, until at most `keep` bytes are free in those of an
    /// arena; how many bytes of them were on the device.
    pub fn release_empty_chunks(&self, device: DeviceId, keep: u64) -> u64 {
        let mut released = 0;
        loop {
            let mut ledger = self.ledger.lock();
            let here = ledger
                .arenas
                .iter_mut()
                .filter(|(arena_key, arena)| arena_key.device == device && arena.free_space().1 > keep);
            let empty = here.filter_map(|(_, arena)| Some((arena.free_region()?, arena))).next();
            let Some((region, arena)) = empty else { return released };
            arena.remove_region(region);
            released += match ledger.extents.get(&region).map(|extent| &extent.backing) {
                Some(Backing::Pieces(ids)) => {
                    let pieces = ids.iter().filter_map(|id| ledger.pieces.get(id));
                    pieces.filter(|piece| piece.is_resident()).map(|piece| piece.bytes).sum()
                }
                Some(Backing::Managed { resident }) => *resident,
                Some(Backing::Plain) | None => 0,
            };
            self.release(ledger, region);
        }
    }

    /// Gives an extent's memory and addresses back. Nothing uses it any more.
    pub fn drop_extent(&self, start: u64) {
        self.release(self.ledger.lock(), start);
    }

    /// The same of one that is out of the ledger.
    pub fn release_extent(&self, start: u64, extent: Extent) {
        self.release_detached(self.ledger.lock(), start, extent);
    }

    fn release(&self, mut ledger: MutexGuard<'_, Ledger>, start: u64) {
        if let Some(extent) = ledger.extents.remove(&start) {
            self.release_detached(ledger, start, extent);
        }
    }

    /// The ledger counts the extent's memory until it is unlocked: another thread never finds it counted and not to be
    /// had.
    fn release_detached(&self, mut ledger: MutexGuard<'_, Ledger>, start: u64, extent: Extent) {
        if let Backing::Pieces(ids) = &extent.backing {
            ledger.drop_pieces(ids).into_iter().for_each(|slot| self.swap.free_slot(slot));
            drop(ledger);
            unreserve(start, extent.bytes);
        } else {
            drop(ledger);
            // The driver waits for the context's work, and by its documentation needs a context.
            let context = self.contexts.named(extent.context);
            // SAFETY: the driver made it at this address for an extent that is out of the ledger now: nobody else frees
            // it.
            let free = || unsafe { driver::cuMemFree_v2(start) };
            context.and_then(|context| context.within(free));
        }
        self.ledger.mark_changed();
    }
}
