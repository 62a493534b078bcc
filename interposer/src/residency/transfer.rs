//! How memory comes and goes: pieces by copies between the device and their slots, managed memory by prefetches.
//!
//! Only the agent calls this, and only while nothing of this process is in flight. The book is locked for a batch at
//! a time, so that an allocation waits for about 10 ms at most. What leaves is told in smaller steps, while the rest of
//! its batch is being copied, so that the next tenant's memory comes close behind.
#![allow(unsafe_code)] // moves the application's memory through the driver
use super::Memory;
use super::allocate::FINE;
use super::book::{Home, PieceId, Totals};
use super::piece::Piece;
use super::plan::{self, Range, Stretch};
use crate::driver;
use crate::driver::context::Context;
use crate::driver::contexts::Contexts;
use crate::sys::sync::ignore_poison;
use crate::sys::{clock, log};
use nvshare_abi::*;
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, DeviceId, Nanos};

/// Moved between two looks at the book, bytes.
const BATCH: u64 = 512 << 20;
/// What has left is told when it is so much, bytes, for the scheduler passes on no less; and not more often than every
/// 2 ms, for it hears no more than a thousand messages a second from one tenant.
const STEP: u64 = 128 << 20;
const SELDOM: Nanos = Nanos::from_millis(2);
/// One prefetch call's share: 50 GB/s in with pieces of 32 to 256 MiB, 27 GB/s with pieces of 2 MiB (one H200, driver
/// 580.159.04).
const PREFETCH: u64 = 64 << 20;

/// What there is on a device, for whoever is told while the book is locked.
pub type Sums<'a> = &'a dyn Fn(DeviceId) -> Totals;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

impl Memory {
    /// Brings back what belongs on each device, within its budget; without `bulk`, what page faults can bring is left
    /// to them and counted as there. `progress` is called after each batch.
    pub fn fetch(
        &self,
        contexts: &Contexts,
        budget: &[Share],
        bulk: bool,
        mut progress: impl FnMut(),
    ) -> Vec<Share> {
        self.place_elsewhere(contexts);
        let mut fetched = each(contexts, budget, |context, bytes| {
            let moved = self.bring(context, bytes, &mut progress);
            let rest = bytes.0.saturating_sub(self.fixed_and_pieces(context.device.id));
            Bytes(moved.0 + self.fetch_managed(context, Bytes(rest), bulk))
        });
        fetched.extend(self.bring_elsewhere(contexts, budget, &mut progress));
        fetched
    }

    /// Brings pieces back, batch by batch.
    fn bring(&self, context: &Context, budget: Bytes, progress: &mut dyn FnMut()) -> Bytes {
        let mut moved = 0;
        loop {
            let (batch, more) = self.bring_batch(context, budget.0);
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
    fn bring_elsewhere(
        &self,
        contexts: &Contexts,
        budget: &[Share],
        progress: &mut dyn FnMut(),
    ) -> Vec<Share> {
        let lacking = |device: DeviceId| {
            let away = |piece: &Piece| piece.device == device && piece.saved && !piece.is_there();
            contexts.on(device).is_none() && self.book().pieces.values().any(away)
        };
        let devices = contexts.devices();
        let devices = devices.iter().filter(|device| lacking(device.id));
        let back = devices.filter_map(|device| {
            let share = budget.iter().find(|share| share.device == device.id)?;
            let lent = contexts.lend(device, |context| self.bring(context, share.bytes, progress));
            contexts.note_use(lent.map(|_| ()));
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
    fn place_elsewhere(&self, contexts: &Contexts) {
        let mut book = self.book();
        let new = book.pieces.values_mut().filter(|piece| !piece.is_there() && !piece.saved);
        for piece in new.filter(|piece| contexts.on(piece.device).is_none()) {
            let placed = piece.place();
            contexts.note_use(placed);
            if let Err(code) = placed {
                log::debug!("memory on a device without a context finds no room (CUDA error {})", code.0);
            }
        }
    }

    /// Moves at least so many bytes out of each device, least recently used first, as far as they can leave. `progress`
    /// is called after each step, perhaps with the book locked: it must not ask this memory for anything but the sums.
    pub fn evict(
        &self,
        contexts: &Contexts,
        wanted: &[Share],
        mut progress: impl FnMut(Sums<'_>),
    ) -> Vec<Share> {
        each(contexts, wanted, |context, bytes| {
            // What nothing lies in need not be kept anywhere.
            let shed = if bytes.0 > 0 { self.shed(contexts, context.device.id, 0) } else { None };
            let mut moved = shed.unwrap_or_default();
            while moved < bytes.0 {
                let batch = self.lift_batch(context, bytes.0 - moved, &mut progress);
                let Some(batch) = batch else { break };
                moved += batch;
            }
            while moved < bytes.0 {
                let batch = self.evict_managed(context, Bytes((bytes.0 - moved).min(BATCH)));
                if batch == 0 {
                    break;
                }
                moved += batch;
                progress(&|device| self.totals(device));
            }
            Bytes(moved)
        })
    }

    /// Lets new memory be placed, if everything that must be there is: then, and only then, kernels may run.
    pub fn admit(&self) -> bool {
        let mut book = self.book();
        book.placing = book.pieces.values().all(Piece::is_there);
        book.placing
    }

    /// From now on new memory waits for the grant.
    pub fn dismiss(&self) {
        self.book().placing = false;
        self.moved.notify_all();
    }

    /// How many bytes of pieces are away from their devices.
    pub fn away(&self) -> u64 {
        self.book().pieces.values().filter(|piece| !piece.is_there()).map(|piece| piece.bytes).sum()
    }

    /// Gives swap space to pieces that were made while there was none; what is still lacking, all bytes and the most
    /// of one.
    pub fn lodge(&self) -> Option<(u64, u64)> {
        let mut book = self.book();
        let homeless = |piece: &&mut Piece| piece.slot.is_none() && piece.pinned.is_none();
        let mut pieces: Vec<&mut Piece> = book.pieces.values_mut().filter(homeless).collect();
        // The largest first, which fit into the fewest places.
        pieces.sort_unstable_by_key(|piece| std::cmp::Reverse(piece.bytes));
        let (mut lacking, mut largest) = (0, 0);
        for piece in pieces {
            piece.slot = self.space.slot_now(piece.bytes);
            if piece.slot.is_none() {
                lacking += piece.bytes;
                largest = largest.max(piece.bytes);
            }
        }
        (lacking > 0).then_some((lacking, largest))
    }

    fn fixed_and_pieces(&self, device: DeviceId) -> u64 {
        let book = self.book();
        let managed: u64 = book
            .extents
            .values()
            .filter(|extent| extent.device == device)
            .map(|extent| if let Home::Managed { resident } = extent.home { resident } else { 0 })
            .sum();
        book.totals(device).resident - managed
    }

    /// One batch of pieces in: its bytes, and whether to go on. Not so when there is nothing more to bring, or no room.
    fn bring_batch(&self, context: &Context, budget: u64) -> (u64, bool) {
        let device = context.device.id;
        let mut book = self.book();
        let mut room = budget.saturating_sub(book.totals(device).resident).min(BATCH.max(1));
        let mut away: Vec<(u64, PieceId, u64)> = book
            .pieces
            .values()
            .filter(|piece| piece.device == device && !piece.is_there())
            .map(|piece| (piece.stamp, piece.stamp, piece.bytes))
            .collect();
        away.sort_unstable_by(|a, b| b.cmp(a));
        let Some(mut entered) = context.enter() else { return (0, false) };
        let Ok(stream) = entered.stream() else { return (0, false) };
        // SAFETY: our own stream of the context that is current.
        let wait = || unsafe { driver::cuStreamSynchronize(stream) };
        let (mut batch, mut refused) = (Vec::new(), CUresult::SUCCESS);
        for (_, id, bytes) in away {
            if bytes > room && !batch.is_empty()
                || budget.saturating_sub(book.totals(device).resident) < bytes
            {
                break;
            }
            let Some(piece) = book.pieces.get_mut(&id) else { continue };
            if let Err(code) = piece.place() {
                book.refuse(device, bytes, code);
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
                    piece.lift();
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
            let Some(piece) = book.pieces.get_mut(&id) else { continue };
            if done == CUresult::SUCCESS {
                moved += piece.bytes;
            } else if piece.saved {
                // Its bytes are still in the slot.
                piece.lift();
            }
        }
        if refused != CUresult::SUCCESS || done != CUresult::SUCCESS {
            log::debug!("memory does not come back yet (CUDA error {})", refused.0.max(done.0));
        }
        drop(entered);
        drop(book);
        self.moved.notify_all();
        (moved, moved > 0 && refused == CUresult::SUCCESS && done == CUresult::SUCCESS)
    }

    /// One batch of pieces out; none when there is nothing more that can leave.
    fn lift_batch(&self, context: &Context, wanted: u64, progress: &mut dyn FnMut(Sums<'_>)) -> Option<u64> {
        let device = context.device.id;
        let book = self.book();
        let can = |piece: &&Piece| piece.device == device && piece.is_there() && piece.can_leave();
        let mut leaving: Vec<PieceId> = book.pieces.values().filter(can).map(|piece| piece.stamp).collect();
        drop(book);
        leaving.sort_unstable();
        Some(self.lift(context, &leaving, wanted.min(BATCH), progress)).filter(|moved| *moved > 0)
    }

    /// Moves pieces out that can leave, until at least `wanted` bytes have left; returns how many have.
    pub(super) fn lift(
        &self,
        context: &Context,
        leaving: &[PieceId],
        wanted: u64,
        progress: &mut dyn FnMut(Sums<'_>),
    ) -> u64 {
        let _nothing_stays = ignore_poison(self.leaving.write());
        let mut book = self.book();
        let Some(mut entered) = context.enter() else { return 0 };
        let Ok(stream) = entered.stream() else { return 0 };
        // SAFETY: our own stream of the context that is current.
        let wait = || unsafe { driver::cuStreamSynchronize(stream) };
        let (mut sum, mut batch) = (0, Vec::new());
        for id in leaving {
            if sum >= wanted {
                break;
            }
            let piece = book.pieces.get(id).filter(|piece| piece.is_there() && piece.can_leave());
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
            let Some(piece) = book.pieces.get_mut(id) else { continue };
            piece.lift();
            piece.saved = true;
            moved += piece.bytes;
            book.split(*id, FINE, |slot| self.space.split(slot, FINE));
            if moved - told >= STEP && clock::since(told_at) >= SELDOM {
                (told, told_at) = (moved, clock::instant());
                progress(&|device| book.totals(device));
            }
        }
        if moved > told {
            progress(&|device| book.totals(device));
        }
        let _ = wait();
        drop(entered);
        drop(book);
        self.moved.notify_all();
        moved
    }

    fn stretches(&self, device: DeviceId) -> Vec<Stretch> {
        let book = self.book();
        let of_device = book.extents.iter().filter(|(_, extent)| extent.device == device);
        of_device
            .filter_map(|(start, extent)| match extent.home {
                Home::Managed { resident } => {
                    Some(Stretch { start: *start, bytes: extent.bytes, resident, stamp: extent.stamp })
                }
                _ => None,
            })
            .collect()
    }

    fn fetch_managed(&self, context: &Context, budget: Bytes, bulk: bool) -> u64 {
        let ranges = plan::fetch(&self.stretches(context.device.id), budget);
        if ranges.is_empty() {
            return 0;
        }
        let mut missing = 0;
        self.each_stretch(&ranges, |range, start, bytes, resident| {
            let end = range.start - start + range.bytes;
            missing += end.saturating_sub(*resident);
            *resident = (*resident).max(end).min(bytes);
        });
        let fetched = if bulk { plan::sum(&prefetch(context, &ranges, Way::In)).0 } else { 0 };
        fetched.min(missing)
    }

    fn evict_managed(&self, context: &Context, wanted: Bytes) -> u64 {
        let ranges = plan::evict(&self.stretches(context.device.id), wanted);
        if ranges.is_empty() {
            return 0;
        }
        let gone = prefetch(context, &ranges, Way::Out);
        self.each_stretch(&gone, |range, start, _, resident| {
            *resident = (*resident).min(range.start - start)
        });
        plan::sum(&gone).0
    }

    /// Every managed extent that is still there, with its range.
    fn each_stretch(&self, ranges: &[Range], mut act: impl FnMut(&Range, u64, u64, &mut u64)) {
        let mut book = self.book();
        for range in ranges {
            if let Some((start, extent)) = book.extents.range_mut(..=range.start).next_back()
                && range.start < start + extent.bytes
                && let Home::Managed { resident } = &mut extent.home
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
fn prefetch(context: &Context, ranges: &[Range], way: Way) -> Vec<Range> {
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
            let bytes = (end - start).min(PREFETCH);
            // SAFETY: only addresses; the driver answers with an error where no managed memory lies.
            match unsafe { driver::cuMemPrefetchAsync(start, bytes as usize, place, stream) } {
                CUresult::SUCCESS => moved.push(Range { start, bytes }),
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
