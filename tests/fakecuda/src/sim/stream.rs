//! Streams and events: which work comes after which.
use crate::sim::ipc::Word;
use crate::sim::process::{Inner, Process};
use crate::sim::work::Work;
use nvshare_abi::CUresult;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

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
pub struct Mark {
    end: AtomicU64,
    /// Where other processes see it.
    word: OnceLock<Word>,
    /// Whether the word is another process's, and says it all.
    foreign: bool,
}

const UNFINISHED: u64 = u64::MAX;

impl Mark {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { end: AtomicU64::new(UNFINISHED), word: OnceLock::new(), foreign: false })
    }

    pub fn end(&self) -> Option<u64> {
        let word = self.word.get().filter(|_| self.foreign);
        let end = word.map_or_else(|| self.end.load(Ordering::Acquire), |word| word.load(Ordering::Acquire));
        Some(end).filter(|end| *end != UNFINISHED)
    }

    pub fn set(&self, end: u64) {
        self.end.store(end, Ordering::Release);
        self.word.get().iter().for_each(|word| word.store(end, Ordering::Release));
    }

    /// Lets other processes see it from now on.
    fn show(&self, word: Word) {
        word.store(UNFINISHED, Ordering::Release);
        let _ = self.word.set(word);
        self.end().iter().for_each(|end| word.store(*end, Ordering::Release));
    }

    /// Whether nobody of this process tells of its end: it must be looked at.
    pub fn is_foreign(&self) -> bool {
        self.foreign
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
    /// What it was recorded after: the last work of a stream, or of each stream of a context.
    pub marks: Vec<Arc<Mark>>,
    /// The capture in which it was recorded last.
    pub capture: Option<usize>,
    pub interprocess: bool,
    /// Where other processes see it, and the file that it lies in.
    pub word: Option<(Word, File)>,
}

impl Event {
    pub fn new(flags: u32) -> Self {
        let (timing, interprocess) = (flags & 2 == 0, flags & 4 != 0);
        Self { timing, marks: Vec::new(), capture: None, interprocess, word: None }
    }

    /// Another process's.
    pub fn foreign(word: Word, file: File) -> Self {
        let mark = Mark { end: AtomicU64::new(UNFINISHED), word: OnceLock::from(word), foreign: true };
        Self { marks: vec![Arc::new(mark)], word: Some((word, file)), ..Self::new(6) }
    }

    /// It is recorded after these.
    pub fn record(&mut self, marks: Vec<Arc<Mark>>, capture: Option<usize>) {
        if let (Some((word, _)), Some(mark)) = (&self.word, marks.last()) {
            mark.show(word);
        }
        self.marks = marks;
        self.capture = capture;
    }

    /// When all that it was recorded after had ended. `Some(0)` if it was never recorded.
    pub fn end(&self) -> Option<u64> {
        self.marks.iter().try_fold(0, |latest, mark| Some(mark.end()?.max(latest)))
    }
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

    /// The last work of each stream of a context.
    pub fn last_of(&self, context: usize) -> Vec<Arc<Mark>> {
        let of_it = self.all.values().filter(|stream| stream.context == context);
        of_it.filter_map(|stream| stream.last.clone()).collect()
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
    /// The stream that a handle names; a default one is that of the current context.
    pub fn stream(&mut self, handle: usize, on: Default) -> Result<Key, CUresult> {
        if handle > 2 {
            let key = Key::Made(handle);
            let live = self.streams.all.get(&key).is_some_and(|stream| !stream.doomed);
            return if live { Ok(key) } else { Err(CUresult::ERROR_INVALID_HANDLE) };
        }
        let (context, _) = self.context()?;
        let key = match (handle, on) {
            (0, Default::Legacy) | (1, _) => Key::Legacy(context),
            _ => Key::Thread(context, thread_number()),
        };
        self.streams.all.entry(key).or_insert_with(|| Stream::new(context, true));
        Ok(key)
    }

    /// Puts work at a stream's end. `after` is what it waits for besides.
    pub fn enqueue(&mut self, key: Key, work: Work, now: u64, after: Vec<Arc<Mark>>) -> Arc<Mark> {
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
        let mut inner = self.inner();
        inner.broken.map_or(Ok(()), Err)?;
        let key = inner.stream(handle, on)?;
        if inner.captured(key, &work)? {
            return Ok(None);
        }
        let mark = inner.enqueue(key, work, self.world.now(), Vec::new());
        drop(inner);
        self.work_changed.notify_all();
        Ok(Some(mark))
    }

    /// Waits for marks; the device's error if it broke meanwhile.
    pub fn wait_for(&self, marks: &[Arc<Mark>]) -> Result<(), CUresult> {
        let mut inner = self.inner();
        while let Some(mark) = marks.iter().find(|mark| mark.end().is_none()) {
            inner = if mark.is_foreign() { self.wait_shortly(inner) } else { self.wait(inner) };
        }
        inner.broken.map_or(Ok(()), Err)?;
        drop(inner);
        self.settle_pools(false);
        Ok(())
    }

    /// Waits for all work of a context.
    pub fn synchronize(&self, context: usize) -> Result<(), CUresult> {
        let marks = self.inner().streams.last_of(context);
        self.wait_for(&marks)
    }

    /// Records an event after all work of a context, whatever stream it is in.
    pub fn record_context(&self, context: usize, event: usize) -> Result<(), CUresult> {
        let mut inner = self.inner();
        inner.broken.map_or(Ok(()), Err)?;
        if !inner.contexts.live.contains_key(&context) {
            return Err(CUresult::ERROR_INVALID_CONTEXT);
        }
        inner.disturb(context)?;
        // Without any work it has happened now.
        let now = Mark::new();
        now.set(self.world.now());
        let mut marks = inner.streams.last_of(context);
        marks.push(now);
        let event = inner.streams.events.get_mut(&event).ok_or(CUresult::ERROR_INVALID_HANDLE)?;
        event.record(marks, None);
        Ok(())
    }
}

fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! { static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed); }
    NUMBER.with(|number| *number)
}
