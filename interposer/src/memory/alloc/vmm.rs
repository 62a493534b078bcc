//! Physical memory that the application creates and maps itself (`cuMemCreate`, `cuMemMap`). It is made of pieces, and
//! the application's handles are ours, because the driver's handle of a piece changes with each eviction.
#![allow(unsafe_code)] // makes and maps device memory through the driver
use crate::driver;
use crate::memory::alloc::Allocator;
use crate::memory::alloc::extent::ExtentAllocator;
use crate::memory::handled_by::HandledBy;
use crate::memory::ledger::piece::{Mapping, Piece, SHARED};
use crate::memory::ledger::shared::SharedLedger;
use crate::memory::ledger::sizes::GRANULE;
use crate::memory::ledger::{PieceId, Unevictable};
use crate::memory::migrate::swap_space::SwapSpace;
use crate::sys::waker::Waker;
use nvshare_abi::*;
use nvshare_protocol::DeviceId;
use std::sync::Arc;

/// Marks our handles. The driver's are addresses of its own, whose upper bits are zero.
const MARK: u64 = 0x6e76 << 48;

/// Whether the handle is one of ours.
pub fn is_ours(handle: CUmemGenericAllocationHandle) -> bool {
    handle >> 48 == MARK >> 48
}

fn piece_of(handle: CUmemGenericAllocationHandle) -> PieceId {
    handle & !MARK
}

/// The application's calls for virtual memory management.
#[derive(Debug)]
pub struct Vmm {
    ledger: Arc<SharedLedger>,
    swap: Arc<SwapSpace>,
    alloc: Arc<Allocator>,
    extents: Arc<ExtentAllocator>,
    /// Wakes the agent.
    waker: Arc<Waker>,
}

impl Vmm {
    pub fn new(
        ledger: Arc<SharedLedger>,
        swap: Arc<SwapSpace>,
        alloc: Arc<Allocator>,
        extents: Arc<ExtentAllocator>,
        waker: Arc<Waker>,
    ) -> Self {
        Self { ledger, swap, alloc, extents, waker }
    }

    /// A piece for the application, and our handle to it.
    ///
    /// # Errors
    /// The code for the application.
    pub fn create(
        &self,
        device: DeviceId,
        bytes: u64,
        prop: CUmemAllocationProp,
        limit: Option<u64>,
    ) -> Result<CUmemGenericAllocationHandle, CUresult> {
        self.alloc.charge_with_room(device, bytes, limit)?;
        let slots = self.extents.allocate_slots(device, &[bytes]);
        let slot = slots.inspect_err(|_| self.ledger.refund(device, bytes))?.into_iter().flatten().next();
        let id = {
            let mut ledger = self.ledger.lock();
            let id = ledger.next_seq();
            ledger.pieces.insert(id, Piece { slot, app_handles: 1, ..Piece::new(id, device, bytes, prop) });
            id
        };
        if let Err(code) = self.extents.materialize(&[id]) {
            self.drop_piece(id);
            return Err(code);
        }
        self.waker.wake();
        Ok(MARK | id)
    }

    fn drop_piece(&self, id: PieceId) {
        let mut ledger = self.ledger.lock();
        if let Some(mut piece) = ledger.pieces.remove(&id) {
            piece.release();
            piece.slot.iter().for_each(|slot| self.swap.free_slot(*slot));
            ledger.refund(piece.device, piece.bytes);
        }
    }

    /// Releases a handle. A piece without handles and mappings is dropped.
    ///
    /// # Errors
    /// `INVALID_VALUE` if there is no such handle.
    pub fn release(&self, handle: CUmemGenericAllocationHandle) -> Result<(), CUresult> {
        let id = piece_of(handle);
        let unused = {
            let mut ledger = self.ledger.lock();
            let piece = ledger.pieces.get_mut(&id).filter(|piece| piece.app_handles > 0);
            let piece = piece.ok_or(CUresult::ERROR_INVALID_VALUE)?;
            piece.app_handles -= 1;
            piece.app_handles == 0 && piece.mappings.is_empty()
        };
        if unused {
            self.drop_piece(id);
        }
        Ok(())
    }

    /// Maps a piece, or records the mapping of an evicted one.
    ///
    /// # Errors
    /// The driver's; `INVALID_VALUE` for a handle or a range that cannot be.
    pub fn map(
        &self,
        at: u64,
        bytes: u64,
        offset: u64,
        handle: CUmemGenericAllocationHandle,
    ) -> Result<(), CUresult> {
        let id = piece_of(handle);
        let mut ledger = self.ledger.lock();
        // The driver would refuse it itself, but it does not know of evicted pieces.
        let taken = ledger.piece_at(at).is_some()
            || ledger.mappings.range(at..at.saturating_add(bytes)).next().is_some();
        let piece = ledger.pieces.get_mut(&id).filter(|piece| piece.app_handles > 0);
        let piece = piece.ok_or(CUresult::ERROR_INVALID_VALUE)?;
        if bytes == 0
            || taken
            || offset.checked_add(bytes).is_none_or(|end| end > piece.bytes)
            || !at.is_multiple_of(GRANULE)
        {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        if let Some(real) = piece.driver_handle {
            // SAFETY: the application's own arguments, which the driver checks, with the driver's handle in place of
            // ours.
            unsafe { driver::cuMemMap(at, bytes as usize, offset as usize, real, 0) }.ok()?;
        }
        piece.mappings.push(Mapping { at, offset, bytes, access: Vec::new() });
        ledger.mappings.insert(at, id);
        Ok(())
    }

    /// Takes all mappings of pieces within a range away.
    ///
    /// # Errors
    /// The driver's, of the last mapping that it refused to take away; `INVALID_VALUE` for what the application has not
    /// mapped itself, and for a range that begins or ends within a mapping.
    pub fn unmap(&self, at: u64, bytes: u64) -> Result<HandledBy, CUresult> {
        let mut ledger = self.ledger.lock();
        if ledger.is_allocated(at) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let end = at.saturating_add(bytes);
        if bytes > 0 && (ledger.is_inside_mapping(at) || ledger.is_inside_mapping(end)) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let here: Vec<(u64, PieceId)> =
            ledger.mappings.range(at..end).map(|(start, id)| (*start, *id)).collect();
        let mut result = Ok(if here.is_empty() { HandledBy::Driver } else { HandledBy::Us });
        let mut unused = Vec::new();
        for (start, id) in here {
            let Some(piece) = ledger.pieces.get_mut(&id) else { continue };
            let Some(nth) = piece.mappings.iter().position(|map| map.at == start) else { continue };
            if piece.is_resident() {
                let bytes = piece.mappings[nth].bytes as usize;
                // SAFETY: the piece is on the device, so that its mapping there is one of the driver's, in whole.
                let unmapped = unsafe { driver::cuMemUnmap(start, bytes) };
                if let Err(code) = unmapped.ok() {
                    result = Err(code);
                    continue;
                }
            }
            piece.mappings.remove(nth);
            if piece.app_handles == 0 && piece.mappings.is_empty() {
                unused.push(id);
            }
            ledger.mappings.remove(&start);
        }
        drop(ledger);
        unused.into_iter().for_each(|id| self.drop_piece(id));
        result
    }

    /// Whether the application maps something of ours within a range, or it is what an allocation of its is made of:
    /// then its addresses cannot be freed.
    pub fn is_in_use(&self, at: u64, bytes: u64) -> bool {
        let ledger = self.ledger.lock();
        ledger.is_allocated(at)
            || ledger.piece_at(at).is_some()
            || ledger.mappings.range(at..at.saturating_add(bytes)).next().is_some()
    }

    /// Sets who may access a range.
    ///
    /// # Errors
    /// The driver's; `INVALID_VALUE` for what the application has not mapped itself.
    pub fn set_access(&self, at: u64, bytes: u64, who: &[CUmemAccessDesc]) -> Result<HandledBy, CUresult> {
        let end = at.saturating_add(bytes);
        let mut ledger = self.ledger.lock();
        if ledger.is_allocated(at) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let first = ledger.mappings.range(..=at).next_back().map_or(at, |(start, _)| *start);
        let here: Vec<(u64, PieceId)> =
            ledger.mappings.range(first..end).map(|(start, id)| (*start, *id)).collect();
        let mut handled = HandledBy::Driver;
        for (start, id) in here {
            let Some(piece) = ledger.pieces.get_mut(&id) else { continue };
            let there = piece.is_resident();
            let Some(map) = piece.mappings.iter_mut().find(|map| map.at == start && map.end() > at) else {
                continue;
            };
            handled = HandledBy::Us;
            let (from, to) = (at.max(map.at), end.min(map.end()));
            if there {
                // SAFETY: the piece is on the device, so that its range is mapped; the application's own descriptions.
                unsafe { driver::cuMemSetAccess(from, (to - from) as usize, who.as_ptr(), who.len()) }
                    .ok()?;
            }
            map.set_access(from, to, who);
        }
        Ok(handled)
    }

    /// The access of a location to an address in an evicted piece; none elsewhere, where the driver knows it.
    pub fn access(&self, location: &CUmemLocation, at: u64) -> Option<CUmemAccess_flags> {
        let ledger = self.ledger.lock();
        let piece = ledger.pieces.get(&ledger.piece_at(at)?)?;
        if piece.is_resident() {
            return None;
        }
        let all = piece.mappings.iter().flat_map(|map| &map.access);
        let here = all.filter(|access| (access.at..access.at + access.bytes).contains(&at));
        let mut descs = here.flat_map(|access| &access.who).filter(|desc| desc.location == *location);
        Some(descs.next_back().map_or(0, |desc| desc.flags))
    }

    /// A further handle to the application's piece at an address; none if there is no piece.
    ///
    /// # Errors
    /// `INVALID_VALUE` for what the application has not mapped itself: plain memory has no handles.
    pub fn retain(&self, at: u64) -> Result<Option<CUmemGenericAllocationHandle>, CUresult> {
        let mut ledger = self.ledger.lock();
        if ledger.is_allocated(at) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let Some(id) = ledger.piece_at(at) else { return Ok(None) };
        Ok(ledger.pieces.get_mut(&id).map(|piece| {
            piece.app_handles += 1;
            MARK | id
        }))
    }

    /// The properties that a piece was asked for with.
    pub fn prop(&self, handle: CUmemGenericAllocationHandle) -> Option<CUmemAllocationProp> {
        self.ledger.lock().pieces.get(&piece_of(handle)).map(|piece| piece.prop)
    }

    /// Pins a piece, because others will know its memory, and returns the driver's handle. None if it is evicted, which
    /// it is not while the GPU is ours.
    pub fn pin(&self, handle: CUmemGenericAllocationHandle) -> Option<CUmemGenericAllocationHandle> {
        let mut ledger = self.ledger.lock();
        let piece = ledger.pieces.get_mut(&piece_of(handle))?;
        let real = piece.driver_handle?;
        piece.pinned = Some(SHARED);
        Some(real)
    }

    /// Pins the pieces in a range.
    pub fn pin_range(&self, at: u64, bytes: u64) {
        let mut ledger = self.ledger.lock();
        let first = ledger.mappings.range(..=at).next_back().map_or(at, |(start, _)| *start);
        let ids: Vec<PieceId> =
            ledger.mappings.range(first..at.saturating_add(bytes)).map(|(_, id)| *id).collect();
        for id in ids {
            if let Some(piece) = ledger.pieces.get_mut(&id).filter(|piece| piece.is_resident()) {
                piece.pinned = Some(SHARED);
            }
        }
    }

    /// Records physical memory that the driver made itself, because it cannot be a piece.
    pub fn add_special(&self, handle: CUmemGenericAllocationHandle, device: DeviceId, bytes: u64) {
        self.ledger.add_unevictable(
            handle as usize,
            Unevictable { device, bytes, reason: "made for a special use", context: 0 },
        );
    }
}
