//! System calls on descriptors without the C library's functions, for which a thread sanitizer stands in: it knows one table
//! of descriptors in a process, and would take ours (see `fd_table`) for the program's of the same numbers.
#![allow(unsafe_code)] // system calls
use core::ffi::{c_long, c_void};
use std::io;
use std::os::fd::RawFd;

fn checked(code: c_long) -> io::Result<usize> {
    usize::try_from(code).map_err(|_| io::Error::last_os_error())
}

/// A stream of the local domain.
pub fn socket() -> io::Result<RawFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers.
    checked(unsafe { libc::syscall(libc::SYS_socket, libc::AF_UNIX, kind, 0) }).map(|fd| fd as RawFd)
}

pub fn connect(fd: RawFd, address: &libc::sockaddr_un, length: libc::socklen_t) -> io::Result<()> {
    // SAFETY: an address of at least that length.
    checked(unsafe { libc::syscall(libc::SYS_connect, fd, &raw const *address, length) }).map(drop)
}

pub fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let (none, flags) = (std::ptr::null::<c_void>(), libc::MSG_NOSIGNAL);
    // SAFETY: so many bytes, and no address.
    checked(unsafe { libc::syscall(libc::SYS_sendto, fd, bytes.as_ptr(), bytes.len(), flags, none, 0) })
}

/// # Safety
/// The structure points to buffers of the lengths that it says.
pub unsafe fn receive(fd: RawFd, message: &mut libc::msghdr) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    checked(unsafe { libc::syscall(libc::SYS_recvmsg, fd, &raw mut *message, libc::MSG_CMSG_CLOEXEC) })
}

/// Sends without waiting, and without a signal if nobody is there.
pub fn send_now(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let (none, flags) = (std::ptr::null::<c_void>(), libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT);
    // SAFETY: so many bytes, and no address.
    checked(unsafe { libc::syscall(libc::SYS_sendto, fd, bytes.as_ptr(), bytes.len(), flags, none, 0) })
}

pub fn write(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: so many bytes.
    checked(unsafe { libc::syscall(libc::SYS_write, fd, bytes.as_ptr(), bytes.len()) })
}

/// Writes without waiting, to what can do that: pipes since Linux 6.4, no terminals.
pub fn write_now(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // Where the file stands, in both halves of an offset.
    let (low, high) = (-1 as c_long, -1 as c_long);
    // SAFETY: one part of so many bytes, which are only read.
    checked(unsafe { libc::syscall(libc::SYS_pwritev2, fd, &raw const part, 1, low, high, libc::RWF_NOWAIT) })
}

/// Whether there is room, and somebody who reads.
pub fn is_writable_now(fd: RawFd) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let (mask, bytes) = (std::ptr::null::<c_void>(), 8);
    // SAFETY: one of them, and no signal mask.
    let ready = unsafe { libc::syscall(libc::SYS_ppoll, &raw mut poll, 1, &raw const at_once, mask, bytes) };
    ready == 1 && poll.revents == libc::POLLOUT
}

/// Which file a descriptor is of.
///
/// # Errors
/// The number is closed.
pub fn status(fd: RawFd) -> io::Result<libc::stat> {
    // SAFETY: all zeros is a valid value of this plain structure, and the call writes only to it.
    unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        checked(libc::syscall(libc::SYS_fstat, fd, &raw mut status)).map(|_| status)
    }
}

/// A question about a descriptor; none if the number is closed.
pub fn fcntl(fd: RawFd, question: libc::c_int) -> Option<libc::c_int> {
    // SAFETY: no pointers.
    checked(unsafe { libc::syscall(libc::SYS_fcntl, fd, question, 0) })
        .ok()
        .map(|answer| answer as libc::c_int)
}

pub fn is_terminal(fd: RawFd) -> bool {
    let mut size = std::mem::MaybeUninit::<libc::winsize>::uninit();
    // SAFETY: room for the answer.
    unsafe { libc::syscall(libc::SYS_ioctl, fd, libc::TIOCGWINSZ, size.as_mut_ptr()) == 0 }
}

/// A descriptor that nothing can be written to or read from: a socket without a peer. One call that has to be allowed
/// anyway.
pub fn nothing() -> io::Result<RawFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers.
    checked(unsafe { libc::syscall(libc::SYS_socket, libc::AF_UNIX, kind, 0) }).map(|fd| fd as RawFd)
}

/// Closes a number, whatever it is.
pub fn close(fd: RawFd) {
    // SAFETY: no pointers; the caller's own.
    unsafe { libc::syscall(libc::SYS_close, fd) };
}

/// Maps a part of a file, shared, at an address of the kernel's choice.
pub fn map(file: RawFd, offset: u64, bytes: u64) -> io::Result<u64> {
    let access = c_long::from(libc::PROT_READ | libc::PROT_WRITE);
    let (shared, file) = (c_long::from(libc::MAP_SHARED), c_long::from(file));
    let none = std::ptr::null::<c_void>();
    // SAFETY: a new mapping.
    let at = unsafe { libc::syscall(libc::SYS_mmap, none, bytes, access, shared, file, offset) };
    if at == -1 { Err(io::Error::last_os_error()) } else { Ok(at as u64) }
}
