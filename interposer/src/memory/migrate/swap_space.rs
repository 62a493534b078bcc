//! Swap space: files of the scheduler's that this process has mapped, given out in slots, one for each piece.
//!
//! The scheduler owns the files, so that their pages count against nvshare and not against the container. A slot
//! belongs to its piece for the piece's life: a hand-over can then never fail for want of room.
#![allow(unsafe_code)] // maps files, and registers them with the driver
use crate::driver;
use crate::driver::context::Entered;
use crate::memory::ledger::arena::Arena;
use crate::memory::ledger::sizes::GRANULE;
use crate::sys::lock::{Condvar, Mutex, MutexGuard, rank};
use crate::sys::log;
use crate::sys::sync::Deadline;
use crate::sys::syscall;
use nvshare_abi::*;
use nvshare_protocol::Bytes;
use nvshare_protocol::quantity::show_size;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// Asked for on joining, to hear whether there is any, bytes.
const FIRST: u64 = 64 << 20;
/// What nobody needs yet is asked for by as much as there is, and by no more than this at a time, bytes.
const STEP: u64 = 1 << 30;
/// It is asked for ahead when less than a quarter of it all is left, or less than this, bytes.
const LOW: u64 = 256 << 20;
/// A mapping is registered at once. Where its pages are there and clear, that goes at about 30 GB/s (one H200 host), so
/// that the driver keeps other calls of this process waiting for 9 ms; else it is ten times slower.
const SEGMENT: u64 = 256 << 20;
/// How long an allocation waits for the scheduler's answer. Long, for the agent asks between hand-overs, which take
/// seconds while swap space is new.
const ANSWER: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Segment {
    at: u64,
    bytes: u64,
    registered: bool,
}

impl Segment {
    /// Whether its last pages are allocated and clear: the scheduler makes them in their order.
    fn is_made(&self) -> bool {
        let mut page = 0u8;
        let last = (self.at + self.bytes - GRANULE) as *mut c_void;
        // SAFETY: a page of our own mapping, whose size is a multiple of the granule, and one byte for the answer.
        unsafe { libc::mincore(last, 1, &mut page) == 0 && page & 1 == 1 }
    }
}

#[derive(Debug)]
struct SwapState {
    slots: Arena,
    segments: Vec<Segment>,
    /// What the scheduler has granted of the present file, all of it mapped, bytes.
    granted: u64,
    /// What we want of it, and what we have asked for.
    wanted: u64,
    asked: u64,
    /// The largest slot that was wanted, bytes: a mapping is large enough for it.
    largest: u64,
    /// Whether the scheduler that we speak with offers any; none before its answer.
    offered: Option<bool>,
    /// Whether there is a scheduler to ask.
    open: bool,
}

#[derive(Debug)]
pub struct SwapSpace {
    inner: Mutex<SwapState, { rank::SWAP_SPACE }>,
    changed: Condvar,
}

impl Default for SwapSpace {
    fn default() -> Self {
        let inner = SwapState {
            slots: Arena::new(GRANULE),
            segments: Vec::new(),
            granted: 0,
            wanted: 0,
            asked: 0,
            largest: 0,
            offered: None,
            open: false,
        };
        Self { inner: Mutex::new(inner), changed: Condvar::new() }
    }
}

impl SwapSpace {
    fn lock(&self) -> MutexGuard<'_, SwapState> {
        self.inner.lock()
    }

    /// A scheduler that knows of swap space has welcomed us; true if its answer is to be awaited. Swap space of an
    /// earlier scheduler is kept, and more is asked for when it is used up.
    pub fn scheduler_connected(&self) -> bool {
        let mut inner = self.lock();
        inner.open = true;
        let none = inner.segments.is_empty();
        if none {
            inner.wanted = inner.wanted.max(FIRST);
        }
        none
    }

    /// The scheduler is gone. What is mapped stays; what comes next is another file.
    pub fn scheduler_lost(&self) {
        let mut inner = self.lock();
        inner.open = false;
        (inner.granted, inner.wanted, inner.asked) = (0, 0, 0);
        self.changed.notify_all();
    }

    /// The sum to ask the scheduler for, if it has changed since we last asked.
    pub fn next_request(&self) -> Option<u64> {
        let mut inner = self.lock();
        (inner.open && inner.wanted > inner.asked).then(|| {
            inner.asked = inner.wanted;
            inner.wanted
        })
    }

    /// How many bytes of swap space this process has.
    pub fn capacity(&self) -> u64 {
        self.lock().segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The scheduler's answer: so many bytes of its file in all, of which whole granules are used, and what is newly
    /// mapped of them. True if that is all that was asked for.
    ///
    /// # Errors
    /// When the file could not be mapped; its bytes are then not given out.
    pub fn on_grant(&self, bytes: u64, mapped: SwapGrant) -> io::Result<bool> {
        let bytes = FileMapping::whole(bytes);
        let mut inner = self.lock();
        if mapped.anew {
            inner.granted = 0;
        }
        let refused = bytes < inner.asked;
        inner.offered = Some(bytes > 0);
        mapped.mappings.into_iter().for_each(|mapping| inner.add(mapping));
        if refused || mapped.failed.is_some() {
            // Not asked again by itself: the next allocation that lacks room asks.
            (inner.wanted, inner.asked) = (inner.granted, inner.granted);
        }
        self.changed.notify_all();
        mapped.failed.map_or(Ok(!refused), Err)
    }

    /// No mapping of the file is larger, bytes.
    pub fn largest_mapping(&self) -> u64 {
        self.lock().largest.max(SEGMENT)
    }

    /// Whether there is swap space for this process; none while that is not known.
    pub fn offered(&self) -> Option<bool> {
        self.lock().offered
    }

    /// A slot for a piece, whose address is returned; `ask` makes the agent ask for more: for all that the allocation
    /// lacks, `rest` with this piece, so that it waits once. Without a scheduler there is nobody who could take the GPU
    /// away, and a piece may be without a slot.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY` when the scheduler gives no more.
    pub fn allocate_slot(&self, bytes: u64, rest: u64, ask: impl Fn()) -> Result<Option<u64>, CUresult> {
        let deadline = Deadline::after(ANSWER);
        let mut inner = self.lock();
        inner.largest = inner.largest.max(bytes.next_multiple_of(GRANULE));
        // What there was when this call last asked.
        let mut had = None;
        loop {
            if let Some(slot) = inner.slots.alloc(bytes) {
                if inner.open && inner.is_low() && inner.wanted == inner.asked && inner.asked == inner.granted
                {
                    inner.wanted = inner.granted + inner.step(0);
                    drop(inner);
                    ask();
                }
                return Ok(Some(slot));
            }
            if !inner.open || inner.offered == Some(false) {
                return Ok(None);
            }
            if inner.asked == inner.granted {
                // Others may have taken what came: only an answer that brought nothing is a refusal.
                if had == Some(inner.granted) {
                    log::warning!(
                        "the scheduler's swap space is used up: {} more are refused",
                        show_size(Bytes(bytes))
                    );
                    return Err(CUresult::ERROR_OUT_OF_MEMORY);
                }
                had = Some(inner.granted);
                inner.wanted = inner.granted + inner.step(rest.max(bytes));
            } else if inner.wanted < inner.granted + bytes {
                inner.wanted = inner.granted + inner.step(rest.max(bytes));
            }
            let Some(left) = deadline.left() else {
                log::warning!(
                    "the scheduler does not answer for swap space: {} more are refused",
                    show_size(Bytes(bytes))
                );
                return Err(CUresult::ERROR_OUT_OF_MEMORY);
            };
            drop(inner);
            ask();
            inner = self.lock();
            if inner.asked != inner.granted || inner.wanted != inner.asked {
                inner = inner.wait_timeout(&self.changed, left);
            }
        }
    }

    /// So many bytes more are wanted, for slots of at most `largest` bytes. Without effect if there is nobody to ask,
    /// or while an answer is awaited.
    pub fn request(&self, bytes: u64, largest: u64) {
        let mut inner = self.lock();
        if inner.open && inner.offered != Some(false) && inner.wanted == inner.granted {
            inner.largest = inner.largest.max(largest.next_multiple_of(GRANULE));
            inner.wanted = inner.granted + bytes;
        }
    }

    /// A slot out of what there is.
    pub fn try_allocate_slot(&self, bytes: u64) -> Option<u64> {
        self.lock().slots.alloc(bytes)
    }

    /// A slot is several from now on, each of `bytes` but for the last.
    pub fn split(&self, slot: u64, bytes: u64) {
        self.lock().slots.split(slot, bytes);
    }

    /// Gives a slot back.
    pub fn free_slot(&self, slot: u64) {
        let _ = self.lock().slots.free(slot);
    }

    /// Registers the mapping that the slot lies in, so that copies to and from it run at the link's speed; true if one
    /// was. Where the driver refuses, they run slower.
    pub fn register(&self, _context: &Entered<'_>, slot: u64) -> bool {
        let mut inner = self.lock();
        let Some(segment) = inner
            .segments
            .iter_mut()
            .find(|segment| !segment.registered && (segment.at..segment.at + segment.bytes).contains(&slot))
        else {
            return false;
        };
        // SAFETY: our own mapping, which `FileMapping::keep` keeps for the life of the process; `_context` is current.
        let code = unsafe {
            driver::cuMemHostRegister_v2(
                segment.at as *mut c_void,
                segment.bytes as usize,
                CU_MEMHOSTREGISTER_PORTABLE,
            )
        };
        // The error of a context that has ended says nothing of the mapping: it is tried again in another one.
        segment.registered =
            !matches!(code, CUresult::ERROR_CONTEXT_IS_DESTROYED | CUresult::ERROR_INVALID_CONTEXT);
        if segment.registered && code != CUresult::SUCCESS {
            log::warning!("swap space cannot be registered (CUDA error {}): it is slower", code.0);
        }
        segment.registered
    }

    /// Whether some of it is not registered.
    pub fn has_unregistered(&self) -> bool {
        self.lock().segments.iter().any(|segment| !segment.registered)
    }

    /// Registers the next mapping that is not yet, if the scheduler has made its pages; true if one was.
    pub fn register_next(&self, context: &Entered<'_>) -> bool {
        let next = self
            .lock()
            .segments
            .iter()
            .find(|segment| !segment.registered && segment.is_made())
            .map(|s| s.at);
        next.is_some_and(|slot| self.register(context, slot))
    }
}

impl SwapState {
    /// How much more to ask for where so much is needed at once.
    fn step(&self, needed: u64) -> u64 {
        let ahead = self.slots.capacity().clamp(FIRST, STEP);
        // Whole slots of the largest size: what is left of a mapping is of use to smaller ones alone.
        let whole = ahead - ahead.checked_rem(self.largest).unwrap_or(0);
        needed.max(if whole > 0 { whole } else { ahead })
    }

    fn is_low(&self) -> bool {
        self.slots.free_space().1 < (self.slots.capacity() / 4).min(LOW)
    }

    fn add(&mut self, mapping: FileMapping) {
        let (at, bytes) = mapping.keep();
        self.segments.push(Segment { at, bytes, registered: false });
        self.slots.add_region(at, bytes);
        self.granted += bytes;
    }
}

/// What is new of a file of the scheduler's.
pub struct SwapGrant {
    /// It is another file than before.
    pub anew: bool,
    pub mappings: Vec<FileMapping>,
    /// Why the rest of it is not mapped.
    pub failed: Option<io::Error>,
}

/// A part of a file of the scheduler's, mapped until it is dropped.
#[derive(Debug)]
pub struct FileMapping {
    at: u64,
    pub bytes: u64,
}

impl FileMapping {
    /// The whole granules of so many bytes: only these are used.
    pub fn whole(bytes: u64) -> u64 {
        bytes / GRANULE * GRANULE
    }

    /// # Errors
    /// The kernel's.
    pub fn new(file: RawFd, offset: u64, bytes: u64) -> io::Result<Self> {
        let at = syscall::map(file, offset, bytes)?;
        // A forked child has no use for it, and would hold its pages. A core dump would be as large as what the program
        // has on the GPU, and contain it.
        for advice in [libc::MADV_DONTFORK, libc::MADV_DONTDUMP] {
            // SAFETY: the mapping just made.
            unsafe { libc::madvise(at as *mut c_void, bytes as usize, advice) };
        }
        Ok(Self { at, bytes })
    }

    /// It stays for the life of the process: where, and how many bytes.
    fn keep(self) -> (u64, u64) {
        let kept = (self.at, self.bytes);
        std::mem::forget(self);
        kept
    }
}

impl Drop for FileMapping {
    fn drop(&mut self) {
        // SAFETY: a mapping of ours that nobody was told of.
        unsafe { libc::munmap(self.at as *mut c_void, self.bytes as usize) };
    }
}

#[cfg(test)]
mod tests;
