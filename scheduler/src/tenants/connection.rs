//! One tenant's connection: a task that waits for nothing but its own peer. A peer that is slow, silent, loud or wrong harms
//! only its own connection.
use super::inbound::{Connected, Inbound};
use super::mailbox::{Inbox, Outbound, Outgoing, mailbox};
use super::permits::Permit;
use super::shared::{ConnectionRules, Shared};
use super::token_bucket::TokenBucket;
use super::validate::{self, Violation};
use crate::identity::Identity;
use crate::text;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nvshare_core::event::TenantId;
use nvshare_protocol::Nanos;
use nvshare_protocol::frame::{self, Reader, Received};
use nvshare_protocol::tenant::{ToScheduler, ToTenant};
use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// How long a peer whose process is not known may read nothing while its buffer is full. Other connections end with their
/// process: one that is stopped reads again when it goes on, and what waits for it is bounded.
const STALL: Nanos = Nanos::from_millis(10_000);
/// How long to wait for the end of a process that has closed its connection: it closes it a moment before it has ended.
const ENDING: Nanos = Nanos::from_millis(50);

/// Why a connection is over.
#[derive(Debug)]
enum End {
    /// The peer closed it.
    Closed,
    /// The loop closed it.
    Dismissed,
    /// The peer broke a rule.
    Fault(String),
}

struct Connection {
    stream: UnixStream,
    shared: Arc<Shared>,
    reader: Reader,
    rules: ConnectionRules,
    bucket: TokenBucket,
    /// None until the hello.
    tenant: Option<TenantId>,
    who: Identity,
    /// The loop's end of `inbound`, until it is handed over with the hello.
    outbound: Option<Outbound>,
    inbox: Inbox,
    /// Its place among the limits, until that goes with the hello.
    permit: Option<Permit>,
    /// To be put into the queue before anything more is read.
    pending: Option<Inbound>,
    out: Vec<u8>,
    /// Files that go with bytes of `out`, by their place in it.
    files: VecDeque<(usize, Arc<OwnedFd>)>,
    /// Since when a message has been on its way in; the hello, before it.
    unfinished: Option<Nanos>,
    /// Since when nothing could be written.
    stalled: Option<Nanos>,
}

/// Serves one connection to its end. `permit` is its place among the limits.
pub async fn serve(stream: UnixStream, who: Identity, permit: Permit, shared: Arc<Shared>) {
    let (outbound, inbox) = mailbox();
    let now = shared.clock.now();
    let rules = shared.rules();
    let mut connection = Connection {
        stream,
        reader: Reader::default(),
        bucket: TokenBucket::new(rules.messages_per_second, now),
        rules,
        tenant: None,
        who,
        outbound: Some(outbound),
        inbox,
        permit: Some(permit),
        pending: None,
        out: Vec::new(),
        files: VecDeque::new(),
        unfinished: Some(now),
        stalled: None,
        shared,
    };
    let end = connection.run().await;
    connection.finish(end).await;
}

/// As `try_write`, with a file.
fn send_with(stream: &UnixStream, bytes: &[u8], file: &OwnedFd) -> std::io::Result<usize> {
    let files = [file.as_raw_fd()];
    stream.try_io(Interest::WRITABLE, || {
        let control = [ControlMessage::ScmRights(&files)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        Ok(sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(bytes)], &control, flags, None)?)
    })
}

impl Connection {
    async fn run(&mut self) -> End {
        let shared = Arc::clone(&self.shared);
        loop {
            let deadline = self.deadline();
            let step = tokio::select! {
                permit = shared.queue.reserve(), if self.pending.is_some() => {
                    let (Ok(permit), Some(inbound)) = (permit, self.pending.take()) else { return End::Dismissed };
                    permit.send(inbound);
                    self.understand()
                }
                () = self.inbox.changed() => self.pass_on(),
                _ = self.stream.writable(), if !self.out.is_empty() => self.pass_on(),
                _ = self.stream.readable(), if self.pending.is_none() => self.read(),
                () = shared.clock.until(deadline) => self.late(),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    fn deadline(&self) -> Option<Nanos> {
        // While the loop is behind, the time does not count.
        let hello = self.unfinished.filter(|_| self.pending.is_none());
        let hello = hello.map(|since| since.saturating_add(self.rules.hello_timeout));
        let stall =
            self.stalled.filter(|_| self.who.process.is_none()).map(|since| since.saturating_add(STALL));
        hello.into_iter().chain(stall).min()
    }

    fn late(&self) -> Result<(), End> {
        let bound = text::seconds(self.rules.hello_timeout);
        Err(End::Fault(
            if self.who.process.is_none()
                && self.stalled.is_some_and(|since| self.shared.clock.now() >= since.saturating_add(STALL))
            {
                format!("it has read nothing for {}", text::seconds(STALL))
            } else if self.tenant.is_none() {
                format!("no hello within {bound}")
            } else {
                format!("a message was not ended within {bound}")
            },
        ))
    }

    fn read(&mut self) -> Result<(), End> {
        let mut bytes = [0; 4096];
        match self.stream.try_read(&mut bytes) {
            Ok(0) if self.reader.is_midway() => Err(End::Fault("closed within a message".into())),
            Ok(0) => Err(End::Closed),
            Ok(n) => {
                self.reader.feed(&bytes[..n]);
                self.understand()
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(End::Closed),
        }
    }

    /// Takes frames out of the reader until one has to go into the queue.
    fn understand(&mut self) -> Result<(), End> {
        let mut taken = false;
        while self.pending.is_none() {
            let frame = self.reader.next().map_err(|broken| End::Fault(broken.to_string()))?;
            let Some(frame) = frame else { break };
            taken = true;
            let count = match &frame {
                Received::Message(ToScheduler::Moves(moves)) => moves.len().max(1),
                _ => 1,
            };
            let now = self.shared.clock.now();
            if !(0..count).all(|_| self.bucket.take(now)) {
                return Err(End::Fault(format!(
                    "more than [limits] messages_per_second = {}",
                    self.rules.messages_per_second
                )));
            }
            if let Received::Message(message) = frame {
                let inbound = self.inbound(message).map_err(|broken| End::Fault(broken.to_string()))?;
                self.pending = Some(inbound);
            }
        }
        // Before the hello, no other message stops the time.
        if self.tenant.is_some() {
            let since = self.unfinished.filter(|_| !taken).unwrap_or(self.shared.clock.now());
            self.unfinished = self.reader.is_midway().then_some(since);
        }
        Ok(())
    }

    /// A message, understood and validated.
    fn inbound(&mut self, message: ToScheduler) -> Result<Inbound, Violation> {
        let Some(tenant) = self.tenant else {
            let ToScheduler::Hello(hello) = message else {
                return Err(Violation::NoHello);
            };
            let hello = validate::hello(hello)?;
            let tenant = TenantId(self.shared.tenants.fetch_add(1, Ordering::Relaxed) + 1);
            self.tenant = Some(tenant);
            let outbound = self.outbound.take().ok_or(Violation::SecondHello)?;
            let permit = self.permit.take().ok_or(Violation::SecondHello)?;
            let who = self.who.clone();
            return Ok(Inbound::Connected(Box::new(Connected { tenant, who, hello, outbound, permit })));
        };
        validate::message(message).map(|message| Inbound::Message(tenant, message))
    }

    /// Writes what is there, one message after the other, as long as the peer reads.
    fn pass_on(&mut self) -> Result<(), End> {
        self.write()?;
        while self.out.is_empty()
            && let Some(Outgoing { message, file }) = self.inbox.take()
        {
            self.files.extend(file.map(|file| (0, file)));
            frame::write(&message, &mut self.out);
            self.write()?;
        }
        if self.inbox.is_closed() { Err(End::Dismissed) } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), End> {
        while !self.out.is_empty() {
            let written = match self.files.front() {
                Some((0, file)) => send_with(&self.stream, &self.out, file),
                next => self.stream.try_write(&self.out[..next.map_or(self.out.len(), |(at, _)| *at)]),
            };
            match written {
                Ok(n) => {
                    self.out.drain(..n);
                    self.files.retain_mut(|(at, _)| {
                        let left = at.checked_sub(n).filter(|_| *at > 0);
                        *at = left.unwrap_or_default();
                        left.is_some()
                    });
                    self.stalled = None;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.stalled.get_or_insert(self.shared.clock.now());
                    break;
                }
                Err(_) => return Err(End::Closed),
            }
        }
        Ok(())
    }

    /// Tells the peer and the log why, and the loop that the tenant is gone.
    async fn finish(self, end: End) {
        let why = match end {
            End::Closed | End::Dismissed => None,
            End::Fault(why) => Some(why),
        };
        if let (Some(why), true) = (&why, self.out.is_empty()) {
            refuse(&self.stream, why);
        }
        drop(self.stream);
        // A hello that is still on its way to the loop never gets there.
        let born = self.tenant.filter(|_| !matches!(self.pending, Some(Inbound::Connected(_))));
        if let Some(tenant) = born {
            if let Some(process) = self.who.process.as_ref().filter(|_| !self.inbox.is_closed()) {
                let until = self.shared.clock.now().saturating_add(ENDING);
                tokio::select! {
                    () = process.ended() => {}
                    () = self.shared.clock.until(Some(until)) => {}
                }
            }
            let _ = self.shared.queue.send(Inbound::Closed(tenant, why)).await;
        } else if let Some(why) = why {
            self.shared.log.warn_of(&self.who, &format!("closed a connection of {}: {why}", self.who));
        }
    }
}

/// Tells the peer why, as far as it can be written without waiting.
fn refuse(stream: &UnixStream, why: &str) {
    let mut out = Vec::new();
    frame::write(&ToTenant::Refused(why.to_owned()), &mut out);
    let _ = stream.try_write(&out);
}
