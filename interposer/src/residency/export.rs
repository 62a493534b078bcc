//! Plain memory that other processes open. Its pieces must have been made for that, and almost none ever need it: they
//! are made anew when they do, at their addresses, by the agent, while nothing of this process is in flight.
#![allow(unsafe_code)] // exports device memory through the driver
use super::Memory;
use super::book::{Book, Home, PieceId};
use super::physical::SHARED;
use crate::driver;
use crate::driver::contexts::Contexts;
use crate::process::Process;
use crate::sys::sync::{Deadline, ignore_poison};
use nvshare_abi::*;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// How long a call waits for its pieces to be made anew. Long, for the agent does it between hand-overs.
const REMAKING: Duration = Duration::from_secs(60);
/// How long it waits for what happens while the GPU is ours, until it asks for the GPU again.
const TURN: Duration = Duration::from_secs(1);
pub(super) const KIND: CUmemAllocationHandleType = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;

/// The pieces of the allocation that begins at `start`, and how far into the first of them it does. None if it is
/// gone, or made of something else.
fn pieces_of(book: &Book, start: u64) -> Option<(Vec<PieceId>, u64)> {
    let allocation = book.allocations.get(&start)?;
    let Home::Pieces(ids) = &book.extents.get(&allocation.extent)?.home else { return None };
    let (mut at, end) = (allocation.extent, start + allocation.bytes);
    let (mut of_it, mut offset) = (Vec::new(), 0);
    for id in ids {
        let next = at + book.pieces.get(id)?.bytes;
        if next > start && at < end {
            if of_it.is_empty() {
                offset = start - at;
            }
            of_it.push(*id);
        }
        at = next;
    }
    Some((of_it, offset))
}

impl Memory {
    /// Whether this is still the allocation that it was.
    pub fn is_allocation(&self, start: u64, id: u64) -> bool {
        self.book().allocations.get(&start).is_some_and(|allocation| allocation.id == id)
    }

    /// Waits until an allocation is made of pieces; `wait_for_grant` does that.
    ///
    /// # Errors
    /// `INVALID_VALUE` if it is none of ours, `NOT_SUPPORTED` if it stays managed memory.
    pub fn make_pieces(
        &self,
        process: &Process,
        start: u64,
        wait_for_grant: impl Fn(),
    ) -> Result<(), CUresult> {
        let deadline = Deadline::after(REMAKING);
        let mut asked = false;
        loop {
            let mut book = self.book();
            let extent = book.allocations.get(&start).ok_or(CUresult::ERROR_INVALID_VALUE)?.extent;
            let home = book.extents.get(&extent).map(|extent| &extent.home);
            if !matches!(home, Some(Home::Managed { .. })) {
                return Ok(());
            }
            let refused = asked && !book.replace.contains(&extent);
            let Some(left) = deadline.left().filter(|_| !refused) else {
                book.replace.remove(&extent);
                return Err(CUresult::ERROR_NOT_SUPPORTED);
            };
            if !std::mem::replace(&mut asked, true) {
                book.replace.insert(extent);
            }
            drop(book);
            // It is done while the GPU is ours.
            wait_for_grant();
            process.waker.wake();
            let book = self.book();
            if book.replace.contains(&extent) {
                drop(ignore_poison(self.moved.wait_timeout(book, left.min(TURN))));
            }
        }
    }

    /// Waits until the pieces of an allocation can be exported.
    ///
    /// # Errors
    /// `INVALID_VALUE` if it is none of ours, `NOT_SUPPORTED` if they could not be made anew: without swap space, or
    /// because submitted work did not end.
    pub fn make_exportable(&self, process: &Process, start: u64) -> Result<(), CUresult> {
        let deadline = Deadline::after(REMAKING);
        let mut book = self.book();
        let mut asked = false;
        loop {
            let (ids, _) = pieces_of(&book, start).ok_or(CUresult::ERROR_INVALID_VALUE)?;
            let lacking = |id: &PieceId| book.pieces.get(id).is_some_and(|piece| !piece.is_exportable());
            let lacking: Vec<PieceId> = ids.into_iter().filter(lacking).collect();
            if lacking.is_empty() {
                return Ok(());
            }
            if asked && !lacking.iter().any(|id| book.remake.contains(id)) {
                return Err(CUresult::ERROR_NOT_SUPPORTED);
            }
            book.remake.extend(lacking);
            asked = true;
            process.waker.wake();
            let Some(left) = deadline.left() else { return Err(CUresult::ERROR_NOT_SUPPORTED) };
            book = ignore_poison(self.moved.wait_timeout(book, left)).0;
        }
    }

    /// Whether pieces are to be made anew, or managed memory is to become pieces, which is done while the devices are
    /// ours.
    pub fn remakes(&self, are_ours: bool) -> bool {
        let book = self.book();
        !book.remake.is_empty() || are_ours && !book.replace.is_empty()
    }

    /// They are not made anew.
    pub fn refuse_remaking(&self) {
        let mut book = self.book();
        book.remake.clear();
        book.replace.clear();
        drop(book);
        self.moved.notify_all();
    }

    /// Moves the pieces that are to be made anew out; they come back as they are wanted. Only the agent calls this,
    /// while nothing of this process is in flight and no memory is placed.
    pub fn remake(&self, contexts: &Contexts) {
        let wanted: Vec<PieceId> = self.book().remake.iter().copied().collect();
        for id in wanted {
            let device = self.book().pieces.get(&id).map(|piece| piece.device);
            // Said before it leaves, so that it comes back as one piece.
            if let Some(piece) = self.book().pieces.get_mut(&id) {
                piece.prop.requestedHandleTypes |= KIND;
            }
            if let Some(context) = device.and_then(|device| contexts.on(device)) {
                self.lift(&context, &[id], u64::MAX, &mut |_| {});
            }
            if let Some(piece) = self.book().pieces.get_mut(&id).filter(|piece| piece.is_there()) {
                piece.prop.requestedHandleTypes &= !KIND;
            }
            self.book().remake.remove(&id);
        }
        self.moved.notify_all();
    }

    /// Keeps the pieces of an allocation on the device from now on, where they are, and says how far into the first of
    /// them it begins. For a caller that has a grant.
    ///
    /// # Errors
    /// `INVALID_VALUE` if it is gone, or its memory is not there.
    pub fn pin_allocation(&self, start: u64) -> Result<u64, CUresult> {
        let mut book = self.book();
        let (ids, offset) = pieces_of(&book, start).ok_or(CUresult::ERROR_INVALID_VALUE)?;
        if !ids.iter().all(|id| book.pieces.get(id).is_some_and(|piece| piece.is_there())) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        for id in ids {
            if let Some(piece) = book.pieces.get_mut(&id) {
                piece.pinned = Some(SHARED);
            }
        }
        Ok(offset)
    }

    /// A descriptor for each piece of an allocation that is pinned, with its bytes.
    ///
    /// # Errors
    /// `INVALID_VALUE` if it is gone; the driver's.
    pub fn export(&self, start: u64, id: u64) -> Result<Vec<(OwnedFd, u64)>, CUresult> {
        let book = self.book();
        let gone = CUresult::ERROR_INVALID_VALUE;
        let is_it = book.allocations.get(&start).is_some_and(|allocation| allocation.id == id);
        let (ids, _) = pieces_of(&book, start).filter(|_| is_it).ok_or(gone)?;
        ids.into_iter()
            .map(|id| {
                let piece = book.pieces.get(&id).ok_or(gone)?;
                let real = piece.real.ok_or(gone)?;
                let mut fd: RawFd = -1;
                // SAFETY: a live handle; the driver writes a descriptor for this kind.
                unsafe { driver::cuMemExportToShareableHandle((&raw mut fd).cast(), real, KIND, 0) }.ok()?;
                // SAFETY: just made by the driver, and nobody else's.
                Ok((unsafe { OwnedFd::from_raw_fd(fd) }, piece.bytes))
            })
            .collect()
    }
}
