//! Streams and events: which work comes after which.
use crate::sim::process::{Inner, Process};
use crate::sim::work::Work;
use nvshare_abi::CUresult;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names a stream. The default ones belong to a context, or to a context and a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Made(usize),
    Legacy(usize),
    Thread(usize, u64),
}

/// What a null handle means: `_ptsz` and `_ptds` symbols say the thread's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    Legacy,
    Thread,
}

/// When something ended: simulated nanoseconds.
pub struct Mark(AtomicU64);

impl Mark {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(u64::MAX)))
    }
    pub fn end(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Acquire)).filter(|end| *end != u64::MAX)
    }
    pub fn set(&self, end: u64) {
        self.0.store(end, Ordering::Release);
    }
}

/// One piece of submitted work.
pub struct Op {
    pub work: Work,
    pub device: usize,
    pub submitted: u64,
    pub after: Vec<Arc<Mark>>,
    pub mark: Arc<Mark>,
    /// Start and end, once it runs.
    pub running: Option<(u64, u64)>,
}

pub struct Stream {
    pub context: usize,
    /// Keeps order with the legacy default stream.
    pub blocking: bool,
    /// Destroyed, with work left.
    pub doomed: bool,
    pub queue: VecDeque<Op>,
    pub last: Option<Arc<Mark>>,
    /// The capture that it takes part in.
    pub capture: Option<usize>,
}

pub struct Event {
    pub timing: bool,
    pub mark: Option<Arc<Mark>>,
    /// The capture in which it was recorded last.
    pub capture: Option<usize>,
}

#[derive(Default)]
pub struct Streams {
    pub all: BTreeMap<Key, Stream>,
    pub events: BTreeMap<usize, Event>,
}

impl Streams {
    /// Forgets the streams of a context that has ended.
    pub fn forget(&mut self, context: usize) {
        self.all.retain(|_, stream| stream.context != context);
    }

    /// The streams of a context whose work the given one must wait for.
    fn others(&self, key: Key, context: usize) -> Vec<Arc<Mark>> {
        let legacy = matches!(key, Key::Legacy(_));
        let before = |other: &Key, stream: &Stream| {
            stream.context == context
                && if legacy { stream.blocking } else { matches!(other, Key::Legacy(_)) }
        };
        let found = self.all.iter().filter(|(other, stream)| **other != key && before(other, stream));
        found.filter_map(|(_, stream)| stream.last.clone()).filter(|mark| mark.end().is_none()).collect()
    }
}

impl Inner {
    /// The stream that a handle names.
    pub fn stream(&mut self, handle: usize, on: Default, context: usize) -> Result<Key, CUresult> {
        let key = match (handle, on) {
            (0, Default::Legacy) | (1, _) => Key::Legacy(context),
            (0, Default::Thread) | (2, _) => Key::Thread(context, thread_number()),
            _ => Key::Made(handle),
        };
        if let Key::Made(_) = key {
            let live = self.streams.all.get(&key).is_some_and(|stream| !stream.doomed);
            return if live { Ok(key) } else { Err(CUresult::ERROR_INVALID_HANDLE) };
        }
        self.streams.all.entry(key).or_insert_with(|| Stream::new(context, true));
        Ok(key)
    }

    /// Puts work at a stream's end. `after` is what it waits for besides.
    pub fn enqueue(&mut self, key: Key, work: Work, now: u64, after: Option<Arc<Mark>>) -> Arc<Mark> {
        let context = self.streams.all[&key].context;
        let device = self.contexts.live.get(&context).map_or(0, |context| context.device);
        let blocking = self.streams.all[&key].blocking;
        let mut before = if blocking { self.streams.others(key, context) } else { Vec::new() };
        before.extend(after);
        let stream = self.streams.all.get_mut(&key).expect("looked up above");
        before.extend(stream.last.take());
        let mark = Mark::new();
        stream.last = Some(mark.clone());
        let op = Op { work, device, submitted: now, after: before, mark: mark.clone(), running: None };
        stream.queue.push_back(op);
        mark
    }
}

impl Stream {
    pub fn new(context: usize, blocking: bool) -> Self {
        Self { context, blocking, doomed: false, queue: VecDeque::new(), last: None, capture: None }
    }
}

impl Process {
    /// Submits work to a stream, or adds it to the capture that the stream takes part in.
    pub fn submit(&self, handle: usize, on: Default, work: Work) -> Result<Option<Arc<Mark>>, CUresult> {
        let (context, _) = self.context()?;
        let mut inner = self.inner();
        inner.broken.map_or(Ok(()), Err)?;
        let key = inner.stream(handle, on, context)?;
        if inner.captured(key, &work)? {
            return Ok(None);
        }
        let mark = inner.enqueue(key, work, self.world.now(), None);
        drop(inner);
        self.bell.notify_all();
        Ok(Some(mark))
    }

    /// Waits for marks; the device's error if it broke meanwhile.
    pub fn wait_for(&self, marks: &[Arc<Mark>]) -> Result<(), CUresult> {
        let mut inner = self.inner();
        while marks.iter().any(|mark| mark.end().is_none()) {
            inner = self.wait(inner);
        }
        inner.broken.map_or(Ok(()), Err)
    }

    /// Waits for all work of a context.
    pub fn synchronize(&self, context: usize) -> Result<(), CUresult> {
        let inner = self.inner();
        let streams = inner.streams.all.values().filter(|stream| stream.context == context);
        let marks: Vec<_> = streams.filter_map(|stream| stream.last.clone()).collect();
        drop(inner);
        self.wait_for(&marks)
    }
}

fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! { static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed); }
    NUMBER.with(|number| *number)
}
