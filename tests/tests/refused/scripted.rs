//! A scheduler that says what a test tells it to.
use anyhow::{Context as _, Result, bail};
use nvshare_protocol::frame::{self, Received};
use nvshare_protocol::tenant::{Grant, Hello, NoPlace, Share, ToScheduler, ToTenant, Welcome};
use nvshare_protocol::{Bytes, LeaseId, VERSION};
use nvshare_tests::world::{PATIENCE, World};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

/// Who was refused comes back within half of this.
const LONG: std::time::Duration = PATIENCE.saturating_mul(2);

pub struct Scripted {
    socket: PathBuf,
    peers: Receiver<UnixStream>,
}

impl Scripted {
    pub fn new(world: &World) -> Result<Self> {
        let socket = world.socket();
        std::fs::create_dir_all(socket.parent().context("a socket lies in a directory")?)?;
        let listener = UnixListener::bind(&socket)?;
        let (send, peers) = channel();
        std::thread::spawn(move || {
            while let Ok((peer, _)) = listener.accept() {
                if send.send(peer).is_err() {
                    break;
                }
            }
        });
        Ok(Self { socket, peers })
    }

    /// Turns the next one away without having heard it.
    pub fn slam(&self) -> Result<()> {
        let stream = self.peers.recv_timeout(LONG).context("nobody comes")?;
        Peer { stream, reader: frame::Reader::default() }.say(&no_place(false))
    }

    /// The next that connects, and its hello.
    pub fn accept(&self) -> Result<(Peer, Hello)> {
        let stream = self.peers.recv_timeout(LONG).context("nobody comes")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut peer = Peer { stream, reader: frame::Reader::default() };
        match peer.next()? {
            ToScheduler::Hello(hello) => Ok((peer, hello)),
            other => bail!("not a hello: {other:?}"),
        }
    }

    /// Turns the next one away; its hello.
    pub fn turn_away(&self, fails: bool) -> Result<Hello> {
        let (mut peer, hello) = self.accept()?;
        peer.say(&no_place(fails))?;
        // It may be gone already.
        let _ = peer.say(&ToTenant::Refused("[limits] tenants".to_owned()));
        Ok(hello)
    }

    /// From now on there is none.
    pub fn vanish(&self) -> Result<()> {
        Ok(std::fs::remove_file(&self.socket)?)
    }
}

fn no_place(fails: bool) -> ToTenant {
    ToTenant::NoPlace(NoPlace { why: "[limits] tenants".to_owned(), fails })
}

pub struct Peer {
    stream: UnixStream,
    reader: frame::Reader,
}

impl Peer {
    pub fn say(&mut self, message: &ToTenant) -> Result<()> {
        let mut bytes = Vec::new();
        frame::write(message, &mut bytes);
        Ok(self.stream.write_all(&bytes)?)
    }

    fn next(&mut self) -> Result<ToScheduler> {
        loop {
            match self.reader.next()? {
                Some(Received::Message(message)) => return Ok(message),
                Some(Received::Unknown) => continue,
                None => {}
            }
            let mut bytes = [0; 4096];
            let read = self.stream.read(&mut bytes)?;
            anyhow::ensure!(read > 0, "the tenant has closed the connection");
            self.reader.feed(&bytes[..read]);
        }
    }

    pub fn welcome(&mut self) -> Result<()> {
        let reserve = Bytes::ZERO;
        self.say(&ToTenant::Welcome(Welcome { version: VERSION, enabled: true, reserve, limit: None }))
    }

    /// Answers until it asks for the GPU; its devices.
    pub fn until_request(&mut self) -> Result<Vec<Share>> {
        let mut devices = Vec::new();
        loop {
            match self.next()? {
                ToScheduler::SwapWanted(_) => self.say(&ToTenant::Swap(Bytes::ZERO))?,
                ToScheduler::Device(named) => {
                    devices.push(Share { device: named.device, bytes: Bytes::MAX });
                }
                ToScheduler::Request => return Ok(devices),
                _ => {}
            }
        }
    }

    /// Gives it the GPU, and waits until it has it.
    pub fn grant(&mut self, budget: Vec<Share>) -> Result<()> {
        self.say(&ToTenant::Grant(Grant { lease: LeaseId(1), budget, contended: false }))?;
        while !matches!(self.next()?, ToScheduler::Ready(_)) {}
        Ok(())
    }

    /// Welcomes it and gives it the GPU for good.
    pub fn serve(&mut self) -> Result<()> {
        self.welcome()?;
        let devices = self.until_request()?;
        self.grant(devices)
    }

    /// The connection ends, as with the scheduler.
    pub fn lose(self) -> Result<()> {
        Ok(self.stream.shutdown(Shutdown::Both)?)
    }
}
