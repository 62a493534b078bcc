//! The connection to the scheduler, kept by threads that do nothing else: their descriptors are in a table of their own
//! (`sys::fd_table`), so that the program's has nothing of ours, whatever it closes, replaces or hands to its children.
//!
//! One thread writes, and makes the connections; one reads. They never call the driver, whose
//! descriptors are numbers of the program's table. The agent speaks with them through memory.
mod reader;

use crate::memory::SwapSpace;
use crate::sys::fd_table;
use crate::sys::guarded_fd::{GuardedFd, Role};
use crate::sys::lock::{Mutex, rank};
use crate::sys::thread;
use crate::sys::waker::Waker;
use nvshare_protocol::frame;
use nvshare_protocol::tenant::ToScheduler;
pub use reader::Incoming;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::time::Duration;

/// A scheduler that does not read our few bytes for so long counts as gone.
const SEND_BOUND: Duration = Duration::from_secs(2);
/// How long the writing thread may take to answer, beyond the bound on connecting.
const CONNECT_BOUND: Duration = Duration::from_secs(5);

enum Command {
    Connect(SyncSender<io::Result<Arc<Inbox>>>),
    Send(Vec<u8>),
    HangUp,
}

/// What has come over one connection, in order. An error is the last.
pub struct Inbox {
    incoming: Mutex<VecDeque<io::Result<Incoming>>, { rank::LEAF }>,
    waker: Arc<Waker>,
}

impl Inbox {
    fn put(&self, incoming: io::Result<Incoming>) {
        self.incoming.lock().push_back(incoming);
        self.waker.wake();
    }

    fn is_empty(&self) -> bool {
        self.incoming.lock().is_empty()
    }
}

/// The thread that writes.
pub struct Transport {
    commands: Sender<Command>,
}

impl Transport {
    /// # Errors
    /// No thread.
    pub fn spawn(socket: &'static Path, space: Arc<SwapSpace>, waker: Arc<Waker>) -> io::Result<Self> {
        let (commands, receiver) = mpsc::channel();
        thread::spawn("nvshare-send", move || Writer::new(socket, space, waker).run(&receiver))?;
        Ok(Self { commands })
    }

    /// # Errors
    /// Nobody is there; `WouldBlock`: somebody is, who has no time.
    pub fn connect(&self) -> io::Result<Connection> {
        let (answer, answered) = mpsc::sync_channel(1);
        let sent = self.commands.send(Command::Connect(answer));
        sent.map_err(|_| ended())?;
        let inbox = match answered.recv_timeout(CONNECT_BOUND) {
            Ok(connected) => connected?,
            Err(mpsc::RecvTimeoutError::Timeout) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(ended()),
        };
        Ok(Connection { commands: self.commands.clone(), inbox })
    }
}

/// The agent's end of a connection.
pub struct Connection {
    commands: Sender<Command>,
    inbox: Arc<Inbox>,
}

impl Connection {
    /// Queues a message. If it cannot be sent, the end of the connection is received.
    ///
    /// # Errors
    /// Nobody is there any more to send it.
    pub fn send(&self, message: &ToScheduler) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(128);
        frame::write(message, &mut bytes);
        self.commands.send(Command::Send(bytes)).map_err(|_| ended())
    }

    /// Whether something has come that was not received.
    pub fn has_messages(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// All that has come.
    ///
    /// # Errors
    /// Why nothing will come any more, once the rest has been received.
    pub fn receive(&self) -> io::Result<Vec<Incoming>> {
        let mut incoming = self.inbox.incoming.lock();
        if incoming.front().is_some_and(Result::is_err) {
            return incoming.pop_front().map_or(Ok(Vec::new()), |error| error.map(|last| vec![last]));
        }
        let messages = incoming.iter().take_while(|one| one.is_ok()).count();
        incoming.drain(..messages).collect()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::HangUp);
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that sends has ended")
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.hang_up();
    }
}

struct Writer {
    socket: &'static Path,
    waker: Arc<Waker>,
    /// Whether the table is these threads' own.
    private: bool,
    space: Arc<SwapSpace>,
    /// To the thread that reads. None: it is still to be started.
    reader: Option<Sender<reader::Job>>,
    stream: Option<Arc<GuardedFd>>,
}

impl Writer {
    fn new(socket: &'static Path, space: Arc<SwapSpace>, waker: Arc<Waker>) -> Self {
        let private = fd_table::unshare();
        Self { socket, waker, private, space, reader: None, stream: None }
    }

    fn run(mut self, commands: &Receiver<Command>) {
        while let Ok(command) = commands.recv() {
            match command {
                Command::Connect(answer) => {
                    self.hang_up();
                    // An agent that does not wait for it any more has hung up.
                    let _ = answer.send(self.connect());
                }
                Command::Send(bytes) => self.send_frame(&bytes),
                Command::HangUp => self.hang_up(),
            }
        }
    }

    fn connect(&mut self) -> io::Result<Arc<Inbox>> {
        // Before the scheduler sees a connection. There may be no room for a thread now, and later.
        if self.reader.is_none() {
            // Not `WouldBlock`, which means a scheduler that is busy.
            let reader = reader::spawn(self.space.clone());
            self.reader = Some(reader.map_err(|error| io::Error::other(error.to_string()))?);
        }
        let stream = Arc::new(GuardedFd::unconnected(self.private, Role::Link)?);
        // Bounds the connecting too: a scheduler that hangs with a full backlog would hold us for ever.
        stream.set_bound(libc::SO_SNDTIMEO, SEND_BOUND)?;
        stream.connect(self.socket)?;
        let inbox = Arc::new(Inbox { incoming: Mutex::default(), waker: self.waker.clone() });
        let job = (stream.clone(), inbox.clone());
        if self.reader.as_ref().is_none_or(|reader| reader.send(job).is_err()) {
            // It has ended by a fault of ours: the next attempt starts another.
            self.reader = None;
            return Err(io::Error::other("the thread that receives has ended"));
        }
        self.stream = Some(stream);
        Ok(inbox)
    }

    fn send_frame(&mut self, bytes: &[u8]) {
        if self.stream.as_ref().is_some_and(|stream| stream.write_all(bytes).is_err()) {
            // The reader reports the end, after what had come before.
            self.hang_up();
        }
    }

    fn hang_up(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.shut_down();
        }
    }
}

#[cfg(test)]
#[cfg(not(miri))] // descriptors
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::sync::mpsc;

    #[test]
    fn a_receiving_thread_that_has_ended_is_started_anew() {
        let path = std::env::temp_dir().join(format!("nvshare-transport-{}.sock", std::process::id()));
        let at: &'static Path = Box::leak(path.clone().into_boxed_path());
        let mut writer = Writer::new(at, Arc::default(), Arc::default());
        // This thread has a table of descriptors of its own from here on.
        let listener = UnixListener::bind(&path).unwrap();
        writer.reader = Some(mpsc::channel().0);
        assert!(writer.connect().is_err());
        let inbox = writer.connect().unwrap();
        let _refused = listener.accept().unwrap();
        drop(listener.accept().unwrap());
        while inbox.is_empty() {
            std::thread::yield_now();
        }
        assert!(inbox.incoming.lock().pop_front().unwrap().is_err(), "it reads: the peer has hung up");
        std::fs::remove_file(path).unwrap();
    }
}
