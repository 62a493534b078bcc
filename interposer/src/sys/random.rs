//! Random bytes of the kernel's.
#![allow(unsafe_code)] // getrandom(2), which neither std nor glibc 2.17 has
use std::io;

/// # Errors
/// The kernel's, if it has none to give at once.
pub fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    // SAFETY: the buffer's own length.
    let read =
        unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), bytes.len(), libc::GRND_NONBLOCK) };
    if read == bytes.len() as libc::c_long { Ok(bytes) } else { Err(io::Error::last_os_error()) }
}
