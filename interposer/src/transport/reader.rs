//! What comes over a connection. Swap space is mapped here, because its file is a descriptor in this thread's table.
use super::Inbox;
use crate::memory::{FileMapping, SwapGrant, SwapSpace};
use crate::sys::guarded_fd::{GuardedFd, Role};
use crate::sys::thread;
use nvshare_protocol::frame::{Reader, Received};
use nvshare_protocol::tenant::ToTenant;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

/// A message, and what came with it of swap space.
pub struct Incoming {
    pub message: ToTenant,
    pub mapped: SwapGrant,
}

/// A connection to read, and where to put what comes.
pub(super) type Job = (Arc<GuardedFd>, Arc<Inbox>);

/// Starts the thread that reads one connection after the other; its table is this thread's.
pub(super) fn spawn(space: Arc<SwapSpace>) -> io::Result<Sender<Job>> {
    let (connections, receiver) = mpsc::channel::<Job>();
    thread::spawn("nvshare-receive", move || {
        while let Ok((stream, inbox)) = receiver.recv() {
            let end = End(inbox);
            let error = SwapFile::default().read(&space, &stream, &end.0);
            // Closed before the end is reported, so that it is not taken for the next connection's.
            drop(stream);
            end.0.put(Err(error));
        }
    })?;
    Ok(connections)
}

/// Whatever happens here, the connection's end is reported.
struct End(Arc<Inbox>);

impl Drop for End {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.put(Err(io::Error::other("the thread that receives has ended")));
        }
    }
}

/// The file of the swap space that the scheduler grants.
#[derive(Default)]
struct SwapFile {
    file: Option<GuardedFd>,
    /// How much of it is mapped, bytes.
    mapped: u64,
    anew: bool,
}

impl SwapFile {
    fn read(mut self, space: &SwapSpace, stream: &GuardedFd, inbox: &Inbox) -> io::Error {
        let mut reader = Reader::default();
        loop {
            match self.read_once(space, stream, &mut reader) {
                Ok(incoming) => incoming.into_iter().for_each(|one| inbox.put(Ok(one))),
                Err(error) => return error,
            }
        }
    }

    fn read_once(
        &mut self,
        space: &SwapSpace,
        stream: &GuardedFd,
        reader: &mut Reader,
    ) -> io::Result<Vec<Incoming>> {
        let mut bytes = [0; 4096];
        let (read, file) = stream.receive(&mut bytes)?;
        // If the program has closed the file, the next connection brings another one.
        self.file.as_ref().map_or(Ok(0), GuardedFd::get)?;
        if let Some(file) = file {
            self.replace(file, stream.is_private());
        }
        if read == 0 {
            let closed = "the scheduler closed the connection";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, closed));
        }
        reader.feed(&bytes[..read]);
        let mut incoming = Vec::new();
        while let Some(received) = reader.next().map_err(io::Error::other)? {
            // A newer scheduler's message that we do not know.
            let Received::Message(message) = received else { continue };
            let bytes = if let ToTenant::Swap(bytes) = &message { bytes.0 } else { 0 };
            let mapped = self.map_up_to(bytes, space.largest_mapping());
            incoming.push(Incoming { message, mapped });
        }
        Ok(incoming)
    }

    /// A file that comes before the message that it belongs to is whole.
    fn replace(&mut self, file: OwnedFd, private: bool) {
        self.file = Some(GuardedFd::new(file, private, Role::Swap));
        (self.mapped, self.anew) = (0, true);
    }

    fn map_up_to(&mut self, bytes: u64, most: u64) -> SwapGrant {
        let mut mappings = Vec::new();
        let bytes = FileMapping::whole(bytes);
        let mut failed = None;
        while self.mapped < bytes && failed.is_none() {
            let file = self.file.as_ref().ok_or_else(|| io::Error::other("no file came with the swap space"));
            let mapping = file
                .and_then(GuardedFd::get)
                .and_then(|file| FileMapping::new(file, self.mapped, (bytes - self.mapped).min(most)));
            match mapping {
                Ok(mapping) => {
                    self.mapped += mapping.bytes;
                    mappings.push(mapping);
                }
                Err(error) => failed = Some(error),
            }
        }
        // Not before the message that the file belongs to.
        let anew = bytes > 0 && std::mem::take(&mut self.anew);
        SwapGrant { anew, mappings, failed }
    }
}
