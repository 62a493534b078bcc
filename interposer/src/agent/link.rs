//! The connection to the scheduler.
#![allow(unsafe_code)] // poll(2)
use super::bell::Ear;
use crate::process::DESCRIPTORS;
use nvshare_protocol::frame::{self, Received};
use nvshare_protocol::tenant::{ToScheduler, ToTenant};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::Ordering::Release;
use std::time::Duration;

/// A scheduler that does not take our few bytes for so long is as good as gone.
const SEND_BOUND: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Link {
    stream: UnixStream,
    reader: frame::Reader,
}

impl Link {
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_write_timeout(Some(SEND_BOUND))?;
        DESCRIPTORS[2].store(stream.as_raw_fd(), Release);
        Ok(Self { stream, reader: frame::Reader::default() })
    }

    pub fn send(&mut self, message: &ToScheduler) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(128);
        frame::write(message, &mut bytes);
        self.stream.write_all(&bytes)
    }

    /// Reads once, without waiting longer than for what `wait` has announced.
    pub fn receive(&mut self) -> io::Result<Vec<ToTenant>> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes)? {
            0 => {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the scheduler closed the connection",
                ));
            }
            n => self.reader.feed(&bytes[..n]),
        }
        let mut messages = Vec::new();
        while let Some(received) = self.reader.next().map_err(io::Error::other)? {
            match received {
                Received::Message(message) => messages.push(message),
                Received::Unknown => crate::log::debug!("a message of a newer scheduler, skipped"),
            }
        }
        Ok(messages)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        DESCRIPTORS[2].store(-1, Release);
    }
}

/// Waits for the bell, for the scheduler's word, or for `bound`; true if the scheduler has said something.
pub fn wait(ear: &mut Ear, link: Option<&Link>, bound: Duration) -> bool {
    let interest = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut wanted = [interest(ear.descriptor()), interest(link.map_or(-1, |link| link.stream.as_raw_fd()))];
    let millis = i32::try_from(bound.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
    // SAFETY: two initialised entries; poll skips a negative descriptor.
    let ready = unsafe { libc::poll(wanted.as_mut_ptr(), 2, millis) };
    if ready > 0 && wanted[0].revents != 0 {
        ear.take();
    }
    ready > 0 && wanted[1].revents != 0
}
