//! The thread that answers other processes when they open handles of ours. It starts with the first handle.
//!
//! Everybody in the network namespace may connect. A peer that sends nothing delays nobody: the thread waits for all
//! peers at once, and when there are too many, the oldest is dropped.
#![allow(unsafe_code)] // poll(2), accept(2), and the peer's credentials
use super::handle::{IpcHandle, Secret, SocketName};
use crate::sys::guarded_fd::{CHECK_EVERY, GuardedFd, Role};
use crate::sys::random::random;
use crate::sys::sync::Deadline;
use crate::sys::{log, scm_rights, thread};
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

/// So many peers may have connected without having sent their secret.
const MAX_PENDING: usize = 32;
/// A peer that has sent a right secret must take its answer within this time: the others wait meanwhile.
const ANSWER: Duration = Duration::from_secs(2);
/// After a connection that could not be accepted: the process may be short of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The pieces behind a secret, each with its bytes.
type Parts = Vec<(OwnedFd, u64)>;

/// Opens the socket and serves what `given` says is behind a secret; returns its name.
///
/// # Errors
/// No random name, no socket or no thread.
pub fn start(given: impl Fn(&Secret) -> io::Result<Parts> + Send + 'static) -> io::Result<SocketName> {
    let name = random()?;
    let listener = bind(&name)?;
    thread::spawn("nvshare-ipc", move || serve(&name, listener, given))?;
    Ok(name)
}

/// The socket is in the program's table of descriptors, because this thread calls the driver, whose descriptors are
/// there.
fn bind(name: &SocketName) -> io::Result<GuardedFd> {
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(IpcHandle::socket(name))?)?;
    listener.set_nonblocking(true)?;
    Ok(GuardedFd::new(listener.into(), false, Role::Ipc))
}

/// The next peer that has connected.
fn accept(listener: &GuardedFd) -> io::Result<Peer> {
    let (none, flags) = (std::ptr::null_mut(), libc::SOCK_CLOEXEC);
    // SAFETY: no address is asked for.
    let fd = unsafe { libc::accept4(listener.get()?, none, none.cast(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else's.
    Ok(Peer::new(GuardedFd::new(unsafe { OwnedFd::from_raw_fd(fd) }, false, Role::Brief)))
}

/// A connection whose secret has not arrived as a whole.
#[derive(Debug)]
struct Peer {
    stream: GuardedFd,
    /// It runs as another user.
    other_user: bool,
    secret: Secret,
    read: usize,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Also for a child that was forked meanwhile and has a copy. What was sent can still be read.
        self.stream.shut_down();
    }
}

impl Peer {
    fn new(stream: GuardedFd) -> Self {
        let other_user = is_other_user(&stream);
        Self { stream, other_user, secret: Secret::default(), read: 0 }
    }

    /// Reads what has arrived; whether the secret is complete.
    ///
    /// # Errors
    /// The peer has hung up before.
    fn listen(&mut self) -> io::Result<bool> {
        while self.read < self.secret.len() {
            match self.stream.receive_now(&mut self.secret[self.read..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => self.read += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Sends the pieces, one after the other: each with its bytes and how many follow.
    fn answer(&self, parts: &Parts) -> io::Result<()> {
        let deadline = Deadline::after(ANSWER);
        for (nth, (file, bytes)) in parts.iter().enumerate() {
            self.stream.set_bound(libc::SO_SNDTIMEO, deadline.left().ok_or(io::ErrorKind::TimedOut)?)?;
            let left = (parts.len() - nth - 1) as u64;
            let mut words = [0; 16];
            words[..8].copy_from_slice(&bytes.to_le_bytes());
            words[8..].copy_from_slice(&left.to_le_bytes());
            scm_rights::send(self.stream.get()?, &words, file.as_fd())?;
        }
        Ok(())
    }
}

fn is_other_user(stream: &GuardedFd) -> bool {
    let Ok(fd) = stream.get() else { return true };
    let mut who = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    let who_at = (&raw mut who).cast();
    // SAFETY: a structure of that size for the answer.
    let code = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, who_at, &raw mut size) };
    // SAFETY: no pointers.
    code != 0 || who.uid != unsafe { libc::geteuid() }
}

/// Serves peers for the life of the process.
fn serve(name: &SocketName, mut listener: GuardedFd, given: impl Fn(&Secret) -> io::Result<Parts>) -> ! {
    // In the order in which they connected.
    let mut pending: Vec<Peer> = Vec::with_capacity(MAX_PENDING);
    let mut warned = false;
    loop {
        if listener.get().is_err() {
            match bind(name) {
                Ok(again) => (listener, warned) = (again, false),
                Err(error) => {
                    if !std::mem::replace(&mut warned, true) {
                        log::warning!("the program has closed the socket for its memory's handles: {error}");
                    }
                    std::thread::sleep(CHECK_EVERY);
                    continue;
                }
            }
        }
        let mut ready = wait(&listener, &pending).into_iter();
        pending.retain_mut(|peer| ready.next() != Some(true) || serve_peer(peer, &given));
        match accept(&listener) {
            Ok(mut peer) => {
                if serve_peer(&mut peer, &given) {
                    let other_user: Vec<bool> = pending.iter().map(|peer| peer.other_user).collect();
                    match displaced(&other_user, peer.other_user) {
                        Displaced::Nobody => pending.push(peer),
                        Displaced::Newcomer => {}
                        Displaced::One(nth) => {
                            // Its secret may have arrived meanwhile.
                            serve_peer(&mut pending.remove(nth), &given);
                            pending.push(peer);
                        }
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock || listener.get().is_err() => {}
            Err(error) => {
                log::debug!("a process that opens memory of this one: {error}");
                pending.clear();
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Answers a peer if its secret is complete; whether it stays pending.
fn serve_peer(peer: &mut Peer, given: &impl Fn(&Secret) -> io::Result<Parts>) -> bool {
    let heard = peer.listen().and_then(|whole| {
        if whole {
            peer.answer(&given(&peer.secret)?)?;
        }
        Ok(!whole)
    });
    heard.unwrap_or_else(|error| {
        log::debug!("a process that opens memory of this one: {error}");
        false
    })
}

/// Which peer is dropped for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Displaced {
    Nobody,
    Newcomer,
    One(usize),
}

/// The oldest peer of another user, else the oldest of all; a newcomer of another user displaces nobody of ours.
/// `other_user` says it of each pending peer, the oldest first.
fn displaced(other_user: &[bool], newcomer: bool) -> Displaced {
    if other_user.len() < MAX_PENDING {
        return Displaced::Nobody;
    }
    match other_user.iter().position(|other_user| *other_user) {
        Some(nth) => Displaced::One(nth),
        None if newcomer => Displaced::Newcomer,
        None => Displaced::One(0),
    }
}

/// Waits for a connection or for data. The wait is bounded, to look whether the descriptors are still ours: the kernel
/// would go on waiting for the file that a number stood for before. Returns which pending peers are ready; one whose
/// descriptor is not ours any more counts as ready.
fn wait(listener: &GuardedFd, pending: &[Peer]) -> Vec<bool> {
    let interest =
        |of: &GuardedFd| libc::pollfd { fd: of.get().unwrap_or(-1), events: libc::POLLIN, revents: 0 };
    let mut wanted: Vec<_> =
        std::iter::once(listener).chain(pending.iter().map(|peer| &peer.stream)).map(interest).collect();
    let bound =
        if wanted.iter().all(|entry| entry.fd >= 0) { CHECK_EVERY.as_millis() as libc::c_int } else { 0 };
    // SAFETY: so many initialised entries; poll skips a negative descriptor.
    unsafe { libc::poll(wanted.as_mut_ptr(), wanted.len() as libc::nfds_t, bound) };
    wanted[1..].iter().map(|entry| entry.revents != 0 || entry.fd < 0).collect()
}

#[cfg(test)]
mod tests;
