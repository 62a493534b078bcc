//! What the application frees.
#![allow(unsafe_code)] // frees device memory through the driver
use super::Memory;
use super::book::{Allocation, Book, Extent, Home};
use crate::driver;
use crate::driver::contexts::Contexts;
use crate::process::Process;
use nvshare_abi::*;
use nvshare_protocol::DeviceId;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering::Release;

/// An allocation that the driver is freeing.
#[derive(Debug)]
pub struct Taken {
    start: u64,
    allocation: Allocation,
    extent: Option<Extent>,
}

impl Memory {
    /// Takes an allocation back; true if it was ours and is gone. Otherwise the call is the driver's, and
    /// [`Self::forget`] follows when it has done it.
    ///
    /// # Errors
    /// What the driver says to the wait that a free implies; `INVALID_VALUE` for what has been freed already.
    pub fn free(&self, process: &Process, start: u64) -> Result<bool, CUresult> {
        let (allocation, shared) = {
            let book = self.book();
            let Some(allocation) = book.allocations.get(&start) else {
                // Where a chunk begins, the driver would free all of it.
                return if book.is_in_a_chunk(start) {
                    Err(CUresult::ERROR_INVALID_VALUE)
                } else {
                    Ok(false)
                };
            };
            (*allocation, !book.peers.guests(allocation.device).is_empty())
        };
        if allocation.freed {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let is_ours = |extent: &Extent| extent.shelf.is_some() || !extent.is_the_drivers();
        if !self.book().extents.get(&allocation.extent).is_some_and(is_ours) {
            return Ok(false);
        }
        // As the driver's own free does: work that uses the memory ends first. Not beside a capture, which that would
        // disturb; the memory is then given back later.
        if process.captures.any() {
            self.free_later(start, allocation.id);
            return Ok(true);
        }
        for context in process.contexts.all() {
            if shared || context.raw() == allocation.context {
                context.synchronize().ok()?;
            }
        }
        self.give_back(&process.contexts, start, allocation.id);
        Ok(true)
    }

    /// Frees what nothing uses any more, if it is still the allocation of that id.
    pub(super) fn give_back(&self, contexts: &Contexts, start: u64, id: u64) {
        let mut book = self.book();
        let known = book.allocations.get(&start).is_some_and(|known| known.id == id);
        if let Some(allocation) = known.then(|| book.allocations.remove(&start)).flatten() {
            book.uncharge(&allocation);
            self.vacate(contexts, book, start, &allocation);
        }
    }

    /// The place of an allocation is free.
    pub(super) fn vacate(
        &self,
        contexts: &Contexts,
        mut book: MutexGuard<'_, Book>,
        start: u64,
        allocation: &Allocation,
    ) {
        let Some(shelf) = book.extents.get(&allocation.extent).and_then(|extent| extent.shelf) else {
            drop(book);
            return self.drop_extent(contexts, allocation.extent);
        };
        let empty = book.arenas.get_mut(&shelf).and_then(|arena| arena.give(start));
        let kept = book.kept(shelf);
        if let (Some(region), Some(arena)) = (empty, book.arenas.get_mut(&shelf))
            && arena.room().1 > kept
        {
            arena.remove(region);
            drop(book);
            self.drop_extent(contexts, region);
        }
    }

    /// Gives back the chunks on a device that nothing lies in, until at most `keep` bytes are free in those of a shelf;
    /// how many bytes of them were on the device, none if there was no such chunk.
    pub fn shed(&self, contexts: &Contexts, device: DeviceId, keep: u64) -> Option<u64> {
        let mut shed = None;
        loop {
            let mut book = self.book();
            let here =
                book.arenas.iter_mut().filter(|(shelf, arena)| shelf.0 == device && arena.room().1 > keep);
            let empty = here.filter_map(|(_, arena)| Some((arena.empty()?, arena))).next();
            let Some((region, arena)) = empty else { break };
            arena.remove(region);
            let there = match book.extents.get(&region).map(|extent| &extent.home) {
                Some(Home::Pieces(ids)) => {
                    let pieces = ids.iter().filter_map(|id| book.pieces.get(id));
                    pieces.filter(|piece| piece.is_there()).map(|piece| piece.bytes).sum()
                }
                Some(Home::Managed { resident }) => *resident,
                Some(Home::Plain) | None => 0,
            };
            shed = Some(shed.unwrap_or(0) + there);
            drop(book);
            self.drop_extent(contexts, region);
        }
        shed
    }

    /// Gives an extent's memory and addresses back. Nothing uses it any more.
    pub(super) fn drop_extent(&self, contexts: &Contexts, start: u64) {
        let extent = self.book().extents.remove(&start);
        extent.into_iter().for_each(|extent| self.give_extent_back(contexts, start, extent));
    }

    /// The same of one that is out of the book.
    pub(super) fn give_extent_back(&self, contexts: &Contexts, start: u64, extent: Extent) {
        self.changed.store(true, Release);
        let Home::Pieces(ids) = extent.home else {
            // The driver waits in it, and by its documentation needs a context.
            let context = contexts.named(extent.context);
            // SAFETY: made in `extent`.
            let free = || unsafe { driver::cuMemFree_v2(start) };
            context.and_then(|context| context.within(free));
            return;
        };
        let slots = self.book().drop_pieces(&ids);
        slots.into_iter().for_each(|slot| self.space.give(slot));
        // SAFETY: reserved in `pieces`, and nothing is mapped there any more.
        unsafe { driver::cuMemAddressFree(start, extent.bytes as usize) };
    }

    /// Takes out an allocation that the driver is about to free: afterwards the address may be somebody else's at
    /// once. It stays charged until [`Self::forget`].
    pub fn take(&self, start: u64) -> Option<Taken> {
        let mut book = self.book();
        let allocation = book.allocations.remove(&start)?;
        let extent = book.extents.remove(&allocation.extent);
        Some(Taken { start, allocation, extent })
    }

    /// The driver has freed it.
    pub fn forget(&self, taken: &Taken) {
        self.book().uncharge(&taken.allocation);
    }

    /// The driver has not freed it.
    pub fn put_back(&self, taken: Taken) {
        let mut book = self.book();
        book.allocations.insert(taken.start, taken.allocation);
        if let Some(extent) = taken.extent {
            book.extents.insert(taken.allocation.extent, extent);
        }
    }
}
