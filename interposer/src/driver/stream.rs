//! Which stream a handle means.
#![allow(unsafe_code)] // asks the driver for a stream's context
use crate::driver;
use nvshare_abi::{CU_STREAM_PER_THREAD, CUresult, CUstream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A stream: its handle, and the thread for a per-thread default stream, whose handle is the same in all threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamKey(usize, u64);

impl StreamKey {
    /// The calling thread's stream of this number.
    pub fn here(stream: CUstream) -> Self {
        static NEXT_THREAD: AtomicU64 = AtomicU64::new(1);
        thread_local! { static THREAD: u64 = NEXT_THREAD.fetch_add(1, Relaxed); }
        let own = stream as usize == CU_STREAM_PER_THREAD;
        Self(stream as usize, if own { THREAD.try_with(|n| *n).unwrap_or_default() } else { 0 })
    }

    /// Whether the calling thread means the same by the number.
    pub fn is_here(self) -> bool {
        self == Self::here(self.number())
    }

    pub fn number(self) -> CUstream {
        self.0 as CUstream
    }

    /// Whether it is a thread's own default stream.
    pub fn is_own(self) -> bool {
        self.0 == CU_STREAM_PER_THREAD
    }

    /// Whether its number means another stream in each context.
    pub fn is_default(self) -> bool {
        self.0 <= CU_STREAM_PER_THREAD
    }

    /// Whether the number is the same, whatever the thread.
    pub fn is_alike(self, other: Self) -> bool {
        self.0 == other.0
    }
}

/// The context of a stream; none for the default ones, which are of the current context.
pub fn context_of(stream: CUstream) -> Option<usize> {
    if StreamKey::here(stream).is_default() {
        return None;
    }
    let mut context = std::ptr::null_mut();
    // SAFETY: the application's own stream, which the driver checks; the pointer is to a local.
    let told = unsafe { driver::cuStreamGetCtx(stream, &mut context) };
    (told == CUresult::SUCCESS && !context.is_null()).then_some(context as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_a_default_stream_of_its_own_and_other_streams_are_everybodys() {
        let (own, named) = (CU_STREAM_PER_THREAD as CUstream, 0x1000 as CUstream);
        let here = (StreamKey::here(own), StreamKey::here(named));
        assert_eq!(here, (StreamKey::here(own), StreamKey::here(named)));
        let there = std::thread::spawn(|| {
            (StreamKey::here(CU_STREAM_PER_THREAD as CUstream), StreamKey::here(0x1000 as CUstream))
        });
        let there = there.join().expect("the thread ends");
        assert_ne!(here.0, there.0);
        assert!(here.0.is_alike(there.0));
        assert!(here.0.is_here() && here.1.is_here() && !there.0.is_here());
        assert_eq!(here.1, there.1);
    }
}
