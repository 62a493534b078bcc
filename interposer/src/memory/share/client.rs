//! Asks another process for the pieces behind one of its handles.
use super::handle::IpcHandle;
use crate::sys::guarded_fd::{GuardedFd, Role};
use crate::sys::scm_rights;
use crate::sys::sync::Deadline;
use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

/// A process that hangs up or does not listen is asked again for this long, with this pause: its socket may be about to
/// come back.
const AGAIN: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);
/// How long each answer of the other process may take: it may be waiting for its driver.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pieces behind a handle, in their order, with the bytes of each.
///
/// # Errors
/// The process that gave the handle is gone, or is in another network namespace, or has freed the memory.
pub fn fetch(handle: &IpcHandle) -> io::Result<Vec<(OwnedFd, u64)>> {
    let deadline = Deadline::after(AGAIN);
    loop {
        match attempt(handle) {
            // Too many others connected before we could send our secret, or the socket there is being made anew.
            Err(error) if is_hung_up(&error) && deadline.left().is_some() => std::thread::sleep(PAUSE),
            fetched => return fetched,
        }
    }
}

fn is_hung_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionRefused | ConnectionReset | UnexpectedEof)
}

fn attempt(handle: &IpcHandle) -> io::Result<Vec<(OwnedFd, u64)>> {
    let address = SocketAddr::from_abstract_name(IpcHandle::socket(&handle.server))?;
    let stream = GuardedFd::new(UnixStream::connect_addr(&address)?.into(), false, Role::Brief);
    stream.set_bound(libc::SO_RCVTIMEO, PATIENCE)?;
    stream.set_bound(libc::SO_SNDTIMEO, PATIENCE)?;
    stream.write_all(&handle.secret)?;
    let mut parts = Vec::new();
    loop {
        let (bytes, left, file) = part(&stream)?;
        parts.push((file, bytes));
        if left == 0 {
            return Ok(parts);
        }
    }
}

fn part(stream: &GuardedFd) -> io::Result<(u64, u64, OwnedFd)> {
    let (mut words, mut read, mut file) = ([0; 16], 0, None);
    while read < words.len() {
        let (more, with) = scm_rights::receive(stream.get()?, &mut words[read..])?;
        if more == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the process that gave the handle has nothing to give",
            ));
        }
        read += more;
        file = with.or(file);
    }
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|nth| words[at + nth]));
    let file = file.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no descriptor came along"))?;
    Ok((word(0), word(8), file))
}
