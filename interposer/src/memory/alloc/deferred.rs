//! Memory freed in a stream's order: it may be used again in that stream at once, elsewhere when the stream has come
//! so far.
#![allow(unsafe_code)] // records and asks events
use crate::driver;
use crate::driver::captures::is_refusal;
use crate::driver::context::Context;
use crate::driver::stream::StreamKey;
use crate::memory::Memory;
use crate::memory::alloc::AllocRequest;
use crate::memory::handled::Handled;
use crate::memory::ledger::{Allocation, Backing};
use nvshare_abi::*;
use std::collections::{BTreeMap, VecDeque};

/// After so much a batch is closed: an event costs more than a free, and what has none yet is only of use in its
/// stream.
const BATCH_ITEMS: usize = 64;
const BATCH_BYTES: u64 = 64 << 20;

/// A stream, and the context that it is of.
#[derive(Clone, Copy, Debug)]
pub struct StreamAt {
    pub context: usize,
    pub stream: CUstream,
}

/// One allocation that the application has freed.
#[derive(Clone, Copy, Debug)]
struct FreedAllocation {
    start: u64,
    /// The allocation's.
    id: u64,
    bytes: u64,
    pool: usize,
}

/// When what a batch holds is free for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fence {
    /// More may come into the batch: no event is recorded yet.
    Open,
    /// When this event of ours has passed, which was recorded in the stream after the last free.
    Event(usize),
    /// When all work of all contexts has ended, and no capture is going on.
    AllWork,
}

/// What was freed in one stream, one after the other.
#[derive(Debug)]
struct Batch {
    /// The stream's context.
    context: usize,
    stream: StreamKey,
    /// How many streams of its number had ended before.
    age: u64,
    fence: Fence,
    items: Vec<FreedAllocation>,
    bytes: u64,
}

#[derive(Debug, Default)]
pub struct DeferredFrees {
    /// In the order of their closing; of each stream at most the last is open.
    batches: VecDeque<Batch>,
    /// Events that are free, with their contexts.
    events: Vec<(usize, usize)>,
    /// How many streams of a number have ended: the driver gives numbers out again.
    ended: BTreeMap<usize, u64>,
}

/// What waits for streams of a context that is being destroyed, and its free events.
#[derive(Debug, Default)]
pub struct PendingFrees(DeferredFrees);

impl PendingFrees {
    /// What was freed, by address and id.
    pub fn starts(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.batches.iter().flat_map(|batch| &batch.items).map(|item| (item.start, item.id))
    }
}

impl DeferredFrees {
    fn age(&self, stream: StreamKey) -> u64 {
        self.ended.get(&(stream.number() as usize)).copied().unwrap_or_default()
    }

    /// An allocation of the same size that was freed in the same stream, and did not leave the ledger.
    fn reuse(
        &mut self,
        bytes: u64,
        pool: usize,
        context: usize,
        stream: StreamKey,
    ) -> Option<FreedAllocation> {
        let age = self.age(stream);
        let of_stream = |batch: &Batch| {
            batch.fence != Fence::AllWork
                && (batch.context, batch.stream, batch.age) == (context, stream, age)
        };
        for (at, batch) in self.batches.iter_mut().enumerate().rev().filter(|(_, batch)| of_stream(batch)) {
            let Some(same) = batch.items.iter().rposition(|i| (i.bytes, i.pool) == (bytes, pool)) else {
                continue;
            };
            let item = batch.items.remove(same);
            batch.bytes -= item.bytes;
            if batch.items.is_empty()
                && let Some(Batch { fence: Fence::Event(event), .. }) = self.batches.remove(at)
            {
                self.events.push((context, event));
            }
            return Some(item);
        }
        None
    }

    /// Adds to the stream's open batch, and takes that out if it is to be closed.
    fn add(&mut self, item: FreedAllocation, context: usize, stream: StreamKey) -> Option<Batch> {
        let is_open =
            |batch: &Batch| batch.fence == Fence::Open && batch.context == context && batch.stream == stream;
        let at = self.batches.iter().rposition(is_open).unwrap_or_else(|| {
            let age = self.age(stream);
            let new = Batch { context, stream, age, fence: Fence::Open, items: Vec::new(), bytes: 0 };
            self.batches.push_back(new);
            self.batches.len() - 1
        });
        let batch = self.batches.get_mut(at)?;
        batch.items.push(item);
        batch.bytes += item.bytes;
        // Nobody else can name a thread's own stream later.
        let is_full = batch.items.len() >= BATCH_ITEMS || batch.bytes >= BATCH_BYTES || stream.is_own();
        if is_full { self.batches.remove(at) } else { None }
    }

    /// Takes out the open batches of which this holds.
    fn take_open(&mut self, which: impl Fn(&Batch) -> bool) -> VecDeque<Batch> {
        let all = std::mem::take(&mut self.batches);
        let (open, rest) = all.into_iter().partition(|batch| batch.fence == Fence::Open && which(batch));
        self.batches = rest;
        open
    }
}

impl Memory {
    /// Memory on the device of `context` for a stream: what was freed in it before, or new.
    ///
    /// # Errors
    /// The code for the application.
    pub fn allocate_async(
        &self,
        context: &Context,
        bytes: usize,
        pool: usize,
        stream: StreamAt,
    ) -> Result<CUdeviceptr, CUresult> {
        let again =
            self.deferred.lock().reuse(bytes as u64, pool, stream.context, StreamKey::here(stream.stream));
        if let Some(item) = again {
            let mut ledger = self.ledger.lock();
            let new = ledger.next_seq();
            let known = ledger.allocations.get_mut(&item.start).filter(|known| known.id == item.id);
            match known {
                Some(allocation) if (allocation.pool, allocation.device) == (pool, context.device.id) => {
                    allocation.id = new;
                    allocation.freed = false;
                    return Ok(item.start);
                }
                // Of an earlier pool of this number.
                Some(_) => {
                    drop(ledger);
                    self.defer_free(item.start, item.id);
                }
                None => {}
            }
        }
        let request = AllocRequest { bytes: bytes as u64, pool, managed: None, pooled: true };
        match self.allocate(context, request) {
            Err(CUresult::ERROR_OUT_OF_MEMORY) => {
                self.reclaim(true);
                self.allocate(context, request)
            }
            answer => answer,
        }
    }

    /// Frees an allocation in a stream's order.
    ///
    /// # Errors
    /// `INVALID_VALUE` for what has been freed already.
    pub fn free_async(&self, start: u64, stream: CUstream) -> Result<Handled, CUresult> {
        let Some(allocation) = self.mark_freed(start)? else { return Ok(Handled::NotOurs) };
        let context = context_of(stream)
            .or_else(|| self.contexts.current().map(|context| context.raw()))
            .unwrap_or(allocation.context);
        let Allocation { id, bytes, pool, .. } = allocation;
        let item = FreedAllocation { start, id, bytes, pool };
        let full = self.deferred.lock().add(item, context, StreamKey::here(stream));
        if let Some(batch) = full {
            self.record_fence(batch, stream);
            self.reclaim(false);
        }
        Ok(Handled::Ours)
    }

    /// Records the event with which a batch ends, in its stream as the calling thread names it.
    fn record_fence(&self, mut batch: Batch, stream: CUstream) {
        let known = {
            let mut freed = self.deferred.lock();
            let at = freed.events.iter().position(|(of, _)| *of == batch.context);
            at.map(|at| freed.events.swap_remove(at).1)
        };
        let event = known.or_else(|| {
            let mut event = std::ptr::null_mut();
            // SAFETY: the pointer is to a local; the stream's context is current.
            let make = || unsafe { driver::cuEventCreate(&mut event, CU_EVENT_DISABLE_TIMING) };
            let made = self.contexts.named(batch.context)?.within(make)?;
            (made == CUresult::SUCCESS).then_some(event as usize)
        });
        // SAFETY: our own event, and the application's stream.
        let record = |event| unsafe { driver::cuEventRecord(event as CUevent, stream) };
        batch.fence = match event {
            Some(event) if record(event) == CUresult::SUCCESS => Fence::Event(event),
            _ => Fence::AllWork,
        };
        let mut freed = self.deferred.lock();
        if let (Fence::AllWork, Some(event)) = (batch.fence, event) {
            freed.events.push((batch.context, event));
        }
        freed.batches.push_back(batch);
    }

    /// A stream is about to be destroyed: what was freed in it waits for its end.
    pub fn stream_destroyed(&self, stream: CUstream) {
        let key = StreamKey::here(stream);
        let _none_is_asked = self.stream_names.lock();
        let mut freed = self.deferred.lock();
        if freed.batches.is_empty() && freed.ended.is_empty() {
            return;
        }
        *freed.ended.entry(stream as usize).or_default() += 1;
        let open = freed.take_open(|batch| batch.stream == key);
        drop(freed);
        self.fence_all(open, Fence::AllWork, |batch| self.record_fence(batch, stream));
    }

    /// Closes batches by `close`, unless a capture is going on: then they end so.
    fn fence_all(&self, open: VecDeque<Batch>, fence: Fence, close: impl Fn(Batch)) {
        for batch in open {
            let mut batch = Some(batch);
            self.captures.while_none(|| batch.take().map(&close));
            if let Some(batch) = batch {
                self.deferred.lock().batches.push_back(Batch { fence, ..batch });
            }
        }
    }

    /// Gives back all that has passed, of streams too that the calling thread can name and that wait for nothing.
    pub fn reclaim_current(&self) {
        if let Some(context) = self.contexts.current() {
            let _no_stream_ends = self.stream_names.lock();
            let named = |batch: &Batch| batch.context == context.raw() && batch.stream.is_here();
            let open = self.deferred.lock().take_open(named);
            self.fence_all(open, Fence::Open, |batch| {
                let stream = batch.stream.number();
                // SAFETY: the application's own stream, which has not been destroyed: `stream_destroyed` comes before that.
                if unsafe { driver::cuStreamQuery(stream) } == CUresult::SUCCESS {
                    self.release_all(&batch.items);
                } else {
                    self.record_fence(batch, stream);
                }
            });
        }
        self.reclaim(false);
    }

    fn release_all<'a>(&self, items: impl IntoIterator<Item = &'a FreedAllocation>) {
        items.into_iter().for_each(|item| self.release_allocation(item.start, item.id));
    }

    /// Marks the allocation that begins there as freed, unless its memory is the driver's to free: of its own pools, or
    /// the application's managed memory.
    ///
    /// # Errors
    /// `INVALID_VALUE` if it was freed before, or lies in a chunk and is no allocation.
    fn mark_freed(&self, start: u64) -> Result<Option<Allocation>, CUresult> {
        let mut guard = self.ledger.lock();
        let ledger = &mut *guard;
        let Some(allocation) = ledger.allocations.get_mut(&start).filter(|allocation| !allocation.managed)
        else {
            // Where a chunk begins, the driver would free all of it.
            return if ledger.is_in_a_chunk(start) { Err(CUresult::ERROR_INVALID_VALUE) } else { Ok(None) };
        };
        let is_the_drivers = |extent: &crate::memory::ledger::Extent| {
            extent.backing == Backing::Plain && extent.arena.is_none()
        };
        if ledger.extents.get(&allocation.extent).is_none_or(is_the_drivers) {
            return Ok(None);
        }
        if std::mem::replace(&mut allocation.freed, true) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        Ok(Some(*allocation))
    }

    /// Frees it when no capture is going on any more.
    pub fn defer_free(&self, start: u64, id: u64) {
        if let Some(allocation) =
            self.ledger.lock().allocations.get_mut(&start).filter(|known| known.id == id)
        {
            allocation.freed = true;
        }
        let items = vec![FreedAllocation { start, id, bytes: 0, pool: 0 }];
        let (stream, fence) = (StreamKey::default(), Fence::AllWork);
        let batch = Batch { context: 0, stream, age: 0, fence, items, bytes: 0 };
        self.deferred.lock().batches.push_back(batch);
    }

    /// Gives back what its stream has passed; with `wait`, everything.
    pub fn reclaim(&self, wait: bool) {
        if self.captures.any() {
            return;
        }
        // One at a time: a context's end waits for it, with which the events end that it asks.
        let one = match self.reclaim_lock.try_lock() {
            Some(one) => one,
            None if wait => self.reclaim_lock.lock(),
            None => return,
        };
        // Waited for without the lock, which other threads' frees need to get on.
        let mut queue = {
            let mut freed = self.deferred.lock();
            let all = std::mem::take(&mut freed.batches);
            let (open, mut closed): (VecDeque<_>, VecDeque<_>) =
                all.into_iter().partition(|batch| batch.fence == Fence::Open && !wait);
            freed.batches = open;
            // Their streams may end meanwhile.
            closed
                .iter_mut()
                .filter(|batch| batch.fence == Fence::Open)
                .for_each(|batch| batch.fence = Fence::AllWork);
            closed
        };
        let (mut done, mut kept, mut events) = (Vec::new(), VecDeque::new(), Vec::new());
        let mut synchronized = None;
        while let Some(mut batch) = queue.pop_front() {
            let Fence::Event(event) = batch.fence else {
                if *synchronized.get_or_insert_with(|| self.all_work_done()) {
                    done.append(&mut batch.items);
                } else {
                    kept.push_back(batch);
                }
                continue;
            };
            let (ask, wait_for) = (driver::cuEventQuery, driver::cuEventSynchronize);
            // SAFETY: an event of ours that was recorded.
            let code = unsafe { if wait { wait_for(event as CUevent) } else { ask(event as CUevent) } };
            match code {
                CUresult::SUCCESS => {
                    events.push((batch.context, event));
                    done.append(&mut batch.items);
                }
                code if code == CUresult::ERROR_NOT_READY || is_refusal(code) => {
                    kept.push_back(batch);
                    // The later ones are asked another time: asking all of them would cost more than it frees.
                    break;
                }
                // Nothing comes of this event any more. In a broken context nothing comes of anything.
                _ => kept.push_back(Batch { fence: Fence::AllWork, ..batch }),
            }
        }
        kept.append(&mut queue);
        let mut freed = self.deferred.lock();
        kept.append(&mut freed.batches);
        freed.batches = kept;
        freed.events.append(&mut events);
        drop(freed);
        drop(one);
        self.release_all(&done);
    }

    /// Gives everything back: all work of this process has ended.
    pub fn reclaim_all(&self) {
        if self.captures.any() {
            return;
        }
        let _one = self.reclaim_lock.lock();
        let mut freed = self.deferred.lock();
        let all = std::mem::take(&mut freed.batches);
        let used = all.iter().filter_map(|batch| match batch.fence {
            Fence::Event(event) => Some((batch.context, event)),
            _ => None,
        });
        freed.events.extend(used);
        drop(freed);
        self.release_all(all.iter().flat_map(|batch| &batch.items));
    }

    /// Waits for all work of every context; false beside a capture, which that would disturb.
    fn all_work_done(&self) -> bool {
        let all = self.contexts.all();
        let ended = || all.iter().all(|context| context.synchronize() == CUresult::SUCCESS);
        // Of a context that is being ended nothing can be asked.
        self.captures.while_none(ended).unwrap_or(false) && !self.contexts.endings.is_any()
    }

    /// Takes out what waits for streams of a context that is about to go.
    pub fn detach_pending(&self, context: usize) -> PendingFrees {
        let _none_is_asked = self.reclaim_lock.lock();
        let mut freed = self.deferred.lock();
        let (gone, rest) =
            std::mem::take(&mut freed.batches).into_iter().partition(|batch| batch.context == context);
        freed.batches = rest;
        let (events, rest) =
            std::mem::take(&mut freed.events).into_iter().partition(|(of, _)| *of == context);
        freed.events = rest;
        PendingFrees(DeferredFrees { batches: gone, events, ended: BTreeMap::new() })
    }

    /// The context has stayed.
    pub fn reattach_pending(&self, passing: PendingFrees) {
        let mut freed = self.deferred.lock();
        freed.batches.extend(passing.0.batches);
        freed.events.extend(passing.0.events);
    }
}

/// The context of a stream; none for the default ones, which are of the current context.
pub fn context_of(stream: CUstream) -> Option<usize> {
    if StreamKey::here(stream).is_default() {
        return None;
    }
    let mut context = std::ptr::null_mut();
    // SAFETY: the application's own stream; the pointer is to a local.
    let told = unsafe { driver::cuStreamGetCtx(stream, &mut context) };
    (told == CUresult::SUCCESS && !context.is_null()).then_some(context as usize)
}
