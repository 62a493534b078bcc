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
use crate::memory::ledger::content::{self, Content, Run, What};
use crate::memory::ledger::piece::Piece;
use crate::memory::ledger::shared::SharedLedger;
use crate::memory::ledger::sizes::FINE_PIECE;
use crate::memory::ledger::{Ledger, PieceId, Totals};
use crate::memory::migrate::batch::{self, Taken};
use crate::memory::migrate::look::{Findings, Looker, Looking, Target};
use crate::memory::migrate::residency::Residency;
use crate::memory::migrate::swap_space::SwapSpace;
use crate::sys::{clock, log};
use nvshare_abi::*;
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::sync::Arc;

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

    /// Begins to copy what is to be copied of a piece that is mapped at `at`, and to clear what is zero.
    fn bring_back(&self, at: u64, slot: u64, runs: &[Run]) -> Result<(), CUresult> {
        runs.iter().try_for_each(|run| {
            let (at, slot, bytes) = (at + run.offset, slot + run.offset, run.bytes as usize);
            // SAFETY: `Piece::copy` hands an address at which the piece is mapped and its slot, and the runs are parts
            // of both. Neither goes before the wait that ends the batch: the ledger is locked until then.
            unsafe {
                match run.what {
                    What::Zero => driver::cuMemsetD8Async(at, 0, bytes, self.stream),
                    _ => driver::cuMemcpyHtoDAsync_v2(at, slot as *const c_void, bytes, self.stream),
                }
            }
            .ok()
        })
    }

    /// Begins to copy what is to be copied of a piece that is mapped at `at` to its slot.
    fn save(&self, at: u64, slot: u64, runs: &[Run]) -> Result<(), CUresult> {
        runs.iter().filter(|run| run.what == What::Copy).try_for_each(|run| {
            let (at, slot) = (at + run.offset, slot + run.offset);
            // SAFETY: as in `bring_back`; each copy's mark is awaited before the ledger is unlocked.
            unsafe { driver::cuMemcpyDtoHAsync_v2(slot as *mut c_void, at, run.bytes as usize, self.stream) }
                .ok()
        })
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
    /// None: everything moves.
    looker: Option<Looker>,
}

impl PieceMover {
    /// `moves_all`: also what is zero, or has not changed.
    pub fn new(
        uses: &Dependencies,
        ledger: Arc<SharedLedger>,
        swap: Arc<SwapSpace>,
        residency: Arc<Residency>,
        moves_all: bool,
    ) -> Self {
        let looker = (!moves_all).then(Looker::default);
        Self { ledger, swap, residency, contexts: uses.contexts.clone(), looker }
    }

    /// Whether a context is not ready to look at memory, and may become so.
    pub fn lacks_looking(&self) -> bool {
        self.looker.is_some() && self.contexts.all().iter().any(|context| context.lacks_kernel())
    }

    /// Makes ready to look at memory before it leaves: while the gate is open, and somebody waits for the GPU.
    pub fn prepare_looking(&self) {
        for context in self.contexts.all() {
            if let Some(mut entered) = context.enter() {
                Looker::load(&mut entered);
            }
        }
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
        let Some(worker) = Worker::in_context(context) else { return (0, false) };
        let (mut restored, mut begun, mut taken) = (Vec::new(), Ok(()), Taken::default());
        let mut room = budget.saturating_sub(ledger.totals(device).resident);
        // What is to be copied first: pieces without a copy are made while those copies run.
        for (id, sizes) in batch::returning(&ledger, device) {
            if sizes.bytes > room || !taken.takes(sizes) {
                continue;
            }
            begun = self.begin_restoring(&mut ledger, id, &worker, context.is_lent());
            if begun.is_err() {
                break;
            }
            restored.push(id);
            room -= sizes.bytes;
        }
        let done = worker.wait().ok();
        let moved = finish_restoring(&mut ledger, &restored, done.is_ok());
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
        let runs = piece.content.returning(bytes);
        // What is registered in a context ends with it.
        if let Some(slot) = piece.slot.filter(|_| !is_lent && runs.iter().any(|run| run.what == What::Copy)) {
            self.swap.register(&worker.entered, slot);
        }
        let copied = piece.copy(|at, slot| worker.bring_back(at, slot, &runs), || worker.wait());
        if copied.is_err() {
            worker.wait();
            piece.release();
        } else {
            content::count_returning(ledger.moved.entry(device).or_default(), &runs);
        }
        copied
    }

    /// One batch of pieces out, the least recently used first; none when there is nothing more that can leave.
    /// `findings`: what is known of them, and afterwards of those that would be next. It holds until the gate opens.
    pub fn evict_batch(
        &self,
        context: &Context,
        wanted: u64,
        findings: &mut Findings,
        progress: &mut dyn FnMut(TotalsOf<'_>),
    ) -> Option<u64> {
        let device = context.device.id;
        let ledger = self.ledger.lock();
        let can = |piece: &&Piece| piece.device == device && piece.is_resident() && piece.is_evictable();
        let mut leaving: Vec<PieceId> =
            ledger.pieces.values().filter(can).map(|piece| piece.lru_seq).collect();
        drop(ledger);
        leaving.sort_unstable();
        let moved = self.evict(context, &leaving, wanted, findings, progress);
        Some(moved).filter(|moved| *moved > 0)
    }

    /// Moves one batch of pieces out that can leave, and no more when `wanted` bytes have left; returns how many have.
    pub fn evict(
        &self,
        context: &Context,
        leaving: &[PieceId],
        wanted: u64,
        findings: &mut Findings,
        progress: &mut dyn FnMut(TotalsOf<'_>),
    ) -> u64 {
        let _nothing_stays = self.residency.suspend();
        let mut ledger = self.ledger.lock();
        let Some(mut worker) = Worker::in_context(context) else { return 0 };
        let (now, then) = batch::leaving(&ledger, leaving, wanted, findings);
        if now.iter().any(|id| !findings.contains_key(id)) {
            let looking = self.look(&ledger, &worker, &now);
            findings.extend(looking.map(Looking::finish).unwrap_or_default());
        }
        let copies = self.begin_evicting(&mut ledger, &mut worker, &now, findings);
        findings.retain(|id, _| !now.contains(id));
        // Beside the copies.
        let unknown: Vec<PieceId> = then.into_iter().filter(|id| !findings.contains_key(id)).collect();
        let looking = self.look(&ledger, &worker, &unknown);
        let moved = self.finish_evicting(&mut ledger, &mut worker, copies, progress);
        worker.wait();
        // What is looked at must stay where it is: the ledger is locked.
        findings.extend(looking.map(Looking::finish).unwrap_or_default());
        drop(worker);
        drop(ledger);
        self.ledger.notify();
        moved
    }

    /// Begins to look at pieces.
    fn look(&self, ledger: &Ledger, worker: &Worker<'_>, ids: &[PieceId]) -> Option<Looking> {
        let looker = self.looker.as_ref()?;
        let targets = ids.iter().filter_map(|id| {
            let piece = ledger.pieces.get(id).filter(|piece| piece.is_resident())?;
            Some(Target { piece: *id, at: piece.full_mapping()?, bytes: piece.bytes })
        });
        looker.begin(&worker.entered, &targets.collect::<Vec<_>>())
    }

    /// Begins to copy pieces out; a mark in the stream behind each.
    fn begin_evicting(
        &self,
        ledger: &mut Ledger,
        worker: &mut Worker<'_>,
        leaving: &[PieceId],
        findings: &Findings,
    ) -> Vec<(PieceId, Content, Mark)> {
        let mut copies = Vec::new();
        for id in leaving {
            let Some(piece) = ledger.pieces.get_mut(id) else { continue };
            let found = findings.get(id).map(Vec::as_slice);
            let runs = piece.content.leaving(found, piece.bytes);
            if let Some(slot) = piece.slot.filter(|_| runs.iter().any(|run| run.what == What::Copy)) {
                self.swap.register(&worker.entered, slot);
            }
            // Until the copies have ended nobody knows what the slot has.
            piece.content.forget();
            if piece.copy(|at, slot| worker.save(at, slot, &runs), || worker.wait()).is_err() {
                break;
            }
            let device = piece.device;
            content::count_leaving(ledger.moved.entry(device).or_default(), &runs);
            copies.push((*id, Content::of(found), worker.entered.mark(worker.stream)));
        }
        copies
    }

    /// Gives up each piece's memory once its bytes are in its slot; the bytes that have left.
    fn finish_evicting(
        &self,
        ledger: &mut Ledger,
        worker: &mut Worker<'_>,
        copies: Vec<(PieceId, Content, Mark)>,
        progress: &mut dyn FnMut(TotalsOf<'_>),
    ) -> u64 {
        let (mut moved, mut reported, mut reported_at) = (0, 0, clock::instant());
        let mut failed = false;
        for (id, content, mark) in copies {
            // A copy that failed leaves its piece where it is, and what comes after it: that is waited for all the
            // same, and gives its mark back.
            failed |= worker.entered.reached(mark, worker.stream) != CUresult::SUCCESS;
            if failed {
                continue;
            }
            let Some(piece) = ledger.pieces.get_mut(&id) else { continue };
            piece.release();
            (piece.saved, piece.content) = (true, content);
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
