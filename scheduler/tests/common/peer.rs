//! A process that has connected a socket, and does nothing more: to the daemon, whoever speaks over that socket is it.
#![allow(unsafe_code)] // a fork, after which only system calls are made
use nix::libc;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Dropped, it is killed.
pub struct Peer {
    pid: libc::pid_t,
    /// The child waits for the end of this, which comes with the end of the test too.
    _life: UnixStream,
}

impl Peer {
    /// The stream that a new process of the user `uid` (none: the test's) has connected to `path` as often as `times`
    /// says.
    pub fn connect(path: &Path, uid: Option<u32>, times: usize) -> (Self, Vec<UnixStream>) {
        let address = address(path);
        let streams: Vec<UnixStream> = (0..times).map(|_| unconnected()).collect();
        let fds: Vec<libc::c_int> = streams.iter().map(AsRawFd::as_raw_fd).collect();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        // SAFETY: the child makes system calls only, on memory that was prepared before, until it ends.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", io::Error::last_os_error());
        if pid == 0 {
            // SAFETY: as above; it does not return.
            unsafe { be_a_peer(&address, &fds, theirs.as_raw_fd(), uid) }
        }
        drop(theirs);
        let mut answer = [1];
        io::Read::read_exact(&mut ours, &mut answer).unwrap();
        assert_eq!(answer, [0], "connected");
        (Self { pid, _life: ours }, streams)
    }

    pub fn pid(&self) -> u32 {
        self.pid as u32
    }

    /// Returns when it has ended.
    pub fn kill(&mut self) {
        if self.pid != 0 {
            // SAFETY: our own child, which nobody else waits for.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, std::ptr::null_mut(), 0);
            }
            self.pid = 0;
        }
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), signal).unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn address(path: &Path) -> libc::sockaddr_un {
    // SAFETY: all of it may be zero.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = path.as_os_str().as_bytes();
    assert!(bytes.len() < address.sun_path.len(), "{path:?}");
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    address
}

fn unconnected() -> UnixStream {
    // SAFETY: numbers only.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: just made, and nobody else's.
    unsafe { UnixStream::from_raw_fd(fd) }
}

unsafe fn be_a_peer(
    address: &libc::sockaddr_un,
    fds: &[libc::c_int],
    life: libc::c_int,
    uid: Option<u32>,
) -> ! {
    // SAFETY: system calls on descriptors of this process and on memory that outlives them.
    unsafe {
        let mut wrong = u8::from(uid.is_some_and(|uid| libc::setuid(uid) != 0));
        let length = mem::size_of::<libc::sockaddr_un>() as libc::socklen_t;
        for fd in fds {
            wrong |= u8::from(libc::connect(*fd, (&raw const *address).cast(), length) != 0);
        }
        libc::write(life, (&raw const wrong).cast(), 1);
        // Nothing else of the test's stays open here.
        libc::dup2(life, 0);
        libc::syscall(libc::SYS_close_range, 1, u32::MAX, 0);
        let mut byte = 0u8;
        libc::read(0, (&raw mut byte).cast(), 1);
        libc::_exit(0)
    }
}
