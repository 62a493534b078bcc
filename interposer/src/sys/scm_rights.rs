//! Descriptors that come and go over a socket, beside bytes.
#![allow(unsafe_code)] // sendmsg(2) and recvmsg(2), whose control data std does not know
use crate::sys::syscall;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Room for one descriptor's control data and the kernel's padding.
#[repr(align(8))]
struct Control([u8; 64]);

fn message(control: &mut Control, part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all zeros is a valid value of this plain structure.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    message
}

/// As `read`, and a descriptor if one came along.
pub fn receive(socket: RawFd, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut message = message(&mut control, &mut part);
    // SAFETY: the structure points to buffers of the lengths that it says.
    let read = unsafe { syscall::receive(socket, &mut message)? };
    let mut file = None;
    // SAFETY: the kernel has filled the control buffer, whose macros walk it; a descriptor in it is ours from now on.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while let Some(one) = header.as_ref() {
            if (one.cmsg_level, one.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let bytes = one.cmsg_len - (libc::CMSG_LEN(0) as usize);
                let fds = libc::CMSG_DATA(header).cast::<RawFd>();
                // Of several the last is taken, and the others are closed.
                for nth in 0..bytes / size_of::<RawFd>() {
                    file = Some(OwnedFd::from_raw_fd(fds.add(nth).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Ok((read, file))
}

/// Sends a few bytes, which a socket's buffer always takes whole, and a descriptor along with them.
pub fn send(socket: RawFd, bytes: &[u8], file: BorrowedFd<'_>) -> io::Result<()> {
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut message = message(&mut control, &mut part);
    // SAFETY: CMSG_SPACE and CMSG_LEN only compute.
    let (space, length) =
        unsafe { (libc::CMSG_SPACE(size_of::<RawFd>() as u32), libc::CMSG_LEN(size_of::<RawFd>() as u32)) };
    message.msg_controllen = space as _;
    // SAFETY: the control buffer has room for one header and one descriptor, and stays until the call has ended.
    let sent = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = length as _;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(file.as_raw_fd());
        libc::sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL)
    };
    match usize::try_from(sent) {
        Ok(sent) if sent == bytes.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    #[cfg_attr(miri, ignore = "sendmsg(2)")]
    fn a_descriptor_arrives_with_its_bytes_and_works() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        send(here.as_raw_fd(), b"word", far.as_fd()).unwrap();
        drop(far);
        let mut bytes = [0; 16];
        let (read, file) = receive(there.as_raw_fd(), &mut bytes).unwrap();
        assert_eq!(&bytes[..read], b"word");
        let mut far = UnixStream::from(file.expect("a descriptor"));
        near.write_all(b"!").unwrap();
        let mut one = [0];
        far.read_exact(&mut one).unwrap();
        assert_eq!(one, *b"!");
    }

    #[test]
    #[cfg_attr(miri, ignore = "sendmsg(2)")]
    fn bytes_alone_bring_none_and_a_closed_socket_is_an_error_to_its_sender() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(b"word").unwrap();
        assert!(matches!(receive(there.as_raw_fd(), &mut [0; 16]), Ok((4, None))));
        drop(there);
        assert!(send(here.as_raw_fd(), b"word", here.as_fd()).is_err());
    }
}
