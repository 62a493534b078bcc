//! Memory freed in a stream's order: it may be used again in that stream at once, elsewhere when the stream has come
//! so far.
#![allow(unsafe_code)] // records and asks events
use super::Memory;
use super::allocate::Wish;
use super::book::{Allocation, Home};
use super::piece::check;
use crate::captures::is_refusal;
use crate::contexts::Context;
use crate::gate::now_or_never;
use crate::process::Process;
use crate::real::driver;
use crate::stream::Key;
use nvshare_abi::*;
use std::collections::VecDeque;
use std::sync::TryLockError;

/// One allocation that the application has freed.
#[derive(Debug)]
struct Waiting {
    start: u64,
    /// The allocation's.
    id: u64,
    bytes: u64,
    pool: usize,
    /// The context that the stream was named in.
    context: usize,
    stream: Key,
    /// Recorded in the stream after the free; 0: free as soon as no capture is going on.
    event: usize,
}

#[derive(Debug, Default)]
pub struct Freed {
    /// In the order of their freeing.
    waiting: VecDeque<Waiting>,
    /// Events that are free, with their contexts.
    events: Vec<(usize, usize)>,
}

/// What waits for streams of a context that is being destroyed, and its free events.
#[derive(Debug, Default)]
pub struct Passing(Freed);

impl Passing {
    /// What was freed, by address and id.
    pub fn starts(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.waiting.iter().map(|waiting| (waiting.start, waiting.id))
    }
}

impl Memory {
    /// Memory for a stream: what was freed in it before, or new.
    ///
    /// # Errors
    /// The code for the application.
    pub fn allocate_in(
        &self,
        process: &Process,
        context: &Context,
        bytes: usize,
        pool: usize,
        stream: CUstream,
    ) -> Result<CUdeviceptr, CUresult> {
        if let Some((start, id)) = self.again(bytes as u64, pool, context.raw(), Key::here(stream)) {
            let mut book = self.book();
            let new = book.stamp();
            if let Some(allocation) = book.allocations.get_mut(&start).filter(|known| known.id == id) {
                allocation.id = new;
                return Ok(start);
            }
        }
        self.reclaim(process, false);
        let wish = Wish { bytes: bytes as u64, pool, managed: None, pooled: true };
        match self.allocate(process, context, wish) {
            Err(CUresult::ERROR_OUT_OF_MEMORY) => {
                self.reclaim(process, true);
                self.allocate(process, context, wish)
            }
            answer => answer,
        }
    }

    /// An allocation of the same size that was freed in the same stream: it never left the book.
    fn again(&self, bytes: u64, pool: usize, context: usize, stream: Key) -> Option<(u64, u64)> {
        let mut freed = now_or_never(self.freed.lock());
        let same = |w: &Waiting| {
            w.event != 0 && (w.bytes, w.pool, w.context, w.stream) == (bytes, pool, context, stream)
        };
        let at = freed.waiting.iter().rposition(same)?;
        let waiting = freed.waiting.remove(at)?;
        freed.events.push((waiting.context, waiting.event));
        Some((waiting.start, waiting.id))
    }

    /// Frees an allocation in a stream's order; true if it was ours.
    ///
    /// # Errors
    /// When the stream does not take the event: the allocation then stays.
    pub fn free_in(&self, process: &Process, start: u64, stream: CUstream) -> Result<bool, CUresult> {
        let Some(allocation) = self.made_here(start) else { return Ok(false) };
        // The stream's number means one of the current context's, unless the driver says otherwise below.
        let context = process.contexts.current().map_or(allocation.context, |(context, _)| context.raw());
        let event = {
            let mut freed = now_or_never(self.freed.lock());
            if freed.waiting.iter().any(|waiting| waiting.start == start) {
                return Err(CUresult::ERROR_INVALID_VALUE);
            }
            let known = freed.events.iter().position(|(of, _)| *of == context);
            known.map(|at| freed.events.swap_remove(at).1)
        };
        let event = match event {
            Some(event) => event,
            None => {
                let mut event = std::ptr::null_mut();
                // SAFETY: the pointer is to a local.
                check(unsafe { driver::cuEventCreate(&mut event, CU_EVENT_DISABLE_TIMING) })?;
                event as usize
            }
        };
        // SAFETY: our own event, and the application's stream.
        let recorded = unsafe { driver::cuEventRecord(event as CUevent, stream) };
        let mut freed = now_or_never(self.freed.lock());
        if recorded != CUresult::SUCCESS {
            freed.events.push((context, event));
            drop(freed);
            // A stream of another context takes no event of this one: waited for, it has passed.
            // SAFETY: the application's own stream.
            let waited = || unsafe { driver::cuStreamSynchronize(stream) };
            if recorded == CUresult::ERROR_INVALID_HANDLE && waited() == CUresult::SUCCESS {
                self.give_back(&process.contexts, start, allocation.id);
                return Ok(true);
            }
            return Err(recorded);
        }
        freed.waiting.push_back(Waiting {
            start,
            id: allocation.id,
            bytes: allocation.bytes,
            pool: allocation.pool,
            context,
            stream: Key::here(stream),
            event,
        });
        drop(freed);
        self.reclaim(process, false);
        Ok(true)
    }

    /// The allocation that begins there, unless its memory is the driver's to free: of its own pools, or the
    /// application's managed memory.
    fn made_here(&self, start: u64) -> Option<Allocation> {
        let book = self.book();
        let allocation = book.allocations.get(&start).copied().filter(|allocation| !allocation.managed)?;
        book.extents
            .get(&allocation.extent)
            .is_some_and(|extent| extent.home != Home::Plain)
            .then_some(allocation)
    }

    /// Whether it was freed in a stream's order and is still there.
    pub(super) fn is_freed(&self, start: u64) -> bool {
        now_or_never(self.freed.lock()).waiting.iter().any(|waiting| waiting.start == start)
    }

    /// Frees it when no capture is going on any more.
    pub(super) fn free_later(&self, start: u64, id: u64) {
        let stream = Key::default();
        let waiting = Waiting { start, id, bytes: 0, pool: 0, context: 0, stream, event: 0 };
        now_or_never(self.freed.lock()).waiting.push_back(waiting);
    }

    /// Gives back what its stream has passed; with `wait`, everything.
    pub fn reclaim(&self, process: &Process, wait: bool) {
        if process.captures.any() {
            return;
        }
        // One at a time: a context's end waits for it, with which the events end that it asks.
        let one = match self.reclaiming.try_lock() {
            Err(TryLockError::WouldBlock) if !wait => return,
            Err(TryLockError::WouldBlock) => now_or_never(self.reclaiming.lock()),
            Ok(one) => one,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        };
        // Waited for without the lock, which other threads' frees need to get on.
        let mut queue = std::mem::take(&mut now_or_never(self.freed.lock()).waiting);
        let (mut done, mut kept, mut events) = (Vec::new(), VecDeque::new(), Vec::new());
        let mut synchronized = None;
        while let Some(waiting) = queue.pop_front() {
            if waiting.event == 0 {
                let ended = *synchronized.get_or_insert_with(|| self.all_has_ended(process));
                if ended {
                    done.push((waiting.start, waiting.id))
                } else {
                    kept.push_back(waiting)
                }
                continue;
            }
            let event = waiting.event as CUevent;
            // SAFETY: an event of ours that was recorded.
            let code =
                unsafe { if wait { driver::cuEventSynchronize(event) } else { driver::cuEventQuery(event) } };
            match code {
                CUresult::SUCCESS => {
                    events.push((waiting.context, waiting.event));
                    done.push((waiting.start, waiting.id));
                }
                code if code == CUresult::ERROR_NOT_READY || is_refusal(code) => {
                    kept.push_back(waiting);
                    // The later ones are asked another time: asking all of them would cost more than it frees.
                    break;
                }
                // Nothing comes of this event any more. In a broken context nothing comes of anything.
                _ => kept.push_back(Waiting { event: 0, ..waiting }),
            }
        }
        kept.into_iter().rev().for_each(|waiting| queue.push_front(waiting));
        let mut freed = now_or_never(self.freed.lock());
        queue.append(&mut freed.waiting);
        freed.waiting = queue;
        freed.events.append(&mut events);
        drop(freed);
        drop(one);
        done.into_iter().for_each(|(start, id)| self.give_back(&process.contexts, start, id));
    }

    /// Waits for all work of every context; false beside a capture, which that would disturb.
    fn all_has_ended(&self, process: &Process) -> bool {
        let all = process.contexts.all();
        let ended = || all.iter().all(|context| context.synchronize() == CUresult::SUCCESS);
        process.captures.while_none(ended).unwrap_or(false)
    }

    /// Takes out what waits for streams of a context that is about to go.
    pub(super) fn take_passing(&self, context: usize) -> Passing {
        let _none_is_asked = now_or_never(self.reclaiming.lock());
        let mut freed = now_or_never(self.freed.lock());
        let (gone, rest) =
            std::mem::take(&mut freed.waiting).into_iter().partition(|waiting| waiting.context == context);
        freed.waiting = rest;
        let (events, rest) =
            std::mem::take(&mut freed.events).into_iter().partition(|(of, _)| *of == context);
        freed.events = rest;
        Passing(Freed { waiting: gone, events })
    }

    /// The context has stayed.
    pub(super) fn put_back_passing(&self, passing: Passing) {
        let mut freed = now_or_never(self.freed.lock());
        freed.waiting.extend(passing.0.waiting);
        freed.events.extend(passing.0.events);
    }
}
