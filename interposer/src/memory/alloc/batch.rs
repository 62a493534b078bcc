//! Batches of memory freed in a stream's order, and what each of them waits for. Pure.
use crate::driver::stream::StreamKey;
use std::collections::{BTreeMap, VecDeque};

/// A batch is closed after so much. Recording an event costs more than a free; without one, the memory is of use to its
/// own stream only.
const BATCH_ITEMS: usize = 64;
const BATCH_BYTES: u64 = 64 << 20;

/// One allocation that the application has freed.
#[derive(Clone, Copy, Debug)]
pub struct FreedAllocation {
    pub start: u64,
    /// The allocation's.
    pub id: u64,
    pub bytes: u64,
    pub pool: usize,
}

/// When what a batch holds is free for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// More may come into the batch: no event is recorded yet.
    Open,
    /// When this event of ours has passed, which was recorded in the stream after the last free.
    Event(usize),
    /// When all work of all contexts has ended, and no capture is going on.
    AllWork,
}

/// What was freed in one stream, one after the other.
#[derive(Debug)]
pub struct Batch {
    /// The stream's context.
    pub context: usize,
    pub stream: StreamKey,
    /// How many streams of its number had ended before.
    pub age: u64,
    pub fence: Fence,
    pub items: Vec<FreedAllocation>,
    pub bytes: u64,
}

#[derive(Debug, Default)]
pub struct Batches {
    /// In the order of their closing; of each stream at most the last is open.
    batches: VecDeque<Batch>,
    /// Events that are free, with their contexts.
    events: Vec<(usize, usize)>,
    /// How many streams of a number have ended: the driver gives numbers out again.
    ended: BTreeMap<usize, u64>,
}

/// What waits for streams of a context that is being destroyed, and its free events.
#[derive(Debug, Default)]
pub struct PendingFrees {
    batches: VecDeque<Batch>,
    events: Vec<(usize, usize)>,
}

impl PendingFrees {
    /// What was freed, by address and id.
    pub fn starts(&self) -> impl Iterator<Item = (u64, u64)> {
        self.batches.iter().flat_map(|batch| &batch.items).map(|item| (item.start, item.id))
    }
}

impl Batch {
    /// One that waits for all work, whatever its stream.
    pub fn of_no_stream(item: FreedAllocation) -> Self {
        let (stream, fence) = (StreamKey::default(), Fence::AllWork);
        Self { context: 0, stream, age: 0, fence, items: vec![item], bytes: 0 }
    }
}

/// What became of the batches that were asked for.
#[derive(Debug, Default)]
pub struct Reclaimed {
    /// What is free for everybody.
    pub done: Vec<FreedAllocation>,
    /// What still waits.
    pub kept: VecDeque<Batch>,
    /// The events of what is done, with their contexts.
    pub events: Vec<(usize, usize)>,
}

impl Batches {
    fn age(&self, stream: StreamKey) -> u64 {
        self.ended.get(&(stream.number() as usize)).copied().unwrap_or_default()
    }

    /// An allocation of the same size that was freed in the same stream, and did not leave the ledger.
    pub fn reuse(
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
    pub fn add(&mut self, item: FreedAllocation, context: usize, stream: StreamKey) -> Option<Batch> {
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
        // Only this thread can name its own default stream, so its batches are closed at once.
        let is_full = batch.items.len() >= BATCH_ITEMS || batch.bytes >= BATCH_BYTES || stream.is_own();
        if is_full { self.batches.remove(at) } else { None }
    }

    pub fn push(&mut self, batch: Batch) {
        self.batches.push_back(batch);
    }

    /// A free event of a context.
    pub fn take_event(&mut self, context: usize) -> Option<usize> {
        let at = self.events.iter().position(|(of, _)| *of == context)?;
        Some(self.events.swap_remove(at).1)
    }

    pub fn put_event(&mut self, context: usize, event: usize) {
        self.events.push((context, event));
    }

    /// A stream ends. Takes out its open batches.
    pub fn end_stream(&mut self, stream: StreamKey) -> VecDeque<Batch> {
        if self.batches.is_empty() && self.ended.is_empty() {
            return VecDeque::new();
        }
        *self.ended.entry(stream.number() as usize).or_default() += 1;
        self.take_open(|batch| batch.stream == stream)
    }

    /// Takes out the closed batches; with `open`, also the others, which then wait for all work, for their streams may
    /// end meanwhile.
    pub fn take_closed(&mut self, open: bool) -> VecDeque<Batch> {
        let all = std::mem::take(&mut self.batches);
        let (rest, mut closed): (VecDeque<_>, VecDeque<_>) =
            all.into_iter().partition(|batch| batch.fence == Fence::Open && !open);
        self.batches = rest;
        for batch in closed.iter_mut().filter(|batch| batch.fence == Fence::Open) {
            batch.fence = Fence::AllWork;
        }
        closed
    }

    /// Puts back what still waits, before what has come meanwhile, and free events.
    pub fn put_back(&mut self, reclaimed: &mut Reclaimed) {
        reclaimed.kept.append(&mut self.batches);
        self.batches = std::mem::take(&mut reclaimed.kept);
        self.events.append(&mut reclaimed.events);
    }

    /// Takes out everything: all work has ended.
    pub fn take_all(&mut self) -> Vec<FreedAllocation> {
        let all = std::mem::take(&mut self.batches);
        for batch in &all {
            if let Fence::Event(event) = batch.fence {
                self.events.push((batch.context, event));
            }
        }
        all.into_iter().flat_map(|batch| batch.items).collect()
    }

    /// Takes out what waits for streams of a context, and its free events.
    pub fn take_context(&mut self, context: usize) -> PendingFrees {
        let (batches, rest) =
            std::mem::take(&mut self.batches).into_iter().partition(|batch| batch.context == context);
        self.batches = rest;
        let (events, rest) = std::mem::take(&mut self.events).into_iter().partition(|(of, _)| *of == context);
        self.events = rest;
        PendingFrees { batches, events }
    }

    /// The context has stayed.
    pub fn put_back_context(&mut self, pending: PendingFrees) {
        self.batches.extend(pending.batches);
        self.events.extend(pending.events);
    }

    /// Takes out the open batches of which this holds.
    pub fn take_open(&mut self, which: impl Fn(&Batch) -> bool) -> VecDeque<Batch> {
        let all = std::mem::take(&mut self.batches);
        let (open, rest) = all.into_iter().partition(|batch| batch.fence == Fence::Open && which(batch));
        self.batches = rest;
        open
    }
}
