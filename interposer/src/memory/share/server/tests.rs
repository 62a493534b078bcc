use super::*;
use crate::memory::share::client;
use crate::sys::guarded_fd::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::*};

const SECRET: Secret = [7; 16];
/// More than a socket takes unread.
const MANY: usize = 2000;

/// A process that gives `parts` pieces under [`SECRET`].
fn server(parts: usize) -> IpcHandle {
    numbered_server(parts).0
}

/// The same, and the number of its socket.
fn numbered_server(parts: usize) -> (IpcHandle, RawFd) {
    let name = random().unwrap();
    let listener = bind(&name).unwrap();
    let number = listener.get().unwrap();
    std::thread::spawn(move || {
        serve(&name, listener, |secret| {
            if *secret != SECRET {
                return Err(io::ErrorKind::NotFound.into());
            }
            (0..parts).map(|nth| Ok((std::fs::File::open("/dev/null")?.into(), nth as u64))).collect()
        })
    });
    (IpcHandle { server: name, secret: SECRET, offset: 0, bytes: 1 }, number)
}

fn connect(handle: &IpcHandle) -> UnixStream {
    let address = SocketAddr::from_abstract_name(IpcHandle::socket(&handle.server)).unwrap();
    UnixStream::connect_addr(&address).unwrap()
}

fn fetched(handle: &IpcHandle) -> Vec<u64> {
    client::fetch(handle).unwrap().into_iter().map(|(_, bytes)| bytes).collect()
}

#[test]
#[cfg_attr(miri, ignore = "sockets")]
fn who_says_nothing_keeps_nobody_waiting() {
    let handle = server(3);
    let _silent: Vec<_> = (0..4 * MAX_PENDING).map(|_| connect(&handle)).collect();
    let mut slow = connect(&handle);
    slow.write_all(&SECRET[..5]).unwrap();
    assert_eq!(fetched(&handle), [0, 1, 2]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Acquire) {
                drop(connect(&handle));
            }
        });
        for _ in 0..50 {
            assert_eq!(fetched(&handle), [0, 1, 2]);
        }
        done.store(true, Release);
    });
}

#[test]
#[cfg_attr(miri, ignore = "sockets")]
fn a_socket_that_the_program_has_put_something_else_in_the_place_of_is_made_anew() {
    let (handle, number) = numbered_server(2);
    assert_eq!(fetched(&handle), [0, 1]);
    let (quiet, _other) = UnixStream::pair().unwrap();
    // SAFETY: no pointers; the number is of this test's server.
    assert_eq!(unsafe { libc::dup2(quiet.as_raw_fd(), number) }, number);
    assert_eq!(fetched(&handle), [0, 1]);
    assert_eq!(File::of(number), File::of(quiet.as_raw_fd()), "and that is left alone");
}

#[test]
#[cfg_attr(miri, ignore = "sockets")]
fn who_is_slow_is_answered_and_a_wrong_secret_is_not() {
    let handle = server(1);
    let mut slow = connect(&handle);
    for byte in SECRET {
        slow.write_all(&[byte]).unwrap();
    }
    let mut words = [0; 16];
    slow.read_exact(&mut words).unwrap();
    assert!(client::fetch(&IpcHandle { secret: [8; 16], ..handle }).is_err());
    assert_eq!(fetched(&handle), [0]);
}

#[test]
#[cfg_attr(miri, ignore = "sockets")]
fn who_does_not_take_its_answer_loses_it() {
    let handle = server(MANY);
    let mut deaf = connect(&handle);
    deaf.write_all(&SECRET).unwrap();
    assert_eq!(fetched(&handle).len(), MANY);
}

#[test]
fn the_oldest_of_another_user_makes_way_first() {
    let own = [false; MAX_PENDING];
    let mut mixed = own;
    (mixed[3], mixed[9]) = (true, true);
    for (other_user, newcomer, expected) in [
        (&own[1..], true, Displaced::Nobody),
        (&mixed[1..], false, Displaced::Nobody),
        (&own, true, Displaced::Newcomer),
        (&own, false, Displaced::One(0)),
        (&mixed, false, Displaced::One(3)),
        (&mixed, true, Displaced::One(3)),
    ] {
        assert_eq!(displaced(other_user, newcomer), expected, "{other_user:?}, {newcomer}");
    }
}
