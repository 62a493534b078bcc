//! Plain memory that other processes open. Its pieces must have been created as exportable, which almost none ever need
//! to be. So they are created again when an allocation is first exported: at the same addresses, by the agent, while no
//! call of this process is in flight.
#![allow(unsafe_code)] // exports device memory through the driver
use crate::driver;
use crate::driver::contexts::Contexts;
use crate::memory::dependencies::Dependencies;
use crate::memory::ledger::piece::{SHAREABLE, SHARED};
use crate::memory::ledger::shared::SharedLedger;
use crate::memory::ledger::{Backing, Ledger, PieceId};
use crate::memory::migrate::look::Findings;
use crate::memory::migrate::pieces::PieceMover;
use crate::sys::sync::Deadline;
use crate::sys::waker::Waker;
use nvshare_abi::*;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// How long a call waits for its pieces to be made anew. Long, for the agent does it between hand-overs.
const CONVERSION_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it waits for what happens while the GPU is ours, until it asks for the GPU again.
const GRANT_RETRY: Duration = Duration::from_secs(1);

/// The pieces of the allocation that begins at `start`, and how far into the first of them it does. None if it is
/// gone, or made of something else.
fn pieces_of(ledger: &Ledger, start: u64) -> Option<(Vec<PieceId>, u64)> {
    let allocation = ledger.allocations.get(&start)?;
    let Backing::Pieces(ids) = &ledger.extents.get(&allocation.extent)?.backing else { return None };
    let (mut at, end) = (allocation.extent, start + allocation.bytes);
    let (mut of_it, mut offset) = (Vec::new(), 0);
    for id in ids {
        let next = at + ledger.pieces.get(id)?.bytes;
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

/// Makes allocations fit for other processes: what their calls wait for, and what the agent does for them.
#[derive(Debug)]
pub struct Exporter {
    ledger: Arc<SharedLedger>,
    pieces: Arc<PieceMover>,
    contexts: Arc<Contexts>,
    /// Wakes the agent.
    waker: Arc<Waker>,
}

impl Exporter {
    pub fn new(uses: &Dependencies, ledger: Arc<SharedLedger>, pieces: Arc<PieceMover>) -> Self {
        let Dependencies { contexts, waker, .. } = uses.clone();
        Self { ledger, pieces, contexts, waker }
    }

    /// Waits until an allocation is made of pieces; `wait_for_grant` does that.
    ///
    /// # Errors
    /// `INVALID_VALUE` if it is none of ours, `NOT_SUPPORTED` if it stays managed memory.
    pub fn convert_to_pieces(&self, start: u64, wait_for_grant: impl Fn()) -> Result<(), CUresult> {
        let deadline = Deadline::after(CONVERSION_TIMEOUT);
        let mut asked = false;
        loop {
            let mut ledger = self.ledger.lock();
            let extent = ledger.allocations.get(&start).ok_or(CUresult::ERROR_INVALID_VALUE)?.extent;
            let backing = ledger.extents.get(&extent).map(|extent| &extent.backing);
            if !matches!(backing, Some(Backing::Managed { .. })) {
                return Ok(());
            }
            let refused = asked && !ledger.to_convert.contains(&extent);
            let Some(left) = deadline.left().filter(|_| !refused) else {
                ledger.to_convert.remove(&extent);
                return Err(CUresult::ERROR_NOT_SUPPORTED);
            };
            if !std::mem::replace(&mut asked, true) {
                ledger.to_convert.insert(extent);
            }
            drop(ledger);
            // It is done while the GPU is ours.
            wait_for_grant();
            self.waker.wake();
            let ledger = self.ledger.lock();
            if ledger.to_convert.contains(&extent) {
                drop(self.ledger.wait(ledger, left.min(GRANT_RETRY)));
            }
        }
    }

    /// Waits until the pieces of an allocation can be exported.
    ///
    /// # Errors
    /// `INVALID_VALUE` if it is none of ours, `NOT_SUPPORTED` if they could not be made anew: without swap space, or
    /// because submitted work did not end.
    pub fn make_exportable(&self, start: u64) -> Result<(), CUresult> {
        let deadline = Deadline::after(CONVERSION_TIMEOUT);
        let mut ledger = self.ledger.lock();
        let mut asked = false;
        loop {
            let (ids, _) = pieces_of(&ledger, start).ok_or(CUresult::ERROR_INVALID_VALUE)?;
            let lacking = |id: &PieceId| ledger.pieces.get(id).is_some_and(|piece| !piece.is_exportable());
            let lacking: Vec<PieceId> = ids.into_iter().filter(lacking).collect();
            if lacking.is_empty() {
                return Ok(());
            }
            if asked && !lacking.iter().any(|id| ledger.to_recreate.contains(id)) {
                return Err(CUresult::ERROR_NOT_SUPPORTED);
            }
            ledger.to_recreate.extend(lacking);
            asked = true;
            self.waker.wake();
            let Some(left) = deadline.left() else { return Err(CUresult::ERROR_NOT_SUPPORTED) };
            ledger = self.ledger.wait(ledger, left);
        }
    }

    /// Whether pieces are to be made anew, or managed memory is to become pieces, which is done while the devices are
    /// ours.
    pub fn has_conversions(&self, are_ours: bool) -> bool {
        let ledger = self.ledger.lock();
        !ledger.to_recreate.is_empty() || are_ours && !ledger.to_convert.is_empty()
    }

    /// They are not made anew.
    pub fn refuse_conversions(&self) {
        let mut ledger = self.ledger.lock();
        ledger.to_recreate.clear();
        ledger.to_convert.clear();
        drop(ledger);
        self.ledger.notify();
    }

    /// Moves the pieces that are to be made anew out; they come back as they are wanted. Only the agent calls this,
    /// while nothing of this process is in flight and no memory is placed.
    pub fn recreate_exportable(&self) {
        let wanted: Vec<PieceId> = self.ledger.lock().to_recreate.iter().copied().collect();
        for id in wanted {
            let device = self.ledger.lock().pieces.get(&id).map(|piece| piece.device);
            // Said before it leaves, so that it comes back as one piece.
            if let Some(piece) = self.ledger.lock().pieces.get_mut(&id) {
                piece.prop.requestedHandleTypes |= SHAREABLE;
            }
            if let Some(context) = device.and_then(|device| self.contexts.on(device)) {
                self.pieces.evict(&context, &[id], u64::MAX, &mut Findings::new(), &mut |_| {});
            }
            if let Some(piece) = self.ledger.lock().pieces.get_mut(&id).filter(|piece| piece.is_resident()) {
                piece.prop.requestedHandleTypes &= !SHAREABLE;
            }
            self.ledger.lock().to_recreate.remove(&id);
        }
        self.ledger.notify();
    }

    /// Keeps the pieces of an allocation on the device from now on, where they are, and says how far into the first of
    /// them it begins. For a caller that has a grant.
    ///
    /// # Errors
    /// `INVALID_VALUE` if it is gone, or its memory is not there.
    pub fn pin_allocation(&self, start: u64) -> Result<u64, CUresult> {
        let mut ledger = self.ledger.lock();
        let (ids, offset) = pieces_of(&ledger, start).ok_or(CUresult::ERROR_INVALID_VALUE)?;
        if !ids.iter().all(|id| ledger.pieces.get(id).is_some_and(|piece| piece.is_resident())) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        for id in ids {
            if let Some(piece) = ledger.pieces.get_mut(&id) {
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
        let ledger = self.ledger.lock();
        let gone = CUresult::ERROR_INVALID_VALUE;
        let is_it = ledger.allocations.get(&start).is_some_and(|allocation| allocation.id == id);
        let (ids, _) = pieces_of(&ledger, start).filter(|_| is_it).ok_or(gone)?;
        ids.into_iter()
            .map(|id| {
                let piece = ledger.pieces.get(&id).ok_or(gone)?;
                let real = piece.driver_handle.ok_or(gone)?;
                let mut fd: RawFd = -1;
                // SAFETY: the piece is on the device, so that its handle is the driver's; of this kind, the driver
                // writes a descriptor to the pointer.
                unsafe { driver::cuMemExportToShareableHandle((&raw mut fd).cast(), real, SHAREABLE, 0) }
                    .ok()?;
                // SAFETY: just made by the driver, and nobody else's.
                Ok((unsafe { OwnedFd::from_raw_fd(fd) }, piece.bytes))
            })
            .collect()
    }
}
