//! How memory comes and goes: pieces by copies between the device and their slots, managed memory by prefetches.
//!
//! Only the agent calls this, and only while nothing of this process is in flight. The ledger is locked for a batch at
//! a time, so that an allocation waits for about 10 ms at most. What leaves is told in smaller steps, while the rest of
//! its batch is being copied, so that the next tenant's memory comes close behind.
#![allow(unsafe_code)] // moves the application's memory through the driver
pub mod plan;
pub mod residency;
pub mod swap_space;

use crate::driver;
use crate::driver::context::Context;
use crate::driver::contexts::Contexts;
use crate::memory::Memory;
use crate::memory::ledger::piece::Piece;
use crate::memory::ledger::sizes::FINE_PIECE;
use crate::memory::ledger::{Backing, PieceId, Totals};
use crate::memory::migrate::plan::{AddressRange, ManagedExtent};
use crate::sys::{clock, log};
use nvshare_abi::*;
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, DeviceId, Nanos};

/// Moved between two looks at the ledger, bytes.
const BATCH: u64 = 512 << 20;
/// What has left is told when it is so much, bytes, for the scheduler passes on no less; and not more often than every
/// 2 ms, for it hears no more than a thousand messages a second from one tenant.
const PROGRESS_STEP: u64 = 128 << 20;
const PROGRESS_INTERVAL: Nanos = Nanos::from_millis(2);
/// One prefetch call's share: 50 GB/s in with pieces of 32 to 256 MiB, 27 GB/s with pieces of 2 MiB (one H200, driver
/// 580.159.04).
const PREFETCH_CHUNK: u64 = 64 << 20;

/// What there is on a device, for whoever is told while the ledger is locked.
pub type TotalsOf<'a> = &'a dyn Fn(DeviceId) -> Totals;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

impl Memory {
    /// Brings back what belongs on each device, within its budget; without `bulk`, what page faults can bring is left
    /// to them and counted as there. `progress` is called after each batch.
    pub fn restore(&self, budget: &[Share], bulk: bool, mut progress: impl FnMut()) -> Vec<Share> {
        self.materialize_without_context();
        let mut fetched = each(&self.contexts, budget, |context, bytes| {
            let moved = self.restore_pieces(context, bytes, &mut progress);
            let rest = bytes.0.saturating_sub(self.resident_besides_managed(context.device.id));
            Bytes(moved.0 + self.prefetch_managed(context, Bytes(rest), bulk))
        });
        fetched.extend(self.restore_without_context(budget, &mut progress));
        fetched
    }

    /// Brings pieces back, batch by batch.
    fn restore_pieces(&self, context: &Context, budget: Bytes, progress: &mut dyn FnMut()) -> Bytes {
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

    /// What was moved out of devices in which the program has no context any more: it comes back in one of ours.
    fn restore_without_context(&self, budget: &[Share], progress: &mut dyn FnMut()) -> Vec<Share> {
        let lacking = |device: DeviceId| {
            let away = |piece: &Piece| piece.device == device && piece.saved && !piece.is_resident();
            self.contexts.on(device).is_none() && self.ledger.lock().pieces.values().any(away)
        };
        let devices = self.contexts.devices();
        let devices = devices.iter().filter(|device| lacking(device.id));
        let back = devices.filter_map(|device| {
            let share = budget.iter().find(|share| share.device == device.id)?;
            let lent =
                self.contexts.lend(device, |context| self.restore_pieces(context, share.bytes, progress));
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
    fn materialize_without_context(&self) {
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

    /// Moves at least so many bytes out of each device, least recently used first, as far as they can leave. `progress`
    /// is called after each step, perhaps with the ledger locked: it must not ask this memory for anything but the sums.
    pub fn evict(&self, wanted: &[Share], mut progress: impl FnMut(TotalsOf<'_>)) -> Vec<Share> {
        each(&self.contexts, wanted, |context, bytes| {
            // What nothing lies in need not be kept anywhere.
            let shed =
                if bytes.0 > 0 { self.releaser.release_empty_chunks(context.device.id, 0) } else { None };
            let mut moved = shed.unwrap_or_default();
            while moved < bytes.0 {
                let batch = self.evict_batch(context, bytes.0 - moved, &mut progress);
                let Some(batch) = batch else { break };
                moved += batch;
            }
            while moved < bytes.0 {
                let batch = self.evict_managed(context, Bytes((bytes.0 - moved).min(BATCH)));
                if batch == 0 {
                    break;
                }
                moved += batch;
                progress(&|device| self.ledger.totals(device));
            }
            Bytes(moved)
        })
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
            piece.slot = self.space.try_allocate_slot(piece.bytes);
            if piece.slot.is_none() {
                lacking += piece.bytes;
                largest = largest.max(piece.bytes);
            }
        }
        (lacking > 0).then_some((lacking, largest))
    }

    fn resident_besides_managed(&self, device: DeviceId) -> u64 {
        let ledger = self.ledger.lock();
        let managed: u64 = ledger
            .extents
            .values()
            .filter(|extent| extent.device == device)
            .map(|extent| if let Backing::Managed { resident } = extent.backing { resident } else { 0 })
            .sum();
        ledger.totals(device).resident - managed
    }

    /// One batch of pieces in: its bytes, and whether to go on. Not so when there is nothing more to bring, or no room.
    fn restore_batch(&self, context: &Context, budget: u64) -> (u64, bool) {
        let device = context.device.id;
        let mut ledger = self.ledger.lock();
        let mut room = budget.saturating_sub(ledger.totals(device).resident).min(BATCH.max(1));
        let mut away: Vec<(u64, PieceId, u64)> = ledger
            .pieces
            .values()
            .filter(|piece| piece.device == device && !piece.is_resident())
            .map(|piece| (piece.lru_seq, piece.lru_seq, piece.bytes))
            .collect();
        away.sort_unstable_by(|a, b| b.cmp(a));
        let Some(mut entered) = context.enter() else { return (0, false) };
        let Ok(stream) = entered.stream() else { return (0, false) };
        // SAFETY: our own stream of the context that is current.
        let wait = || unsafe { driver::cuStreamSynchronize(stream) };
        let (mut batch, mut refused) = (Vec::new(), CUresult::SUCCESS);
        for (_, id, bytes) in away {
            if bytes > room && !batch.is_empty()
                || budget.saturating_sub(ledger.totals(device).resident) < bytes
            {
                break;
            }
            let Some(piece) = ledger.pieces.get_mut(&id) else { continue };
            if let Err(code) = piece.materialize() {
                ledger.note_refusal(device, bytes, code);
                refused = code;
                break;
            }
            if piece.saved {
                // What is registered in a context ends with it.
                if let Some(slot) = piece.slot.filter(|_| !context.is_lent()) {
                    self.space.register(&entered, slot);
                }
                // SAFETY: the piece is mapped at the address, its slot is ours and as large, and both stay until
                // `wait`.
                let copy = |at, slot, bytes| unsafe {
                    driver::cuMemcpyHtoDAsync_v2(at, slot as *const c_void, bytes, stream)
                };
                if let Err(code) = piece.copy(copy, wait) {
                    let _ = wait();
                    piece.release();
                    refused = code;
                    break;
                }
            }
            batch.push(id);
            room = room.saturating_sub(bytes);
        }
        let done = wait();
        let mut moved = 0;
        for id in batch {
            let Some(piece) = ledger.pieces.get_mut(&id) else { continue };
            if done == CUresult::SUCCESS {
                moved += piece.bytes;
            } else if piece.saved {
                // Its bytes are still in the slot.
                piece.release();
            }
        }
        if refused != CUresult::SUCCESS || done != CUresult::SUCCESS {
            log::debug!("memory does not come back yet (CUDA error {})", refused.0.max(done.0));
        }
        drop(entered);
        drop(ledger);
        self.ledger.notify();
        (moved, moved > 0 && refused == CUresult::SUCCESS && done == CUresult::SUCCESS)
    }

    /// One batch of pieces out; none when there is nothing more that can leave.
    fn evict_batch(
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
        Some(self.evict_pieces(context, &leaving, wanted.min(BATCH), progress)).filter(|moved| *moved > 0)
    }

    /// Moves pieces out that can leave, until at least `wanted` bytes have left; returns how many have.
    pub fn evict_pieces(
        &self,
        context: &Context,
        leaving: &[PieceId],
        wanted: u64,
        progress: &mut dyn FnMut(TotalsOf<'_>),
    ) -> u64 {
        let _nothing_stays = self.residency.suspend();
        let mut ledger = self.ledger.lock();
        let Some(mut entered) = context.enter() else { return 0 };
        let Ok(stream) = entered.stream() else { return 0 };
        // SAFETY: our own stream of the context that is current.
        let wait = || unsafe { driver::cuStreamSynchronize(stream) };
        let (mut sum, mut batch) = (0, Vec::new());
        for id in leaving {
            if sum >= wanted {
                break;
            }
            let piece = ledger.pieces.get(id).filter(|piece| piece.is_resident() && piece.is_evictable());
            let Some(piece) = piece else { continue };
            if let Some(slot) = piece.slot {
                self.space.register(&entered, slot);
            }
            // SAFETY: the piece is mapped at the address, its slot is ours and as large, and both stay until the wait.
            let copy = |at, slot, bytes| unsafe {
                driver::cuMemcpyDtoHAsync_v2(slot as *mut c_void, at, bytes, stream)
            };
            if piece.copy(copy, wait).is_err() {
                break;
            }
            sum += piece.bytes;
            batch.push((id, entered.mark(stream)));
        }
        let (mut moved, mut told, mut told_at) = (0, 0, clock::instant());
        let mut failed = false;
        for (id, mark) in batch {
            // Its bytes are safe before its memory goes. A copy that failed leaves it where it is, and what comes after
            // it: that is waited for all the same, and gives its mark back.
            failed |= entered.passed(mark, stream) != CUresult::SUCCESS;
            if failed {
                continue;
            }
            let Some(piece) = ledger.pieces.get_mut(id) else { continue };
            piece.release();
            piece.saved = true;
            moved += piece.bytes;
            ledger.split(*id, FINE_PIECE, |slot| self.space.split(slot, FINE_PIECE));
            if moved - told >= PROGRESS_STEP && clock::since(told_at) >= PROGRESS_INTERVAL {
                (told, told_at) = (moved, clock::instant());
                progress(&|device| ledger.totals(device));
            }
        }
        if moved > told {
            progress(&|device| ledger.totals(device));
        }
        let _ = wait();
        drop(entered);
        drop(ledger);
        self.ledger.notify();
        moved
    }

    fn managed_extents(&self, device: DeviceId) -> Vec<ManagedExtent> {
        let ledger = self.ledger.lock();
        let of_device = ledger.extents.iter().filter(|(_, extent)| extent.device == device);
        of_device
            .filter_map(|(start, extent)| match extent.backing {
                Backing::Managed { resident } => Some(ManagedExtent {
                    start: *start,
                    bytes: extent.bytes,
                    resident,
                    lru_seq: extent.lru_seq,
                }),
                _ => None,
            })
            .collect()
    }

    fn prefetch_managed(&self, context: &Context, budget: Bytes, bulk: bool) -> u64 {
        let ranges = plan::restore(&self.managed_extents(context.device.id), budget);
        if ranges.is_empty() {
            return 0;
        }
        let mut missing = 0;
        self.for_each_managed(&ranges, |range, start, bytes, resident| {
            let end = range.start - start + range.bytes;
            missing += end.saturating_sub(*resident);
            *resident = (*resident).max(end).min(bytes);
        });
        let fetched = if bulk { plan::sum(&prefetch(context, &ranges, Way::In)).0 } else { 0 };
        fetched.min(missing)
    }

    fn evict_managed(&self, context: &Context, wanted: Bytes) -> u64 {
        let ranges = plan::evict(&self.managed_extents(context.device.id), wanted);
        if ranges.is_empty() {
            return 0;
        }
        let gone = prefetch(context, &ranges, Way::Out);
        self.for_each_managed(&gone, |range, start, _, resident| {
            *resident = (*resident).min(range.start - start)
        });
        plan::sum(&gone).0
    }

    /// Every managed extent that is still there, with its range.
    fn for_each_managed(
        &self,
        ranges: &[AddressRange],
        mut act: impl FnMut(&AddressRange, u64, u64, &mut u64),
    ) {
        let mut ledger = self.ledger.lock();
        for range in ranges {
            if let Some((start, extent)) = ledger.extents.range_mut(..=range.start).next_back()
                && range.start < start + extent.bytes
                && let Backing::Managed { resident } = &mut extent.backing
            {
                act(range, *start, extent.bytes, resident);
            }
        }
    }
}

fn each(contexts: &Contexts, shares: &[Share], mut act: impl FnMut(&Context, Bytes) -> Bytes) -> Vec<Share> {
    let on_each = shares.iter().filter_map(|share| {
        let context = contexts.on(share.device)?;
        Some(Share { device: share.device, bytes: act(&context, share.bytes) })
    });
    on_each.collect()
}

/// Prefetches every piece to the device or the host on our own stream and waits. A piece that cannot be prefetched
/// (the application freed it a moment ago) is left out; all are, if the wait fails.
fn prefetch(context: &Context, ranges: &[AddressRange], way: Way) -> Vec<AddressRange> {
    let place = if way == Way::In { context.device.ordinal } else { CU_DEVICE_CPU };
    let Some(mut entered) = context.enter() else { return Vec::new() };
    let stream = match entered.stream() {
        Ok(stream) => stream,
        Err(code) => {
            log::warning!("no stream to move memory on (CUDA error {}): it moves by page faults", code.0);
            return Vec::new();
        }
    };
    let (mut moved, mut refused) = (Vec::new(), None);
    for range in ranges {
        let mut start = range.start;
        let end = range.start + range.bytes;
        while start < end {
            let bytes = (end - start).min(PREFETCH_CHUNK);
            // SAFETY: only addresses; the driver answers with an error where no managed memory lies.
            match unsafe { driver::cuMemPrefetchAsync(start, bytes as usize, place, stream) } {
                CUresult::SUCCESS => moved.push(AddressRange { start, bytes }),
                code => refused = Some(code),
            }
            start += bytes;
        }
    }
    // SAFETY: our own stream of the context that is current.
    let done = unsafe { driver::cuStreamSynchronize(stream) };
    if let Some(code) = refused.or((done != CUresult::SUCCESS).then_some(done)) {
        log::info!(
            "a bulk prefetch was refused in part (CUDA error {}): that part moves by page faults",
            code.0
        );
    }
    if done == CUresult::SUCCESS { moved } else { Vec::new() }
}
