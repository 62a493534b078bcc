//! The connection to the scheduler.
#![allow(unsafe_code)] // poll(2), and a connect(2) with a bound
use super::bell::Ear;
use crate::descriptors;
use crate::process::{DESCRIPTORS, LINK};
use nvshare_protocol::frame::{self, Received};
use nvshare_protocol::tenant::{ToScheduler, ToTenant};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
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
    /// A file that came before the message that it belongs to was whole.
    file: Option<OwnedFd>,
}

impl Link {
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let link = Self { stream: unconnected()?, reader: frame::Reader::default(), file: None };
        // Bounds the connecting too: a scheduler that hangs with a full backlog would hold us for ever.
        link.stream.set_write_timeout(Some(SEND_BOUND))?;
        DESCRIPTORS[LINK].store(link.stream.as_raw_fd(), Release);
        let (address, length) = address(socket)?;
        // SAFETY: an initialised address of that length, and our own socket.
        match unsafe { libc::connect(link.stream.as_raw_fd(), (&raw const address).cast(), length) } {
            0 => Ok(link),
            _ => Err(io::Error::last_os_error()),
        }
    }

    pub fn send(&mut self, message: &ToScheduler) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(128);
        frame::write(message, &mut bytes);
        self.stream.write_all(&bytes)
    }

    /// Reads once, without waiting longer than for what `wait` has announced.
    ///
    /// A file that came along goes with the first message that can carry one.
    pub fn receive(&mut self) -> io::Result<Vec<(ToTenant, Option<OwnedFd>)>> {
        let mut bytes = [0; 4096];
        let (read, file) = descriptors::receive(self.stream.as_raw_fd(), &mut bytes)?;
        if file.is_some() {
            self.file = file;
        }
        match read {
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
                Received::Message(message) => {
                    let file = if matches!(message, ToTenant::Swap(_)) { self.file.take() } else { None };
                    messages.push((message, file));
                }
                Received::Unknown => crate::log::debug!("a message of a newer scheduler, skipped"),
            }
        }
        Ok(messages)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Ends the connection for a child too that was forked before it could close its copy.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        DESCRIPTORS[LINK].store(-1, Release);
    }
}

fn unconnected() -> io::Result<UnixStream> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else's.
    Ok(unsafe { UnixStream::from_raw_fd(fd) })
}

fn address(socket: &Path) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    let path = socket.as_os_str().as_bytes();
    // SAFETY: all zeros is a valid value of this plain structure.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    if path.len() >= address.sun_path.len() || path.contains(&0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path is too long for a socket (107 bytes)",
        ));
    }
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = *from as libc::c_char;
    }
    Ok((address, size_of::<libc::sockaddr_un>() as libc::socklen_t))
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
