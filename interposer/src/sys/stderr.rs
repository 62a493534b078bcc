//! The program's stderr, if descriptor 2 still is that.
//!
//! A daemon closes 0 to 2, and what it opens next has these numbers: a line of ours would stand in its data, or go to its
//! client. So the file that 2 was when the program began is remembered, and looked at before each line.
//!
//! Nothing here waits for whoever reads, and nobody is killed by a signal because of what we say.
#![allow(unsafe_code)] // system calls, signal masks, and a function that the dynamic linker calls
use super::syscall;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};

const STDIN: RawFd = 0;
const STDOUT: RawFd = 1;
const STDERR: RawFd = 2;

/// A write of no more bytes to a pipe is not torn by others (`PIPE_BUF` in `linux/limits.h`).
pub const LONGEST: usize = 4096;

/// What descriptor 2 was when the program began.
struct Began {
    open: AtomicBool,
    device: AtomicU64,
    inode: AtomicU64,
}

static BEGAN: Began =
    Began { open: AtomicBool::new(false), device: AtomicU64::new(0), inode: AtomicU64::new(0) };

/// Lines that nobody could be given, since the last one that somebody was.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// The dynamic linker calls it when it has loaded this library, before the program begins.
#[cfg(not(miri))]
#[used]
#[unsafe(link_section = ".init_array")]
static REMEMBER: extern "C" fn() = remember;

extern "C" fn remember() {
    // SAFETY: this thread's own, which the program is to find as the C library has left it.
    let errno = unsafe { *libc::__errno_location() };
    if let Ok(File { device, inode, .. }) = File::of(STDERR) {
        BEGAN.device.store(device, Relaxed);
        BEGAN.inode.store(inode, Relaxed);
        BEGAN.open.store(true, Release);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// What a descriptor is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct File {
    device: u64,
    inode: u64,
    /// `S_IFMT`.
    kind: libc::mode_t,
}

impl File {
    fn of(fd: RawFd) -> io::Result<Self> {
        let status = syscall::status(fd)?;
        Ok(Self { device: status.st_dev, inode: status.st_ino, kind: status.st_mode & libc::S_IFMT })
    }
}

/// Writes a line, with its end, if there is somebody to be given it at once.
pub fn write(line: &[u8]) {
    let began = BEGAN.open.load(Acquire).then(|| (BEGAN.device.load(Relaxed), BEGAN.inode.load(Relaxed)));
    let Some(began) = began else { return };
    let Ok(file) = File::of(STDERR) else { return };
    if !(began == (file.device, file.inode) && !is_conversation(file) || was_put_there(file)) {
        return;
    }
    let dropped = DROPPED.swap(0, AcqRel);
    let mut text = match dropped {
        0 => Vec::new(),
        _ => format!(
            "nvshare[{}] warn: {dropped} lines before this one could not be written\n",
            std::process::id()
        )
        .into_bytes(),
    };
    text.extend_from_slice(line);
    if text.len() > LONGEST {
        text.truncate(LONGEST - 1);
        text.push(b'\n');
    }
    if put(STDERR, file.kind, &text).is_err() {
        DROPPED.fetch_add(dropped + 1, AcqRel);
    }
}

/// Whether it is the connection with a client, whom a super-server (`inetd`) has given to the program as 0, 1 and 2.
fn is_conversation(file: File) -> bool {
    file.kind == libc::S_IFSOCK && File::of(STDIN).ok() == Some(file)
}

/// Whether the program has put another file in the place of its stderr on purpose: the same as stdout, which its children
/// inherit, and where text belongs. What merely got the number 2 after that was closed is not stdout too.
fn was_put_there(file: File) -> bool {
    let flags = |fd, question| syscall::fcntl(fd, question).unwrap_or(-1);
    let is_stdout = File::of(STDOUT).ok() == Some(file)
        // Both ends of a pipe are one file.
        && matches!(flags(STDOUT, libc::F_GETFL) & libc::O_ACCMODE, libc::O_WRONLY | libc::O_RDWR);
    let is_inherited = flags(STDERR, libc::F_GETFD) & libc::FD_CLOEXEC == 0;
    let is_for_text = match file.kind {
        libc::S_IFREG => flags(STDERR, libc::F_GETFL) & libc::O_APPEND != 0,
        libc::S_IFCHR => syscall::is_terminal(STDERR),
        libc::S_IFIFO => true,
        libc::S_IFSOCK => !is_conversation(file),
        _ => false,
    };
    is_stdout && is_inherited && is_for_text
}

/// # Errors
/// Nobody has been given all of it: it would have to wait, or the reader is gone.
fn put(fd: RawFd, kind: libc::mode_t, text: &[u8]) -> io::Result<()> {
    let written = match kind {
        libc::S_IFSOCK => syscall::send_now(fd, text)?,
        // There is no waiting for a file's reader.
        libc::S_IFREG => undisturbed(|| syscall::write(fd, text))?,
        libc::S_IFCHR | libc::S_IFIFO => {
            if !syscall::is_writable_now(fd) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            undisturbed(|| match syscall::write_now(fd, text) {
                // Terminals, and Linux before 6.4 (whose answers differ before 4.13). A pipe with room takes as much as it
                // never tears, unless somebody else fills it in between.
                Err(error)
                    if matches!(
                        error.raw_os_error(),
                        Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSYS | libc::EPERM)
                    ) =>
                {
                    syscall::write(fd, text)
                }
                written => written,
            })?
        }
        // An event's counter, a timer, a queue.
        _ => return Ok(()),
    };
    if written == text.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Writes, and takes the signals back that a write may bring its thread: the reader is gone (`SIGPIPE`), a file would be
/// larger than allowed (`SIGXFSZ`), the terminal is another job's (`SIGTTOU`, which is not even sent if it is blocked).
fn undisturbed(write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
    let (mut ours, mut before, mut pending) =
        (MaybeUninit::<libc::sigset_t>::uninit(), MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: sigemptyset initialises the set, and the other calls read it or write their results to the other two.
    unsafe {
        libc::sigemptyset(ours.as_mut_ptr());
        for signal in [libc::SIGPIPE, libc::SIGXFSZ, libc::SIGTTOU] {
            libc::sigaddset(ours.as_mut_ptr(), signal);
        }
        libc::sigpending(pending.as_mut_ptr());
        if libc::pthread_sigmask(libc::SIG_BLOCK, ours.as_ptr(), before.as_mut_ptr()) != 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
    }
    let written = write();
    let came = match written.as_ref().map_err(io::Error::raw_os_error) {
        Err(Some(libc::EPIPE)) => Some(libc::SIGPIPE),
        Err(Some(libc::EFBIG)) => Some(libc::SIGXFSZ),
        _ => None,
    };
    // SAFETY: the sets are initialised by the calls above; the wait has a bound of nothing.
    unsafe {
        if let Some(signal) = came
            && libc::sigismember(pending.as_ptr(), signal) == 0
        {
            libc::sigemptyset(ours.as_mut_ptr());
            libc::sigaddset(ours.as_mut_ptr(), signal);
            let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            libc::sigtimedwait(ours.as_ptr(), std::ptr::null_mut(), &at_once);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
    }
    written
}

#[cfg(test)]
#[cfg(not(miri))] // system calls
mod tests {
    use super::*;
    use std::io::{PipeWriter, Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    /// Has no room for one byte more.
    fn filled(mut pipe: &PipeWriter) {
        let set = |flags: libc::c_int| {
            // SAFETY: no pointers.
            assert_eq!(unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETFL, flags) }, 0);
        };
        set(libc::O_NONBLOCK);
        while pipe.write(&[0; 4096]).is_ok() {}
        set(0);
    }

    #[test]
    fn nobody_waits_for_a_full_pipe_or_socket() {
        let (_reader, pipe) = io::pipe().unwrap();
        filled(&pipe);
        assert!(put(pipe.as_raw_fd(), libc::S_IFIFO, b"line\n").is_err());
        let (stream, _peer) = UnixStream::pair().unwrap();
        while put(stream.as_raw_fd(), libc::S_IFSOCK, &[0; 4096]).is_ok() {}
    }

    #[test]
    fn a_reader_that_has_gone_brings_no_signal() {
        let (reader, pipe) = io::pipe().unwrap();
        drop(reader);
        // Rust's programs ignore the signal; this thread would be killed with all others.
        // SAFETY: the default of a signal.
        let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        assert!(put(pipe.as_raw_fd(), libc::S_IFIFO, b"line\n").is_err());
        let broken = undisturbed(|| syscall::write(pipe.as_raw_fd(), b"line\n"));
        let (stream, peer) = UnixStream::pair().unwrap();
        drop(peer);
        assert!(put(stream.as_raw_fd(), libc::S_IFSOCK, b"line\n").is_err());
        // SAFETY: what it was before.
        unsafe { libc::signal(libc::SIGPIPE, before) };
        assert_eq!(broken.unwrap_err().raw_os_error(), Some(libc::EPIPE));
    }

    #[test]
    fn a_pipe_with_room_gets_the_whole_line() {
        let (mut reader, pipe) = io::pipe().unwrap();
        put(pipe.as_raw_fd(), libc::S_IFIFO, b"line\n").unwrap();
        let mut line = [0; 5];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"line\n");
    }

    #[test]
    fn what_is_no_place_for_text_gets_none() {
        // SAFETY: no pointers; the new descriptor is nobody else's.
        let event =
            unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(libc::eventfd(0, 0)) };
        let file = File::of(event.as_raw_fd()).unwrap();
        put(event.as_raw_fd(), file.kind, b"nvshare\n").unwrap();
        assert!(syscall::fcntl(event.as_raw_fd(), libc::F_GETFL).is_some());
        let mut poll = libc::pollfd { fd: event.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one of them.
        assert_eq!(unsafe { libc::poll(&mut poll, 1, 0) }, 0, "it counts nothing");
    }
}
