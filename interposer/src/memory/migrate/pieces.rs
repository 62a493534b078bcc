//! Pieces leave their device and come back: by copies between the device and their slots of the swap space.
//!
//! Only the agent calls this, and only while nothing of this process is in flight. The ledger is locked for a batch at
//! a time, so that an allocation waits for about 10 ms at most. What leaves is reported in smaller steps, while the
//! rest of its batch is being copied, so that the next tenant's memory comes close behind.
#![allow(unsafe_code)] // copies device memory through the driver
use crate::driver;
use crate::driver::context::{Context, Entered, Mark};
use crate::driver::contexts::Contexts;
use crate::memory::dependencies::Dependencies;
use crate::memory::ledger::piece::Piece;
use crate::memory::ledger::shared::SharedLedger;
use crate::memory::ledger::sizes::FINE_PIECE;
use crate::memory::ledger::{Ledger, PieceId, Totals};
use crate::memory::migrate::residency::Residency;
use crate::memory::migrate::swap_space::SwapSpace;
use crate::sys::{clock, log};
use nvshare_abi::*;
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::sync::Arc;

/// Moved between two looks at the ledger, bytes.
pub const BATCH: u64 = 512 << 20;
/// Evicted memory is reported in steps of at least so many bytes. The scheduler passes on no smaller ones.
const PROGRESS_STEP: u64 = 128 << 20;
/// The shortest time between two such reports. The scheduler accepts a thousand messages a second from one tenant.
const PROGRESS_INTERVAL: Nanos = Nanos::from_millis(2);

/// What there is on a device, for whoever is told while the ledger is locked.
pub type TotalsOf<'a> = &'a dyn Fn(DeviceId) -> Totals;

/// A context that we work in until this is dropped, and our stream there.
struct Worker<'a> {
    entered: Entered<'a>,
    stream: CUstream,
}

impl<'a> Worker<'a> {
    fn in_context(context: &'a Context) -> Option<Self> {
        let mut entered = context.enter()?;
        let stream = entered.stream().ok()?;
        Some(Self { entered, stream })
    }

    /// Waits for the copies.
    fn wait(&self) -> CUresult {
        // SAFETY: our own stream of the context that `enter` has made current.
        unsafe { driver::cuStreamSynchronize(self.stream) }
    }
}

#[derive(Debug)]
pub struct PieceMover {
    ledger: Arc<SharedLedger>,
    swap: Arc<SwapSpace>,
    residency: Arc<Residency>,
    contexts: Arc<Contexts>,
}

impl PieceMover {
    pub fn new(
        uses: &Dependencies,
        ledger: Arc<SharedLedger>,
        swap: Arc<SwapSpace>,
        residency: Arc<Residency>,
    ) -> Self {
        Self { ledger, swap, residency, contexts: uses.contexts.clone() }
    }

    /// Brings pieces back, batch by batch.
    pub fn restore(&self, context: &Context, budget: Bytes, progress: &mut dyn FnMut()) -> Bytes {
        let mut moved = 0;
        loop {
            let (batch, more) = self.restore_batch(context, budget.0);
            moved += batch;
            if batch > 0 {
                progress();
            }
            if !more {
                return Bytes(moved);
            }
        }
    }

    /// What was evicted from devices in which the program has no context any more: it comes back in one of ours.
    pub fn restore_without_context(&self, budget: &[Share], progress: &mut dyn FnMut()) -> Vec<Share> {
        let lacking = |device: DeviceId| {
            let away = |piece: &Piece| piece.device == device && piece.saved && !piece.is_resident();
            self.contexts.on(device).is_none() && self.ledger.lock().pieces.values().any(away)
        };
        let devices = self.contexts.devices();
        let devices = devices.iter().filter(|device| lacking(device.id));
        let back = devices.filter_map(|device| {
            let share = budget.iter().find(|share| share.device == device.id)?;
            let lent = self.contexts.lend(device, |context| self.restore(context, share.bytes, progress));
            self.contexts.note_use(lent.map(|_| ()));
            match lent {
                Ok(bytes) => Some(Share { device: device.id, bytes }),
                Err(code) => {
                    log::debug!("no context to bring memory back in (CUDA error {})", code.0);
                    None
                }
            }
        });
        back.collect()
    }

    /// New memory on devices in which the program has no context: there is nothing to copy, and nobody to wait for.
    pub fn materialize_without_context(&self) {
        let mut ledger = self.ledger.lock();
        let new = ledger.pieces.values_mut().filter(|piece| !piece.is_resident() && !piece.saved);
        for piece in new.filter(|piece| self.contexts.on(piece.device).is_none()) {
            let placed = piece.materialize();
            self.contexts.note_use(placed);
            if let Err(code) = placed {
                log::debug!("memory on a device without a context finds no room (CUDA error {})", code.0);
            }
        }
    }

    /// Gives swap space to pieces that were made while there was none; what is still lacking, all bytes and the most
    /// of one.
    pub fn assign_slots(&self) -> Option<(u64, u64)> {
        let mut ledger = self.ledger.lock();
        let lacks_slot = |piece: &&mut Piece| piece.slot.is_none() && piece.pinned.is_none();
        let mut pieces: Vec<&mut Piece> = ledger.pieces.values_mut().filter(lacks_slot).collect();
        // The largest first, which fit into the fewest places.
        pieces.sort_unstable_by_key(|piece| std::cmp::Reverse(piece.bytes));
        let (mut lacking, mut largest) = (0, 0);
        for piece in pieces {
            piece.slot = self.swap.try_allocate_slot(piece.bytes);
            if piece.slot.is_none() {
                lacking += piece.bytes;
                largest = largest.max(piece.bytes);
            }
        }
        (lacking > 0).then_some((lacking, largest))
    }

    /// One batch of pieces in, the most recently used first: its bytes, and whether to go on. Not so when there is
    /// nothing more to bring, or no room.
    fn restore_batch(&self, context: &Context, budget: u64) -> (u64, bool) {
        let device = context.device.id;
        let mut ledger = self.ledger.lock();
        let mut room = budget.saturating_sub(ledger.totals(device).resident).min(BATCH);
        let Some(worker) = Worker::in_context(context) else { return (0, false) };
        let (mut batch, mut begun) = (Vec::new(), Ok(()));
        for (id, bytes) in evicted(&ledger, device) {
            let left = budget.saturating_sub(ledger.totals(device).resident);
            if bytes > room && !batch.is_empty() || left < bytes {
                break;
            }
            begun = self.begin_restoring(&mut ledger, id, &worker, context.is_lent());
            if begun.is_err() {
                break;
            }
            batch.push(id);
            room = room.saturating_sub(bytes);
        }
        let done = worker.wait().ok();
        let moved = finish_restoring(&mut ledger, &batch, done.is_ok());
        if let Err(code) = begun.and(done) {
            log::debug!("memory does not come back yet (CUDA error {})", code.0);
        }
        drop(worker);
        drop(ledger);
        self.ledger.notify();
        (moved, moved > 0 && begun.is_ok() && done.is_ok())
    }

    /// Makes a piece's memory, and begins to copy its bytes into it.
    fn begin_restoring(
        &self,
        ledger: &mut Ledger,
        id: PieceId,
        worker: &Worker<'_>,
        is_lent: bool,
    ) -> Result<(), CUresult> {
        let Some(piece) = ledger.pieces.get_mut(&id) else { return Ok(()) };
        let (device, bytes) = (piece.device, piece.bytes);
        if let Err(code) = piece.materialize() {
            ledger.note_refusal(device, bytes, code);
            return Err(code);
        }
        if !piece.saved {
            return Ok(());
        }
        // What is registered in a context ends with it.
        if let Some(slot) = piece.slot.filter(|_| !is_lent) {
            self.swap.register(&worker.entered, slot);
        }
        // SAFETY: `Piece::copy` hands an address at which the piece is mapped and its slot, both of these many bytes.
        // Neither goes before the wait that ends the batch: the ledger is locked until then.
        let copy = |at, slot, bytes| unsafe {
            driver::cuMemcpyHtoDAsync_v2(at, slot as *const c_void, bytes, worker.stream)
        };
        let copied = piece.copy(copy, || worker.wait());
        if copied.is_err() {
            worker.wait();
            piece.release();
        }
        copied
    }

    /// One batch of pieces out, the least recently used first; none when there is nothing more that can leave.
    pub fn evict_batch(
        &self,
        context: &Context,
        wanted: u64,
        progress: &mut dyn FnMut(TotalsOf<'_>),
    ) -> Option<u64> {
        let device = context.device.id;
        let ledger = self.ledger.lock();
        let can = |piece: &&Piece| piece.device == device && piece.is_resident() && piece.is_evictable();
        let mut leaving: Vec<PieceId> =
            ledger.pieces.values().filter(can).map(|piece| piece.lru_seq).collect();
        drop(ledger);
        leaving.sort_unstable();
        Some(self.evict(context, &leaving, wanted.min(BATCH), progress)).filter(|moved| *moved > 0)
    }

    /// Moves pieces out that can leave, until at least `wanted` bytes have left; returns how many have.
    pub fn evict(
        &self,
        context: &Context,
        leaving: &[PieceId],
        wanted: u64,
        progress: &mut dyn FnMut(TotalsOf<'_>),
    ) -> u64 {
        let _nothing_stays = self.residency.suspend();
        let mut ledger = self.ledger.lock();
        let Some(mut worker) = Worker::in_context(context) else { return 0 };
        let copies = self.begin_evicting(&ledger, &mut worker, leaving, wanted);
        let moved = self.finish_evicting(&mut ledger, &mut worker, copies, progress);
        worker.wait();
        drop(worker);
        drop(ledger);
        self.ledger.notify();
        moved
    }

    /// Begins to copy pieces out, as many as are wanted; a mark in the stream behind each.
    fn begin_evicting(
        &self,
        ledger: &Ledger,
        worker: &mut Worker<'_>,
        leaving: &[PieceId],
        wanted: u64,
    ) -> Vec<(PieceId, Mark)> {
        let (mut sum, mut copies) = (0, Vec::new());
        for id in leaving {
            if sum >= wanted {
                break;
            }
            let piece = ledger.pieces.get(id).filter(|piece| piece.is_resident() && piece.is_evictable());
            let Some(piece) = piece else { continue };
            if let Some(slot) = piece.slot {
                self.swap.register(&worker.entered, slot);
            }
            // SAFETY: `Piece::copy` hands an address at which the piece is mapped and its slot, both of these many
            // bytes. Neither goes before the copy's mark is passed: the ledger is locked until then.
            let copy = |at, slot, bytes| unsafe {
                driver::cuMemcpyDtoHAsync_v2(slot as *mut c_void, at, bytes, worker.stream)
            };
            if piece.copy(copy, || worker.wait()).is_err() {
                break;
            }
            sum += piece.bytes;
            copies.push((*id, worker.entered.mark(worker.stream)));
        }
        copies
    }

    /// Gives up each piece's memory once its bytes are in its slot; the bytes that have left.
    fn finish_evicting(
        &self,
        ledger: &mut Ledger,
        worker: &mut Worker<'_>,
        copies: Vec<(PieceId, Mark)>,
        progress: &mut dyn FnMut(TotalsOf<'_>),
    ) -> u64 {
        let (mut moved, mut reported, mut reported_at) = (0, 0, clock::instant());
        let mut failed = false;
        for (id, mark) in copies {
            // A copy that failed leaves its piece where it is, and what comes after it: that is waited for all the
            // same, and gives its mark back.
            failed |= worker.entered.reached(mark, worker.stream) != CUresult::SUCCESS;
            if failed {
                continue;
            }
            let Some(piece) = ledger.pieces.get_mut(&id) else { continue };
            piece.release();
            piece.saved = true;
            moved += piece.bytes;
            ledger.split(id, FINE_PIECE, |slot| self.swap.split(slot, FINE_PIECE));
            if moved - reported >= PROGRESS_STEP && clock::since(reported_at) >= PROGRESS_INTERVAL {
                (reported, reported_at) = (moved, clock::instant());
                progress(&|device| ledger.totals(device));
            }
        }
        if moved > reported {
            progress(&|device| ledger.totals(device));
        }
        moved
    }
}

/// The pieces of a device that are not on it, the most recently used first, with their bytes.
fn evicted(ledger: &Ledger, device: DeviceId) -> Vec<(PieceId, u64)> {
    let away = ledger.pieces.iter().rev().filter(|(_, piece)| piece.device == device && !piece.is_resident());
    away.map(|(id, piece)| (*id, piece.bytes)).collect()
}

/// What was copied is on the device; what was not stays in its slot. The bytes that have come back.
fn finish_restoring(ledger: &mut Ledger, batch: &[PieceId], done: bool) -> u64 {
    let mut moved = 0;
    for id in batch {
        let Some(piece) = ledger.pieces.get_mut(id) else { continue };
        if done {
            moved += piece.bytes;
        } else if piece.saved {
            piece.release();
        }
    }
    moved
}
