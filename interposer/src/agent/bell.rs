//! How the application's threads wake the agent: one byte on a socket pair.
#![allow(unsafe_code)] // std has no write that leaves SIGPIPE and blocking out
use crate::process::{BELL, DESCRIPTORS, EAR};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::*};

/// Something changed: an allocation, a device, a call at the shut gate.
#[derive(Debug)]
pub struct Bell {
    rung: std::sync::Arc<AtomicBool>,
    line: UnixStream,
}

/// The agent's end.
#[derive(Debug)]
pub struct Ear {
    rung: std::sync::Arc<AtomicBool>,
    line: UnixStream,
}

pub fn bell() -> io::Result<(Bell, Ear)> {
    let (line, ear) = UnixStream::pair()?;
    ear.set_nonblocking(true)?;
    let rung = std::sync::Arc::new(AtomicBool::new(false));
    Ok((Bell { rung: rung.clone(), line }, Ear { rung, line: ear }))
}

impl Bell {
    /// Wakes the agent, once until it has looked.
    pub fn ring(&self) {
        if !self.rung.swap(true, AcqRel) {
            // SAFETY: a byte of a local and our own descriptor. A full line has woken the agent already.
            unsafe {
                libc::send(
                    self.line.as_raw_fd(),
                    [1_u8].as_ptr().cast(),
                    1,
                    libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
                )
            };
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let _ = DESCRIPTORS[EAR].compare_exchange(self.descriptor(), -1, AcqRel, Acquire);
    }
}

impl Ear {
    /// This pair is the process's own from now on: a forked child closes it.
    pub fn publish(&self, bell: &Bell) {
        DESCRIPTORS[BELL].store(bell.line.as_raw_fd(), Release);
        DESCRIPTORS[EAR].store(self.descriptor(), Release);
    }

    pub fn descriptor(&self) -> RawFd {
        self.line.as_raw_fd()
    }

    /// Takes note of the ringing; what rang afterwards rings again.
    pub fn take(&mut self) {
        use io::Read;
        let mut bytes = [0; 16];
        while matches!(self.line.read(&mut bytes), Ok(n) if n > 0) {}
        // A swap, so that what was written before a ring that sent no byte is seen after this.
        self.rung.swap(false, AcqRel);
    }
}
