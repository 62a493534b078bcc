//! Descriptors of ours that the program cannot turn into something else. In the program's own table a number is no proof: the
//! program may have closed ours and got the same number for another file. There ours have high numbers, and their file is
//! checked before every use.
#![allow(unsafe_code)] // system calls on descriptors
use super::{scm_rights, syscall};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::*};
use std::time::Duration;

/// How far below the highest number that every program may have, so that those who count up to it by `select` are not
/// disturbed.
const BELOW: u64 = 64;
const HIGHEST: u64 = 1024;
/// How often the descriptor of a silent connection is checked.
pub const CHECK_EVERY: Duration = Duration::from_secs(1);

/// What a descriptor is for. A forked child must not keep the first three open: a connection's end tells the scheduler that
/// a tenant is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The connection to the scheduler.
    Link,
    /// The file of the swap space.
    Swap,
    /// The socket of those that open our memory.
    Ipc,
    /// Anything that is closed before long.
    Brief,
}

/// Our descriptors in the program's table, by their [`Role`].
static REGISTRY: [Registered; 3] = [const { Registered::none() }; 3];

struct Registered {
    fd: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
}

impl Registered {
    const fn none() -> Self {
        Self { fd: AtomicI32::new(-1), device: AtomicU64::new(0), inode: AtomicU64::new(0) }
    }
}

/// Which file a descriptor is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    device: u64,
    inode: u64,
}

impl File {
    /// None: the number is closed.
    pub fn of(fd: RawFd) -> Option<Self> {
        let status = syscall::status(fd).ok()?;
        Some(Self { device: status.st_dev, inode: status.st_ino })
    }
}

#[derive(Debug)]
pub struct GuardedFd {
    fd: RawFd,
    /// Whether it is in a table of our own threads, which the program does not use.
    private: bool,
    /// The file it is of. None: the program had closed it already.
    file: Option<File>,
    role: Role,
}

impl GuardedFd {
    /// `private`: the calling thread's table is not the program's.
    pub fn new(fd: OwnedFd, private: bool, role: Role) -> Self {
        if private {
            return Self { fd: fd.into_raw_fd(), private, file: None, role };
        }
        let fd = raised(fd).into_raw_fd();
        let file = File::of(fd);
        if let Some((entry, file)) = REGISTRY.get(role as usize).zip(file) {
            entry.device.store(file.device, Relaxed);
            entry.inode.store(file.inode, Relaxed);
            entry.fd.store(fd, Release);
        }
        Self { fd, private, file, role }
    }

    /// A socket.
    ///
    /// # Errors
    /// No descriptors are left, or sockets are not allowed.
    pub fn unconnected(private: bool, role: Role) -> io::Result<Self> {
        let fd = syscall::socket()?;
        // SAFETY: just made, and nobody else's.
        Ok(Self::new(unsafe { OwnedFd::from_raw_fd(fd) }, private, role))
    }

    /// Whether it is in a table that the program does not use.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// The number, which is ours.
    ///
    /// # Errors
    /// The program has closed it, or made it something else.
    pub fn get(&self) -> io::Result<RawFd> {
        if !self.private && (self.file.is_none() || File::of(self.fd) != self.file) {
            return Err(io::Error::other("the program has closed a descriptor that is not its own"));
        }
        Ok(self.fd)
    }

    /// How long sending (`SO_SNDTIMEO`) or receiving (`SO_RCVTIMEO`) may take.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn set_bound(&self, which: libc::c_int, bound: Duration) -> io::Result<()> {
        let time = libc::timeval {
            tv_sec: bound.as_secs() as libc::time_t,
            tv_usec: bound.subsec_micros() as libc::suseconds_t,
        };
        let size = size_of_val(&time) as libc::socklen_t;
        // SAFETY: a structure of that size.
        let code =
            unsafe { libc::setsockopt(self.get()?, libc::SOL_SOCKET, which, (&raw const time).cast(), size) };
        if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// # Errors
    /// Nobody is there, or has time within the bound for sending (`WouldBlock`).
    pub fn connect(&self, path: &Path) -> io::Result<()> {
        let (address, length) = address(path)?;
        syscall::connect(self.get()?, &address, length)
    }

    /// # Errors
    /// The other end is gone, or does not take it within the bound.
    pub fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match syscall::send(self.get()?, bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for bytes, and a descriptor that may come along. 0 bytes: the other end has hung up.
    ///
    /// # Errors
    /// The connection's, or as [`Self::get`].
    pub fn receive(&self, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
        if !self.is_private() {
            self.set_bound(libc::SO_RCVTIMEO, CHECK_EVERY)?;
        }
        loop {
            match scm_rights::receive(self.get()?, bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.is_private() => {}
                received => return received,
            }
        }
    }

    /// What has come; `WouldBlock`: nothing.
    ///
    /// # Errors
    /// The connection's, or as [`Self::get`].
    pub fn receive_now(&self, bytes: &mut [u8]) -> io::Result<usize> {
        // SAFETY: so many bytes may be written.
        let read =
            unsafe { libc::recv(self.get()?, bytes.as_mut_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT) };
        usize::try_from(read).map_err(|_| io::Error::last_os_error())
    }

    /// Ends the connection, also for a forked child that has a copy. What was sent can still be read.
    pub fn shut_down(&self) {
        if let Ok(fd) = self.get() {
            // SAFETY: no pointers.
            unsafe { libc::shutdown(fd, libc::SHUT_RDWR) };
        }
    }
}

impl Drop for GuardedFd {
    fn drop(&mut self) {
        if let Ok(fd) = self.get() {
            // The place may be another descriptor's by now. A child checks the file anyway.
            if let Some(entry) = REGISTRY.get(self.role as usize).filter(|_| !self.is_private()) {
                let _ = entry.fd.compare_exchange(fd, -1, AcqRel, Acquire);
            }
            syscall::close(fd);
        }
    }
}

/// In a forked child: closes what it has of ours.
pub fn close_in_child() {
    for entry in &REGISTRY {
        let fd = entry.fd.swap(-1, AcqRel);
        let file = File { device: entry.device.load(Relaxed), inode: entry.inode.load(Relaxed) };
        if fd >= 0 && File::of(fd) == Some(file) {
            // No thread of this child uses it any more.
            syscall::close(fd);
        }
    }
}

/// The same under a high number, if one is to be had.
fn raised(fd: OwnedFd) -> OwnedFd {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a local.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    let least = limit.rlim_cur.min(HIGHEST).saturating_sub(BELOW).max(3);
    // SAFETY: no pointers; what it returns is new.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least as libc::c_int) } {
        ..0 => fd,
        // SAFETY: just made, and nobody else's.
        high => unsafe { OwnedFd::from_raw_fd(high) },
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    #[cfg_attr(miri, ignore = "sockets")]
    fn what_the_program_has_put_in_its_place_is_left_alone() {
        let (ours, _peer) = UnixStream::pair().unwrap();
        let (theirs, mut other) = UnixStream::pair().unwrap();
        let owned = GuardedFd::new(ours.into(), false, Role::Brief);
        assert!(owned.get().unwrap() >= 64, "out of the way");
        // SAFETY: no pointers; the number is ours.
        assert!(unsafe { libc::dup2(theirs.as_raw_fd(), owned.get().unwrap()) } >= 0);
        assert!(owned.get().is_err() && owned.write_all(b"ours").is_err());
        owned.shut_down();
        let number = owned.fd;
        drop(owned);
        assert_eq!(File::of(number), File::of(theirs.as_raw_fd()), "it is still open");
        // SAFETY: of this test alone.
        drop(unsafe { OwnedFd::from_raw_fd(number) });
        drop(theirs);
        assert_eq!(other.read(&mut [0; 8]).unwrap(), 0, "not a byte has come, and nobody has shut it down");
    }

    #[test]
    #[cfg_attr(miri, ignore = "sockets")]
    fn a_silent_connection_that_the_program_has_closed_is_noticed() {
        let (ours, _peer) = UnixStream::pair().unwrap();
        let owned = std::sync::Arc::new(GuardedFd::new(ours.into(), false, Role::Brief));
        let reads = owned.clone();
        let reader = std::thread::spawn(move || reads.receive(&mut [0; 8]).map(|(read, _)| read));
        // SAFETY: no pointers; the number is ours.
        assert_eq!(unsafe { libc::close(owned.fd) }, 0);
        assert!(reader.join().unwrap().is_err());
    }
}
