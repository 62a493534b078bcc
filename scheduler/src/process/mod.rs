//! Processes of the host, held by a descriptor (pidfd), so that a pid that is used again is never mistaken for the process
//! that had it.
#![allow(unsafe_code)] // pidfd_open has no safe wrapper
pub mod state;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerPidfd};
pub use state::Family;
use state::{field, is_ending, stat};
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Between two polls where the end of a process cannot be waited for.
const LOOK: Duration = Duration::from_secs(1);

/// Identifies a process as long as the machine runs: its pid, and when it started, in ticks since the boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub pid: u32,
    /// 0: `/proc` does not show it (hidepid); then the pid alone identifies it, while it lives.
    pub start: u64,
}

/// A process that lived when this was made.
#[derive(Debug)]
pub struct Process {
    pub key: Key,
    pidfd: OwnedFd,
}

impl Process {
    /// The process that connected `socket`.
    ///
    /// Linux 6.5 and newer hand out its descriptor (`SO_PEERPIDFD`). Before that the pid is opened, and must not belong
    /// to a process that started after this call: one that started between the connection and this call would be taken
    /// for the peer.
    ///
    /// # Errors
    /// Where the process has ended already, or it cannot be known.
    pub fn of_peer(socket: &impl AsFd, pid: u32) -> io::Result<Self> {
        match getsockopt(socket, PeerPidfd) {
            Ok(pidfd) => Self::held(pid, pidfd),
            Err(Errno::ENOPROTOOPT) => {
                let now = ticks_since_boot()?;
                let process = Self::open(pid)?;
                if process.key.start > now {
                    return Err(Errno::ESRCH.into());
                }
                Ok(process)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The process that has this pid now.
    ///
    /// # Errors
    /// Where there is none.
    pub fn open(pid: u32) -> io::Result<Self> {
        // SAFETY: a system call that takes two numbers and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows of it.
        Self::held(pid, unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    }

    /// What `/proc` shows for the pid belongs to the process as long as it lives.
    fn held(pid: u32, pidfd: OwnedFd) -> io::Result<Self> {
        let stat = stat(Path::new(&format!("/proc/{pid}")));
        let start = stat.and_then(|stat| start(&stat)).unwrap_or(0);
        let process = Self { key: Key { pid, start }, pidfd };
        if process.has_ended() { Err(Errno::ESRCH.into()) } else { Ok(process) }
    }

    /// Whether all its threads have ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let mut polled = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::ZERO).is_ok_and(|n| n > 0)
    }

    /// Whether it has ended, or is about to and can do nothing about it.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        // The number is its own as long as it has not ended.
        is_ending(self.key.pid, Path::new("/proc")) || self.has_ended()
    }

    /// Returns when the process has ended.
    pub async fn ended(&self) {
        // A descriptor of its own: each can be waited for only once.
        let waiting = self.pidfd.try_clone().and_then(|pidfd| {
            // SAFETY: an owned descriptor is the same one, and open, for as long as it is registered.
            unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }.map_err(Into::into)
        });
        if let Ok(pidfd) = waiting
            && pidfd.readable().await.is_ok()
        {
            return;
        }
        // No descriptor is left.
        while !self.has_ended() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// When the process started, in [`Key::start`]'s unit.
fn start(stat: &str) -> Option<u64> {
    field(stat, 22)?.parse().ok()
}

/// The unit of [`Key::start`].
fn ticks_since_boot() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/uptime")?;
    let seconds: f64 =
        text.split(' ').next().and_then(|word| word.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    /// The kernel's own word to programs, whatever its clock runs at.
    const TICKS: f64 = 100.0;
    // The uptime is cut to the hundredth, as the start is.
    Ok((seconds * TICKS).round() as u64 + 1)
}

/// Where the process with this pid comes from; none: there is none.
#[must_use]
pub fn family(pid: u32) -> Option<Family> {
    state::family(Path::new(&format!("/proc/{pid}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    #[test]
    fn the_start_stands_behind_any_name() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        assert_eq!(start(&format!("7 (python3) {rest}")), Some(4711));
        assert_eq!(start(&format!("7 (a) S 1 (b) {rest}")), Some(4711));
        assert_eq!(start("7 (a) S 1"), None);
        assert_eq!(start("nonsense"), None);
    }

    #[test]
    fn the_peer_of_our_own_socket_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = Process::of_peer(&one, std::process::id()).unwrap();
        assert_eq!(peer.key, Process::open(std::process::id()).unwrap().key);
        assert!(!peer.has_ended());
        assert!(peer.key.start <= ticks_since_boot().unwrap());
    }

    #[tokio::test]
    async fn an_end_is_seen_by_all_who_wait() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let process = Process::open(child.id()).unwrap();
        assert!(!process.has_ended());
        drop(child.stdin.take());
        tokio::join!(process.ended(), process.ended());
        assert!(process.has_ended());
        let pid = child.id();
        child.wait().unwrap();
        assert!(Process::open(pid).map(|other| other.key).ok() != Some(process.key));
    }
}
