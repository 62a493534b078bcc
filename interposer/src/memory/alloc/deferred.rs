//! Memory freed in a stream's order (`cuMemFreeAsync`). The same stream may use it again at once; everybody else may
//! once the stream has passed the free, which an event tells of a batch of frees.
#![allow(unsafe_code)] // records and asks events
use crate::driver;
use crate::driver::captures::{Captures, is_refusal};
use crate::driver::contexts::Contexts;
use crate::driver::stream::StreamKey;
use crate::memory::alloc::batch::{Batch, Batches, Fence, FreedAllocation, PendingFrees, Reclaimed};
use crate::memory::alloc::release::Releaser;
use crate::memory::dependencies::Dependencies;
use crate::memory::ledger::shared::SharedLedger;
use crate::sys::lock::{Mutex, rank};
use nvshare_abi::*;
use std::collections::VecDeque;
use std::sync::Arc;

/// A stream, and the context that it is of.
#[derive(Clone, Copy, Debug)]
pub struct StreamAt {
    pub context: usize,
    pub stream: CUstream,
}

#[derive(Debug)]
pub struct DeferredFrees {
    batches: Mutex<Batches, { rank::LEAF }>,
    /// Held while our events are asked and what they say is given back: one thread at a time, and no context ends
    /// meanwhile, with which the events end.
    reclaim_lock: Mutex<(), { rank::RECLAIM }>,
    /// Held while streams are asked by their numbers, and while one ends.
    stream_names: Mutex<(), { rank::STREAM_NAMES }>,
    ledger: Arc<SharedLedger>,
    releaser: Arc<Releaser>,
    contexts: Arc<Contexts>,
    captures: Arc<Captures>,
}

impl DeferredFrees {
    pub fn new(uses: &Dependencies, ledger: Arc<SharedLedger>, releaser: Arc<Releaser>) -> Self {
        let Dependencies { contexts, captures, .. } = uses.clone();
        Self {
            batches: Mutex::default(),
            reclaim_lock: Mutex::default(),
            stream_names: Mutex::default(),
            ledger,
            releaser,
            contexts,
            captures,
        }
    }

    /// Memory was freed in a stream, as the calling thread names it.
    pub fn add(&self, item: FreedAllocation, at: StreamAt) {
        let full = self.batches.lock().add(item, at.context, StreamKey::here(at.stream));
        if let Some(batch) = full {
            self.record_fence(batch, at.stream);
            self.reclaim(false);
        }
    }

    /// An allocation of this size and pool that was freed in the same stream: the stream may have it again at once.
    pub fn reuse(&self, bytes: u64, pool: usize, at: StreamAt) -> Option<FreedAllocation> {
        self.batches.lock().reuse(bytes, pool, at.context, StreamKey::here(at.stream))
    }

    /// Frees an allocation when no capture is going on any more, and all work has ended.
    pub fn defer(&self, start: u64, id: u64) {
        if let Some(allocation) =
            self.ledger.lock().allocations.get_mut(&start).filter(|known| known.id == id)
        {
            allocation.freed = true;
        }
        let item = FreedAllocation { start, id, bytes: 0, pool: 0 };
        self.batches.lock().push(Batch::of_no_stream(item));
    }

    /// Records the event with which a batch ends, in its stream as the calling thread names it.
    fn record_fence(&self, mut batch: Batch, stream: CUstream) {
        let known = self.batches.lock().take_event(batch.context);
        let event = known.or_else(|| self.new_event(batch.context));
        // SAFETY: our own event, of the stream's context; the application's stream, which its call has just named.
        let record = |event| unsafe { driver::cuEventRecord(event as CUevent, stream) };
        batch.fence = match event {
            Some(event) if record(event) == CUresult::SUCCESS => Fence::Event(event),
            _ => Fence::AllWork,
        };
        let mut batches = self.batches.lock();
        if let (Fence::AllWork, Some(event)) = (batch.fence, event) {
            batches.put_event(batch.context, event);
        }
        batches.push(batch);
    }

    fn new_event(&self, context: usize) -> Option<usize> {
        let mut event = std::ptr::null_mut();
        // SAFETY: the pointer is to a local; `within` has made the context current.
        let make = || unsafe { driver::cuEventCreate(&mut event, CU_EVENT_DISABLE_TIMING) };
        let made = self.contexts.named(context)?.within(make)?;
        (made == CUresult::SUCCESS).then_some(event as usize)
    }

    /// A stream is about to be destroyed: what was freed in it waits for its end.
    pub fn stream_destroyed(&self, stream: CUstream) {
        let _none_is_asked = self.stream_names.lock();
        let open = self.batches.lock().end_stream(StreamKey::here(stream));
        self.fence_all(open, Fence::AllWork, |batch| self.record_fence(batch, stream));
    }

    /// Closes open batches by `close`; during a capture, which that would disturb, they get `fence` instead.
    fn fence_all(&self, open: VecDeque<Batch>, fence: Fence, close: impl Fn(Batch)) {
        for batch in open {
            let mut batch = Some(batch);
            self.captures.while_none(|| batch.take().map(&close));
            if let Some(batch) = batch {
                self.batches.lock().push(Batch { fence, ..batch });
            }
        }
    }

    /// Gives back what streams have passed, and closes the open batches of streams that the calling thread can name.
    pub fn reclaim_current(&self) {
        let _no_stream_ends = self.stream_names.lock();
        if let Some(context) = self.contexts.current() {
            let named = |batch: &Batch| batch.context == context.raw() && batch.stream.is_here();
            let open = self.batches.lock().take_open(named);
            self.fence_all(open, Fence::Open, |batch| {
                let stream = batch.stream.number();
                // SAFETY: the application's own stream. It exists: `stream_destroyed` comes before its end, and takes
                // its batches away.
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
        items.into_iter().for_each(|item| self.releaser.release_allocation(item.start, item.id));
    }

    /// Gives back what its stream has passed; with `wait`, everything.
    pub fn reclaim(&self, wait: bool) {
        if self.captures.any() {
            return;
        }
        // One thread at a time. A context's end waits for this lock, because the context's events end with it.
        let _one = match self.reclaim_lock.try_lock() {
            Some(one) => one,
            None if wait => self.reclaim_lock.lock(),
            None => return,
        };
        // Asked and waited for without the lock of the batches, which other threads' frees need to get on.
        let closed = self.batches.lock().take_closed(wait);
        let mut reclaimed = self.ask(closed, wait);
        self.batches.lock().put_back(&mut reclaimed);
        // Before the next thread looks, which else would find it neither waiting nor given back.
        self.release_all(&reclaimed.done);
    }

    /// Asks the batches' fences in turn, or waits for them.
    fn ask(&self, mut queue: VecDeque<Batch>, wait: bool) -> Reclaimed {
        let mut reclaimed = Reclaimed::default();
        let mut all_done = None;
        while let Some(mut batch) = queue.pop_front() {
            let Fence::Event(event) = batch.fence else {
                if *all_done.get_or_insert_with(|| self.all_work_done()) {
                    reclaimed.done.append(&mut batch.items);
                } else {
                    reclaimed.kept.push_back(batch);
                }
                continue;
            };
            let (ask, wait_for) = (driver::cuEventQuery, driver::cuEventSynchronize);
            // SAFETY: an event of ours that was recorded, in a context that does not end while `reclaim_lock` is held.
            let code = unsafe { if wait { wait_for(event as CUevent) } else { ask(event as CUevent) } };
            match code {
                CUresult::SUCCESS => {
                    reclaimed.events.push((batch.context, event));
                    reclaimed.done.append(&mut batch.items);
                }
                code if code == CUresult::ERROR_NOT_READY || is_refusal(code) => {
                    reclaimed.kept.push_back(batch);
                    // The later ones are asked another time: asking all of them would cost more than it frees.
                    break;
                }
                // The event is of no use any more, as in a context in error.
                _ => reclaimed.kept.push_back(Batch { fence: Fence::AllWork, ..batch }),
            }
        }
        reclaimed.kept.append(&mut queue);
        reclaimed
    }

    /// Gives everything back: all work of this process has ended.
    pub fn reclaim_all(&self) {
        if self.captures.any() {
            return;
        }
        let _one = self.reclaim_lock.lock();
        let all = self.batches.lock().take_all();
        self.release_all(&all);
    }

    /// Waits for all work of every context; false beside a capture, which that would disturb.
    fn all_work_done(&self) -> bool {
        let all = self.contexts.all();
        let ended = || all.iter().all(|context| context.synchronize() == CUresult::SUCCESS);
        // The work of a context that is being destroyed cannot be waited for.
        self.captures.while_none(ended).unwrap_or(false) && !self.contexts.endings.is_any()
    }

    /// Takes out what waits for streams of a context that is about to go.
    pub fn detach_context(&self, context: usize) -> PendingFrees {
        let _none_is_asked = self.reclaim_lock.lock();
        self.batches.lock().take_context(context)
    }

    /// The context has stayed.
    pub fn reattach_context(&self, pending: PendingFrees) {
        self.batches.lock().put_back_context(pending);
    }
}
