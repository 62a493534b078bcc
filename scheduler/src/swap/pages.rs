//! Allocates and frees the pages of swap space, in two threads, so that the loop does not wait for it.
//!
//! Each file has one job at most, which grows with what is wanted of it. Jobs take turns in small steps, so that a small
//! tenant does not wait behind a large one. Allocating takes 0.2 s a GiB (one H200 host, 2026-11-24). The pages are cleared
//! here, because the tenant's driver would clear them slowly, and with its locks held, when it registers them.
#![allow(unsafe_code)] // maps the pages in order to clear them
use crate::identity::Owner;
use crate::text;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

const THREADS: usize = 2;
/// Bytes allocated in one step.
const ALLOCATE_STEP: u64 = 16 << 20;
/// Bytes freed in one step; that is ten times faster.
const FREE_STEP: u64 = 1 << 30;

/// What has been freed, and whom it was charged to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freed {
    pub bytes: u64,
    pub owners: Vec<Owner>,
}

/// What the threads report.
#[derive(Debug)]
pub enum PageEvent {
    Freed(Freed),
    /// Pages could not be allocated ahead: they are allocated when they are used.
    Failed(String),
}

#[derive(Debug)]
enum Work {
    /// Until nobody has the file any more.
    Allocate(Weak<OwnedFd>),
    Free(Arc<OwnedFd>, Freed),
}

#[derive(Debug)]
struct Job {
    work: Work,
    at: u64,
    end: u64,
}

#[derive(Debug, Default)]
struct State {
    jobs: HashMap<u64, Job>,
    /// The jobs that no thread works on, in turn.
    waiting: VecDeque<u64>,
    over: bool,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads; dropped, they end.
pub struct PageAllocator(Arc<Queue>);

impl fmt::Debug for PageAllocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PageAllocator").finish_non_exhaustive()
    }
}

impl PageAllocator {
    /// Starts the threads, which tell `say`.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn start(say: impl Fn(PageEvent) + Clone + Send + 'static) -> io::Result<Self> {
        let pages = Self(Arc::default());
        for _ in 0..THREADS {
            let (queue, say) = (Arc::clone(&pages.0), say.clone());
            std::thread::Builder::new().name("nvshare-swap".into()).spawn(move || serve(&queue, &say))?;
        }
        Ok(pages)
    }

    /// Allocates the pages of the file `number` up to `end`; from `at` on, if it has no job yet.
    pub fn allocate(&self, number: u64, file: &Arc<OwnedFd>, at: u64, end: u64) {
        self.add(number, Job { work: Work::Allocate(Arc::downgrade(file)), at, end });
    }

    /// Frees the pages of the file `number`, even if others have it open.
    pub fn free(&self, number: u64, file: Arc<OwnedFd>, freed: Freed) {
        let end = nix::sys::stat::fstat(&*file).map_or(0, |found| u64::try_from(found.st_size).unwrap_or(0));
        self.add(number, Job { work: Work::Free(file, freed), at: 0, end });
    }

    fn add(&self, number: u64, job: Job) {
        let mut state = self.0.lock();
        match (state.jobs.get_mut(&number), &job.work) {
            (Some(known), Work::Allocate(_)) => known.end = known.end.max(job.end),
            // A thread that works on it ends its step and goes on with this job.
            (Some(known), Work::Free(..)) => *known = job,
            (None, _) => {
                state.jobs.insert(number, job);
                state.waiting.push_back(number);
                self.0.changed.notify_one();
            }
        }
    }
}

impl Drop for PageAllocator {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.changed.notify_all();
    }
}

/// One step, as a thread takes it out.
enum Step {
    Allocate(Arc<OwnedFd>, u64, u64),
    Free(Arc<OwnedFd>, u64, u64),
    /// The job is done.
    Done(Option<Freed>),
}

impl Job {
    fn step(&mut self) -> Step {
        let most = if matches!(self.work, Work::Allocate(_)) { ALLOCATE_STEP } else { FREE_STEP };
        let bytes = most.min(self.end.saturating_sub(self.at));
        let at = self.at;
        self.at += bytes;
        match &self.work {
            Work::Allocate(file) => match file.upgrade().filter(|_| bytes > 0) {
                Some(file) => Step::Allocate(file, at, bytes),
                None => Step::Done(None),
            },
            Work::Free(_, freed) if bytes == 0 => Step::Done(Some(freed.clone())),
            Work::Free(file, _) => Step::Free(Arc::clone(file), at, bytes),
        }
    }
}

fn serve(queue: &Queue, say: &impl Fn(PageEvent)) {
    loop {
        let mut state = queue.lock();
        let number = loop {
            if state.over {
                return;
            }
            match state.waiting.pop_front() {
                Some(number) => break number,
                None => state = queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        };
        let Some(step) = state.jobs.get_mut(&number).map(Job::step) else { continue };
        let over = matches!(step, Step::Done(_));
        if over {
            state.jobs.remove(&number);
        }
        drop(state);
        let done = take(step, say);
        if over {
            continue;
        }
        // Until then nobody else is at this file.
        let mut state = queue.lock();
        if done.is_err() && matches!(state.jobs.get(&number), Some(Job { work: Work::Allocate(_), .. })) {
            state.jobs.remove(&number);
        } else {
            state.waiting.push_back(number);
        }
    }
}

fn take(step: Step, say: &impl Fn(PageEvent)) -> nix::Result<()> {
    match step {
        Step::Allocate(file, at, bytes) => populate(&file, at, bytes).inspect_err(|error| {
            let size = text::memory(bytes);
            say(PageEvent::Failed(format!("swap space of {size} cannot be allocated ahead: {error}")));
        }),
        Step::Free(file, at, bytes) => punch(&file, at, bytes).inspect_err(|error| {
            let size = text::memory(bytes);
            say(PageEvent::Failed(format!("swap space of {size} cannot be given back: {error}")));
        }),
        Step::Done(freed) => {
            freed.into_iter().for_each(|freed| say(PageEvent::Freed(freed)));
            Ok(())
        }
    }
}

fn punch(file: &OwnedFd, at: u64, bytes: u64) -> nix::Result<()> {
    let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    fallocate(file, hole, at as i64, bytes as i64)
}

/// Makes the kernel allocate and clear those pages that are not there yet. Nothing is written to those that are in use.
fn populate(file: &OwnedFd, at: u64, bytes: u64) -> nix::Result<()> {
    let Some(length) = usize::try_from(bytes).ok().and_then(NonZeroUsize::new) else { return Ok(()) };
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice, which nobody else knows of and nothing is read from or
    // written to; its file cannot be shortened.
    let mapped = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, file, at as i64) }?;
    // SAFETY: the mapping just made; populating it changes no byte.
    let done = unsafe { madvise(mapped, length.get(), MmapAdvise::MADV_POPULATE_WRITE) };
    // SAFETY: the mapping just made, which has been given to nobody.
    unsafe { munmap(mapped, length.get()) }?;
    if done != Err(Errno::EINVAL) {
        return done;
    }
    // Kernels before 5.14 cannot: the pages are only allocated, and cleared when the tenant uses them.
    fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, at as i64, bytes as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use std::sync::mpsc;

    fn file(bytes: u64) -> Arc<OwnedFd> {
        let file = memfd_create("test", MFdFlags::MFD_CLOEXEC).unwrap();
        nix::unistd::ftruncate(&file, bytes as i64).unwrap();
        Arc::new(file)
    }

    fn made(file: &OwnedFd) -> u64 {
        nix::sys::stat::fstat(file).unwrap().st_blocks as u64 * 512
    }

    #[test]
    fn allocating_ahead_changes_no_byte_and_fills_every_page() {
        use std::os::unix::fs::FileExt as _;
        let owned = file(8 << 20);
        let tenants: std::fs::File = owned.try_clone().unwrap().into();
        tenants.write_all_at(b"the tenant's", 5000).unwrap();
        populate(&owned, 0, 8 << 20).unwrap();
        assert_eq!(made(&owned), 8 << 20);
        let mut read = [0; 12];
        tenants.read_exact_at(&mut read, 5000).unwrap();
        assert_eq!(&read, b"the tenant's");
    }

    #[test]
    fn what_is_given_back_is_gone_for_whoever_keeps_the_file() {
        let (send, said) = mpsc::channel();
        let pages = PageAllocator::start(move |word| send.send(word).unwrap()).unwrap();
        let (kept, freed) = (file(8 << 20), Freed { bytes: 8 << 20, owners: vec![Owner::User(1)] });
        pages.allocate(1, &kept, 0, 4 << 20);
        pages.allocate(1, &kept, 0, 8 << 20);
        pages.free(1, Arc::clone(&kept), freed.clone());
        let Ok(PageEvent::Freed(word)) = said.recv() else { panic!() };
        assert_eq!((word, made(&kept)), (freed, 0));
    }

    #[test]
    fn jobs_are_as_many_as_files_and_take_turns() {
        let (large, small) = (file(1 << 30), file(2 << 20));
        let queue = Queue::default();
        let pages = PageAllocator(Arc::new(queue));
        (1..=500).for_each(|n| pages.allocate(1, &large, 0, n << 21));
        pages.allocate(2, &small, 0, 2 << 20);
        let mut state = pages.0.lock();
        assert_eq!((state.jobs.len(), state.waiting.len()), (2, 2));
        let Step::Allocate(_, 0, bytes) = state.jobs.get_mut(&1).unwrap().step() else { panic!() };
        assert_eq!(bytes, ALLOCATE_STEP, "then it is the other one's turn");
        drop(small);
        assert!(matches!(state.jobs.get_mut(&2).unwrap().step(), Step::Done(None)));
    }
}
