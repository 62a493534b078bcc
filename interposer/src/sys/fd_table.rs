//! A table of descriptors that is not the program's.
#![allow(unsafe_code)] // system calls on descriptors
use super::syscall;
use std::ffi::{c_int, c_uint};

/// In `linux/close_range.h`.
const CLOSE_RANGE_UNSHARE: c_uint = 1 << 1;
/// Where nothing tells which descriptors are open: closed up to this number.
const MOST: c_int = 1 << 20;

/// From now on this thread, and those that it starts, have a table of their own with nothing in it but three descriptors
/// that nothing can be written to, where a message would go that somebody prints. False where that is not allowed (a
/// sandbox): the table is the program's.
pub fn unshare() -> bool {
    if !close_range(CLOSE_RANGE_UNSHARE) {
        // SAFETY: no pointers.
        if unsafe { libc::unshare(libc::CLONE_FILES) } != 0 {
            return false;
        }
        if !close_range(0) {
            close_one_by_one();
        }
    }
    for _ in 0..=2 {
        // The lowest numbers are free.
        let _ = syscall::nothing();
    }
    true
}

/// Closes all; false where there is no such call (Linux before 5.9, and before 5.11 in some sandboxes).
fn close_range(flags: c_uint) -> bool {
    // SAFETY: no pointers. What is open in a table of this thread's own is a copy that nobody uses.
    unsafe { libc::syscall(libc::SYS_close_range, 0 as c_uint, c_uint::MAX, flags) == 0 }
}

fn close_one_by_one() {
    let listed = std::fs::read_dir("/proc/thread-self/fd").map(|entries| {
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        names.collect::<Vec<c_int>>()
    });
    let all: Box<dyn Iterator<Item = c_int>> = match listed {
        Ok(open) => Box::new(open.into_iter()),
        Err(_) => Box::new(0..MOST),
    };
    // The table is this thread's own, and nothing of it is used.
    all.for_each(syscall::close);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::{AsRawFd, FromRawFd};
    use std::os::unix::net::UnixStream;

    /// How many are open, in the eyes of this thread.
    fn open() -> usize {
        // The one that lists them is one of them.
        std::fs::read_dir("/proc/thread-self/fd").unwrap().count() - 1
    }

    fn is_unshared(unshare: impl FnOnce() + Send + 'static) {
        let (mut here, there) = UnixStream::pair().unwrap();
        let number = there.as_raw_fd();
        std::thread::spawn(move || {
            unshare();
            assert_eq!(open(), 3);
            // SAFETY: taken to be a file only if it is none.
            let file = std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(number) });
            assert!(file.metadata().is_err(), "not in this table");
        })
        .join()
        .unwrap();
        drop(there);
        assert_eq!(here.read(&mut [0]).unwrap(), 0, "nobody has another copy");
    }

    #[test]
    #[cfg_attr(miri, ignore = "close_range(2)")]
    fn an_unshared_thread_has_nothing_of_the_others() {
        is_unshared(|| assert!(unshare()));
    }

    #[test]
    #[cfg_attr(miri, ignore = "unshare(2)")]
    fn all_that_is_open_is_closed_where_the_kernel_is_old() {
        is_unshared(|| {
            // SAFETY: no pointers.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
            close_one_by_one();
            (0..=2).for_each(|_| assert!(syscall::nothing().is_ok()));
        });
    }
}
