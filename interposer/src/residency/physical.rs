//! Physical memory that the application makes and maps itself: pieces, whose handles are ours, so that the driver's
//! may change while they are away.
#![allow(unsafe_code)] // makes and maps device memory through the driver
use super::Memory;
use super::book::{Fixed, PieceId};
use super::piece::{GRANULE, Map, Piece};
use crate::driver;
use crate::process::Process;
use nvshare_abi::*;
use nvshare_protocol::DeviceId;

/// Marks our handles. The driver's are addresses of its own, whose upper bits are zero.
const MARK: u64 = 0x6e76 << 48;
/// Why such memory stays.
pub(super) const SHARED: &str = "shared with others";

/// Whether the handle is one of ours.
pub fn is_ours(handle: CUmemGenericAllocationHandle) -> bool {
    handle >> 48 == MARK >> 48
}

fn piece_of(handle: CUmemGenericAllocationHandle) -> PieceId {
    handle & !MARK
}

impl Memory {
    /// A piece for the application, and our handle to it.
    ///
    /// # Errors
    /// The code for the application.
    pub fn create_physical(
        &self,
        process: &Process,
        device: DeviceId,
        bytes: u64,
        prop: CUmemAllocationProp,
        limit: Option<u64>,
    ) -> Result<CUmemGenericAllocationHandle, CUresult> {
        self.charge_or_reclaim(process, device, bytes, limit)?;
        if !self.make_room(process, device, bytes, limit) {
            self.refund(device, bytes);
            return Err(CUresult::ERROR_OUT_OF_MEMORY);
        }
        let slot = self.space.slot(bytes, bytes, || process.waker.wake());
        let slot = slot.inspect_err(|_| self.book().refund(device, bytes))?;
        let id = {
            let mut book = self.book();
            let id = book.stamp();
            let piece = Piece {
                device,
                bytes,
                prop,
                real: None,
                saved: false,
                slot,
                maps: Vec::new(),
                pinned: None,
                handles: 1,
                stamp: id,
            };
            book.pieces.insert(id, piece);
            id
        };
        if let Err(code) = self.place(process, &[id]) {
            self.drop_physical(id);
            return Err(code);
        }
        process.waker.wake();
        Ok(MARK | id)
    }

    fn drop_physical(&self, id: PieceId) {
        let mut book = self.book();
        if let Some(mut piece) = book.pieces.remove(&id) {
            piece.lift();
            piece.slot.iter().for_each(|slot| self.space.give(*slot));
            book.refund(piece.device, piece.bytes);
        }
    }

    /// One handle less; without handles and mappings the piece goes.
    ///
    /// # Errors
    /// `INVALID_VALUE` if there is no such handle.
    pub fn release_physical(&self, handle: CUmemGenericAllocationHandle) -> Result<(), CUresult> {
        let id = piece_of(handle);
        let unused = {
            let mut book = self.book();
            let piece = book.pieces.get_mut(&id).filter(|piece| piece.handles > 0);
            let piece = piece.ok_or(CUresult::ERROR_INVALID_VALUE)?;
            piece.handles -= 1;
            piece.handles == 0 && piece.maps.is_empty()
        };
        if unused {
            self.drop_physical(id);
        }
        Ok(())
    }

    /// Maps a piece, or notes where it will be.
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
        let mut book = self.book();
        // The driver would say so itself, but not of a piece that is away.
        let taken =
            book.piece_at(at).is_some() || book.maps.range(at..at.saturating_add(bytes)).next().is_some();
        let piece = book.pieces.get_mut(&id).filter(|piece| piece.handles > 0);
        let piece = piece.ok_or(CUresult::ERROR_INVALID_VALUE)?;
        if bytes == 0
            || taken
            || offset.checked_add(bytes).is_none_or(|end| end > piece.bytes)
            || !at.is_multiple_of(GRANULE)
        {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        if let Some(real) = piece.real {
            // SAFETY: the application's own arguments, with the driver's handle for ours.
            unsafe { driver::cuMemMap(at, bytes as usize, offset as usize, real, 0) }.ok()?;
        }
        piece.maps.push(Map { at, offset, bytes, access: Vec::new() });
        book.maps.insert(at, id);
        Ok(())
    }

    /// Takes all mappings of pieces within a range away; false if there is none of ours.
    ///
    /// # Errors
    /// The driver's, of the last mapping that it refused to take away; `INVALID_VALUE` for what the application has not
    /// mapped itself, and for a range that begins or ends within a mapping.
    pub fn unmap(&self, at: u64, bytes: u64) -> Result<bool, CUresult> {
        let mut book = self.book();
        if book.is_allocated(at) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let end = at.saturating_add(bytes);
        if bytes > 0 && (book.is_within_a_map(at) || book.is_within_a_map(end)) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let here: Vec<(u64, PieceId)> = book.maps.range(at..end).map(|(start, id)| (*start, *id)).collect();
        let mut result = Ok(!here.is_empty());
        let mut unused = Vec::new();
        for (start, id) in here {
            let Some(piece) = book.pieces.get_mut(&id) else { continue };
            let Some(nth) = piece.maps.iter().position(|map| map.at == start) else { continue };
            if piece.is_there() {
                // SAFETY: mapped there, by us or by the application through us.
                if let Err(code) = unsafe { driver::cuMemUnmap(start, piece.maps[nth].bytes as usize) }.ok() {
                    result = Err(code);
                    continue;
                }
            }
            piece.maps.remove(nth);
            if piece.handles == 0 && piece.maps.is_empty() {
                unused.push(id);
            }
            book.maps.remove(&start);
        }
        drop(book);
        unused.into_iter().for_each(|id| self.drop_physical(id));
        result
    }

    /// Whether the application maps something of ours within a range, or it is what an allocation of its is made of:
    /// then its addresses cannot be freed.
    pub fn is_in_use(&self, at: u64, bytes: u64) -> bool {
        let book = self.book();
        book.is_allocated(at)
            || book.piece_at(at).is_some()
            || book.maps.range(at..at.saturating_add(bytes)).next().is_some()
    }

    /// Says who may access a range; false if there is none of ours in it.
    ///
    /// # Errors
    /// The driver's; `INVALID_VALUE` for what the application has not mapped itself.
    pub fn allow(&self, at: u64, bytes: u64, who: &[CUmemAccessDesc]) -> Result<bool, CUresult> {
        let end = at.saturating_add(bytes);
        let mut book = self.book();
        if book.is_allocated(at) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let first = book.maps.range(..=at).next_back().map_or(at, |(start, _)| *start);
        let here: Vec<(u64, PieceId)> =
            book.maps.range(first..end).map(|(start, id)| (*start, *id)).collect();
        let mut any = false;
        for (start, id) in here {
            let Some(piece) = book.pieces.get_mut(&id) else { continue };
            let there = piece.is_there();
            let Some(map) = piece.maps.iter_mut().find(|map| map.at == start && map.end() > at) else {
                continue;
            };
            any = true;
            let (from, to) = (at.max(map.at), end.min(map.end()));
            if there {
                // SAFETY: mapped there; the application's own descriptions.
                unsafe { driver::cuMemSetAccess(from, (to - from) as usize, who.as_ptr(), who.len()) }
                    .ok()?;
            }
            map.allow(from, to, who);
        }
        Ok(any)
    }

    /// What was said of access to an address by a location; none if it is not ours to know.
    pub fn access(&self, location: &CUmemLocation, at: u64) -> Option<CUmemAccess_flags> {
        let book = self.book();
        let piece = book.pieces.get(&book.piece_at(at)?)?;
        if piece.is_there() {
            return None;
        }
        let all = piece.maps.iter().flat_map(|map| &map.access);
        let here = all.filter(|access| (access.at..access.at + access.bytes).contains(&at));
        let mut descs = here.flat_map(|access| &access.who).filter(|desc| desc.location == *location);
        Some(descs.next_back().map_or(0, |desc| desc.flags))
    }

    /// One handle more to the application's piece at an address; none if there is none of ours.
    ///
    /// # Errors
    /// `INVALID_VALUE` for what the application has not mapped itself: plain memory has no handles.
    pub fn retain_physical(&self, at: u64) -> Result<Option<CUmemGenericAllocationHandle>, CUresult> {
        let mut book = self.book();
        if book.is_allocated(at) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let Some(id) = book.piece_at(at) else { return Ok(None) };
        Ok(book.pieces.get_mut(&id).map(|piece| {
            piece.handles += 1;
            MARK | id
        }))
    }

    /// What a piece was asked for with.
    pub fn physical_prop(&self, handle: CUmemGenericAllocationHandle) -> Option<CUmemAllocationProp> {
        self.book().pieces.get(&piece_of(handle)).map(|piece| piece.prop)
    }

    /// The driver's handle of a piece that stays from now on, for others will know its place. It is there if the GPU
    /// is ours.
    pub fn pin(&self, handle: CUmemGenericAllocationHandle) -> Option<CUmemGenericAllocationHandle> {
        let mut book = self.book();
        let piece = book.pieces.get_mut(&piece_of(handle))?;
        let real = piece.real?;
        piece.pinned = Some(SHARED);
        Some(real)
    }

    /// Keeps everything in a range where it is.
    pub fn pin_at(&self, at: u64, bytes: u64) {
        let mut book = self.book();
        let first = book.maps.range(..=at).next_back().map_or(at, |(start, _)| *start);
        let ids: Vec<PieceId> = book.maps.range(first..at.saturating_add(bytes)).map(|(_, id)| *id).collect();
        for id in ids {
            if let Some(piece) = book.pieces.get_mut(&id).filter(|piece| piece.is_there()) {
                piece.pinned = Some(SHARED);
            }
        }
    }

    /// Physical memory that the driver made as it was asked, because it cannot be a piece.
    pub fn fix_physical(&self, handle: CUmemGenericAllocationHandle, device: DeviceId, bytes: u64) {
        self.fix(handle as usize, Fixed { device, bytes, reason: "made for a special use", context: 0 });
    }
}
