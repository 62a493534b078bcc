//! The streams that the application captures. A call that waits for a whole context disturbs a capture in it, whatever
//! thread makes it (`tests/gpu/scripts/facts.sh`, driver 580.159.04: error 900 for the caller, 901 for the capture's owner, in all
//! three modes). We make such calls only while there is no capture.
#![allow(unsafe_code)] // one driver call, on our own threads
use super::stream::StreamKey;
use crate::driver;
use crate::sys::lock::{Condvar, Mutex, MutexGuard, rank};
use nvshare_abi::{CUresult, CUstream};
use std::sync::atomic::{AtomicUsize, Ordering::*};

/// Whether the driver has refused a call because of a capture.
pub fn is_refusal(code: CUresult) -> bool {
    (CUresult::ERROR_STREAM_CAPTURE_UNSUPPORTED.0..=CUresult::ERROR_STREAM_CAPTURE_WRONG_THREAD.0)
        .contains(&code.0)
}

/// From now on this thread's calls do not disturb captures that other threads have begun.
pub fn relax_mode() {
    let mut mode = nvshare_abi::CU_STREAM_CAPTURE_MODE_RELAXED;
    // SAFETY: the pointer is to a local; the mode is this thread's own.
    unsafe { driver::cuThreadExchangeStreamCaptureMode(&mut mode) };
}

#[derive(Debug, Default)]
pub struct Captures {
    /// Each with the context in which it was begun.
    streams: Mutex<Vec<(StreamKey, usize)>, { rank::CAPTURES }>,
    count: AtomicUsize,
    ended: Condvar,
}

/// A capture that is about to begin. While this lives nothing of ours runs that would disturb it.
pub struct Beginning<'a> {
    captures: &'a Captures,
    streams: MutexGuard<'a, Vec<(StreamKey, usize)>>,
}

impl Beginning<'_> {
    /// The driver has begun it, in this context.
    pub fn begun(mut self, stream: CUstream, context: usize) {
        self.streams.push((StreamKey::here(stream), context));
        self.captures.count.store(self.streams.len(), Release);
    }
}

impl Captures {
    pub fn begin(&self) -> Beginning<'_> {
        Beginning { captures: self, streams: self.streams.lock() }
    }

    /// The capture of this stream is over, if there was one.
    pub fn end(&self, stream: CUstream) {
        if !self.any() {
            return;
        }
        let key = StreamKey::here(stream);
        self.change(|streams| {
            // One thread may end the capture of another's per-thread stream.
            let at = streams.iter().position(|(known, _)| *known == key);
            let at = at.or_else(|| streams.iter().position(|(known, _)| known.is_alike(key)));
            at.map(|at| streams.remove(at));
        });
    }

    /// Captures end with their context.
    pub fn forget(&self, context: usize) {
        if self.any() {
            self.change(|streams| streams.retain(|(_, of)| *of != context));
        }
    }

    fn change(&self, act: impl FnOnce(&mut Vec<(StreamKey, usize)>)) {
        let mut streams = self.streams.lock();
        act(&mut streams);
        self.count.store(streams.len(), Release);
        self.ended.notify_all();
    }

    pub fn any(&self) -> bool {
        self.count.load(Acquire) > 0
    }

    /// Does `act` while no capture can begin, if there is none; `act` must be short.
    pub fn while_none<R>(&self, act: impl FnOnce() -> R) -> Option<R> {
        let streams = self.streams.lock();
        streams.is_empty().then(act)
    }

    /// Waits until there is no capture.
    pub fn wait_for_none(&self) {
        let mut streams = self.streams.lock();
        while !streams.is_empty() {
            streams = streams.wait(&self.ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_beside_a_capture_and_its_end_is_awaited() {
        let captures = Captures::default();
        assert_eq!(captures.while_none(|| 1), Some(1));
        captures.begin().begun(8 as CUstream, 1);
        drop(captures.begin());
        assert!(captures.any());
        assert_eq!(captures.while_none(|| 1), None);
        std::thread::scope(|scope| {
            scope.spawn(|| captures.wait_for_none());
            captures.end(9 as CUstream);
            assert!(captures.any());
            captures.end(8 as CUstream);
        });
        assert_eq!(captures.while_none(|| 1), Some(1));
    }

    #[test]
    fn captures_of_two_threads_own_streams_end_one_by_one_and_with_their_context() {
        let captures = Captures::default();
        let own = nvshare_abi::CU_STREAM_PER_THREAD as CUstream;
        captures.begin().begun(own, 1);
        std::thread::scope(|scope| {
            scope.spawn(|| captures.begin().begun(nvshare_abi::CU_STREAM_PER_THREAD as CUstream, 2));
        });
        captures.end(own);
        assert!(captures.any(), "the other thread's goes on");
        captures.forget(1);
        assert!(captures.any());
        captures.forget(2);
        assert!(!captures.any());
    }
}
