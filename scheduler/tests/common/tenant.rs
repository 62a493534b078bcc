//! A tenant's library, by script.
#![allow(unsafe_code)] // takes descriptors that came over a socket
use super::{PATIENCE, Peer};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nvshare_protocol::frame::{self, Reader, Received};
use nvshare_protocol::tenant::*;
use nvshare_protocol::{Bytes, DeviceId, InstanceId, LeaseId, Nanos};
use std::io::{ErrorKind, IoSliceMut, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

pub const GPU: DeviceId = DeviceId(*b"0123456789abcdef");

pub fn hello(program: &str) -> Hello {
    Hello {
        version: 1,
        instance: InstanceId([7; 16]),
        program: program.into(),
        library: "0.1.0".into(),
        engine: "managed".into(),
        pid: 1,
        ..Hello::default()
    }
}

/// A card of 16 GiB.
pub fn device(device: DeviceId) -> DeviceInfo {
    DeviceInfo { device, capacity: Bytes(16 << 30), name: "Test Card".into() }
}

pub struct Tenant {
    pub stream: UnixStream,
    reader: Reader,
    /// The files that came, the latest last.
    pub files: Vec<OwnedFd>,
    /// The process that it is to the daemon; none: the test's own, or another tenant's.
    pub peer: Option<Peer>,
}

impl Tenant {
    /// A connection that has said nothing.
    pub fn silent(socket: &Path) -> Self {
        Self::of_user(socket, None)
    }

    /// The same, of another user.
    pub fn of_user(socket: &Path, uid: Option<u32>) -> Self {
        let (peer, mut streams) = Peer::connect(socket, uid, 1);
        Self { peer: Some(peer), ..Self::over(streams.remove(0)) }
    }

    /// So many connections of one process.
    pub fn of_one_process(socket: &Path, uid: Option<u32>, times: usize) -> (Peer, Vec<Self>) {
        let (peer, streams) = Peer::connect(socket, uid, times);
        (peer, streams.into_iter().map(Self::over).collect())
    }

    /// One that the test's own process has made.
    pub fn of_this_process(socket: &Path) -> Self {
        Self::over(UnixStream::connect(socket).unwrap())
    }

    fn over(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, reader: Reader::default(), files: Vec::new(), peer: None }
    }

    /// Its hello, and the welcome.
    pub fn greets(&mut self, hello: Hello) -> Welcome {
        self.say(&ToScheduler::Hello(hello));
        match self.hear() {
            ToTenant::Welcome(welcome) => welcome,
            other => panic!("{other:?}"),
        }
    }

    pub fn pid(&self) -> u32 {
        self.peer.as_ref().map_or(std::process::id(), Peer::pid)
    }

    /// Its process ends; whoever else has its connection keeps it.
    pub fn dies(&mut self) {
        self.peer.take().expect("a process of its own").kill();
    }

    /// What it gets of swap space when it wants so much.
    pub fn swaps(&mut self, wanted: u64) -> u64 {
        self.say(&ToScheduler::SwapWanted(Bytes(wanted)));
        loop {
            if let ToTenant::Swap(Bytes(bytes)) = self.hear() {
                return bytes;
            }
        }
    }

    /// One that has said hello and was welcomed.
    pub fn join(socket: &Path, program: &str) -> Self {
        let mut tenant = Self::silent(socket);
        tenant.say(&ToScheduler::Hello(hello(program)));
        assert!(matches!(tenant.hear(), ToTenant::Welcome(_)));
        tenant
    }

    /// One with 12 GiB on [`GPU`], that asks for it.
    pub fn with_work(socket: &Path, program: &str) -> Self {
        let mut tenant = Self::join(socket, program);
        tenant.has(Bytes(12 << 30), Bytes(0));
        tenant.say(&ToScheduler::Request);
        tenant
    }

    /// It uses the card, and has so much there.
    pub fn has(&mut self, allocated: Bytes, resident: Bytes) {
        self.say(&ToScheduler::Device(device(GPU)));
        self.tells(allocated, resident);
    }

    /// What it has on the card that it uses.
    pub fn tells(&mut self, allocated: Bytes, resident: Bytes) {
        self.tells_with(allocated, resident, None);
    }

    /// The same, with the engine that it uses, by its number.
    pub fn tells_with(&mut self, allocated: Bytes, resident: Bytes, engine: Option<u32>) {
        self.say(&ToScheduler::Memory(MemoryReport {
            device: GPU,
            allocated,
            resident,
            immovable: Bytes(0),
            engine,
        }));
    }

    pub fn say(&mut self, message: &ToScheduler) {
        let mut out = Vec::new();
        frame::write(message, &mut out);
        self.stream.write_all(&out).unwrap();
    }

    /// The next message; none: the connection is closed.
    pub fn next(&mut self) -> Option<ToTenant> {
        loop {
            if let Some(frame) = self.reader.next().expect("the scheduler speaks the language") {
                let Received::Message(message) = frame else { continue };
                return Some(message);
            }
            let mut bytes = [0; 4096];
            match self.read(&mut bytes) {
                Ok(0) => return None,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Ok(n) => self.reader.feed(&bytes[..n]),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// As [`Read::read`], with the files that come along.
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let mut buffer = nix::cmsg_space!([RawFd; 4]);
        let mut parts = [IoSliceMut::new(bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let received = recvmsg::<()>(self.stream.as_raw_fd(), &mut parts, Some(&mut buffer), flags)?;
        for message in received.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = message {
                // SAFETY: the kernel has just made them for us.
                self.files.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        Ok(received.bytes)
    }

    pub fn hear(&mut self) -> ToTenant {
        self.next().expect("the connection is open")
    }

    /// The next grant; what else is said before it does not matter here.
    pub fn granted(&mut self) -> Grant {
        loop {
            if let ToTenant::Grant(grant) = self.hear() {
                return grant;
            }
        }
    }

    pub fn revoked(&mut self) -> Revoke {
        loop {
            if let ToTenant::Revoke(revoke) = self.hear() {
                return revoke;
            }
        }
    }

    /// What it was refused with, at its end.
    pub fn refused(&mut self) -> String {
        let mut why = None;
        while let Some(message) = self.next() {
            if let ToTenant::Refused(text) = message {
                why = Some(text);
            }
        }
        why.expect("a reason before the end")
    }

    pub fn ready(&mut self, lease: LeaseId) {
        let fetched = vec![Share { device: GPU, bytes: Bytes(12_900_000_000) }];
        self.say(&ToScheduler::Ready(Ready { lease, fetched, took: Nanos(258_000_000) }));
    }

    pub fn released(&mut self, lease: LeaseId) {
        let evicted = vec![Share { device: GPU, bytes: Bytes(8_000_000_000) }];
        let (drain, evict) = (Nanos(1_000_000), Nanos(160_000_000));
        self.say(&ToScheduler::Released(Released { lease, evicted, drain, evict }));
    }
}
