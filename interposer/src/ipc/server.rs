//! Who answers those that open our handles: one thread, from the first handle on.
#![allow(unsafe_code)] // descriptors that a forked child must close
use super::ticket::{Name, Secret, Ticket};
use crate::process::{DESCRIPTORS, IPC, Process};
use crate::random::random;
use crate::{agent, descriptors, log};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::Ordering::Release;
use std::time::Duration;

/// Who connects and says nothing, or reads nothing, keeps others waiting for so long at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// Opens the socket and serves it; returns its name.
///
/// # Errors
/// No random name, no socket or no thread.
pub fn start(process: &'static Process) -> io::Result<Name> {
    let name = random()?;
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(Ticket::socket(&name))?)?;
    DESCRIPTORS[IPC].store(listener.as_raw_fd(), Release);
    agent::spawn_quietly("nvshare-ipc", move || {
        loop {
            let answered = listener.accept().and_then(|(peer, _)| answer(process, peer));
            if let Err(error) = answered {
                log::debug!("a process that opens memory of this one: {error}");
            }
        }
    })?;
    Ok(name)
}

/// Takes a secret and gives the pieces behind it, one after the other: each with its bytes and how many follow.
fn answer(process: &Process, mut peer: UnixStream) -> io::Result<()> {
    peer.set_read_timeout(Some(PATIENCE))?;
    peer.set_write_timeout(Some(PATIENCE))?;
    let mut secret = Secret::default();
    peer.read_exact(&mut secret)?;
    let Some((start, id)) = process.ipc.given(&secret) else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "nothing was given under its secret"));
    };
    let parts = process
        .memory
        .export(start, id)
        .map_err(|code| io::Error::other(format!("its memory cannot be exported (CUDA error {})", code.0)))?;
    for (nth, (file, bytes)) in parts.iter().enumerate() {
        let left = (parts.len() - nth - 1) as u64;
        let mut words = [0; 16];
        words[..8].copy_from_slice(&bytes.to_le_bytes());
        words[8..].copy_from_slice(&left.to_le_bytes());
        descriptors::send(peer.as_raw_fd(), &words, file.as_fd())?;
    }
    Ok(())
}
