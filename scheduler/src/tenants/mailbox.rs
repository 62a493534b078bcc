//! The messages of the loop to one connection, until its peer reads them. A new message replaces those that it makes void,
//! so that their number is bounded, however slowly the peer reads.
use nvshare_protocol::tenant::{Share, ToTenant};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How many notices may wait; more are dropped.
const NOTICES: usize = 4;

/// A message, and the file that goes with it.
#[derive(Debug)]
pub struct Outgoing {
    pub message: ToTenant,
    pub file: Option<Arc<OwnedFd>>,
}

impl From<ToTenant> for Outgoing {
    fn from(message: ToTenant) -> Self {
        Self { message, file: None }
    }
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Outgoing>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Mailbox {
    inner: Mutex<Inner>,
    changed: Notify,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The loop's end. When it is dropped, the connection is closed once everything is written.
#[derive(Debug)]
pub struct Outbound(Arc<Mailbox>);

/// The connection's end.
#[derive(Debug)]
pub struct Inbox(Arc<Mailbox>);

/// Both ends.
#[must_use]
pub fn mailbox() -> (Outbound, Inbox) {
    let mailbox = Arc::new(Mailbox::default());
    (Outbound(Arc::clone(&mailbox)), Inbox(mailbox))
}

impl Outbound {
    /// Appends a message, and removes those that it makes void.
    pub fn put(&self, out: impl Into<Outgoing>) {
        put(&mut self.0.lock().waiting, out.into());
        self.0.changed.notify_one();
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_one();
    }
}

impl Inbox {
    /// The next message.
    #[must_use]
    pub fn take(&self) -> Option<Outgoing> {
        self.0.lock().waiting.pop_front()
    }

    /// Whether nothing more will come than what is there.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.lock().closed
    }

    /// Returns when something has come, or the loop has closed its end.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

fn put(waiting: &mut VecDeque<Outgoing>, mut out: Outgoing) {
    use ToTenant::{
        Contended, Enabled, Evict, Fetch, Grant, NoPlace, Notice, Refused, Revoke, Swap, Terms, Welcome,
    };
    match &mut out.message {
        // A lease is granted when the one before it is over, and revoked when it was granted.
        Grant(_) => {
            waiting.retain(|old| !matches!(old.message, Grant(_) | Revoke(_) | Fetch(_) | Contended(_)))
        }
        Revoke(_) => waiting.retain(|old| !matches!(old.message, Revoke(_) | Fetch(_))),
        Contended(_) => waiting.retain(|old| !matches!(old.message, Contended(_))),
        Terms(_) => waiting.retain(|old| !matches!(old.message, Terms(_))),
        Enabled(_) => waiting.retain(|old| !matches!(old.message, Enabled(_))),
        Fetch(shares) => waiting.retain(|old| {
            let Fetch(before) = &old.message else { return true };
            add_missing(shares, before);
            false
        }),
        Evict(shares) => waiting.retain(|old| {
            let Evict(before) = &old.message else { return true };
            add_missing(shares, before);
            false
        }),
        Swap(_) => {
            let at = waiting.iter().position(|old| matches!(old.message, Swap(_)));
            let before = at.and_then(|at| waiting.remove(at));
            out.file = out.file.or(before.and_then(|before| before.file));
        }
        Notice(_) if waiting.iter().filter(|old| matches!(old.message, Notice(_))).count() >= NOTICES => {
            return;
        }
        // Few: one notice less than the bound, the others once a connection.
        Notice(_) | Welcome(_) | Refused(_) | NoPlace(_) => {}
    }
    waiting.push_back(out);
}

/// What an earlier message said about other devices still holds.
fn add_missing(shares: &mut Vec<Share>, before: &[Share]) {
    for share in before {
        if shares.iter().all(|newer| newer.device != share.device) {
            shares.push(*share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_protocol::tenant::{Grant, Revoke};
    use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};

    fn share(n: u8, bytes: u64) -> Share {
        Share { device: DeviceId([n; 16]), bytes: Bytes(bytes) }
    }

    fn grant(lease: u64) -> ToTenant {
        ToTenant::Grant(Grant { lease: LeaseId(lease), budget: Vec::new(), contended: false })
    }

    fn revoke(lease: u64) -> ToTenant {
        ToTenant::Revoke(Revoke { lease: LeaseId(lease), evict: Vec::new(), drain_within: Nanos(1) })
    }

    fn after(messages: &[ToTenant]) -> Vec<ToTenant> {
        let (outbound, inbox) = mailbox();
        messages.iter().for_each(|message| outbound.put(message.clone()));
        std::iter::from_fn(|| inbox.take()).map(|out| out.message).collect()
    }

    #[test]
    fn what_is_newer_takes_the_place_of_what_it_makes_void() {
        use ToTenant::{Contended, Enabled, Evict, Fetch};
        let (yes, no) = (Contended(true), Contended(false));
        assert_eq!(after(&[yes.clone(), Enabled(true), no.clone()]), [Enabled(true), no.clone()]);
        assert_eq!(after(&[grant(1), yes.clone(), revoke(1), no.clone()]), [grant(1), revoke(1), no]);
        assert_eq!(after(&[grant(1), revoke(1), Fetch(vec![share(1, 1)]), grant(2)]), [grant(2)]);
        assert_eq!(after(&[Fetch(vec![share(1, 1)]), revoke(0)]), [revoke(0)]);
        assert_eq!(
            after(&[Evict(vec![share(1, 5), share(2, 6)]), yes.clone(), Evict(vec![share(1, 9)])]),
            [yes, Evict(vec![share(1, 9), share(2, 6)])]
        );
    }

    #[test]
    fn a_file_that_was_not_sent_goes_with_the_newer_word() {
        let (outbound, inbox) = mailbox();
        let file: Arc<std::os::fd::OwnedFd> = Arc::new(std::fs::File::open("/dev/null").unwrap().into());
        outbound.put(Outgoing { message: ToTenant::Swap(Bytes(1)), file: Some(file) });
        outbound.put(ToTenant::Swap(Bytes(2)));
        let out = inbox.take().unwrap();
        assert!(out.message == ToTenant::Swap(Bytes(2)) && out.file.is_some() && inbox.take().is_none());
    }

    #[test]
    fn whatever_is_said_to_one_that_does_not_read_there_is_little_of_it() {
        use ToTenant::{Contended, Enabled, Evict, Fetch, Notice, Swap, Terms};
        let mut said = Vec::new();
        for n in 0..1000 {
            let shares = vec![share((n % 7) as u8, n)];
            said.extend([grant(n), revoke(n), Contended(n % 2 == 0), Enabled(true), Swap(Bytes(n))]);
            said.extend([Fetch(shares.clone()), Evict(shares), Notice(n.to_string())]);
            said.push(Terms(nvshare_protocol::tenant::Terms { reserve: Bytes(n), limit: None }));
        }
        assert!(after(&said).len() <= 8 + NOTICES);
    }

    #[tokio::test]
    async fn the_end_is_told_after_the_last_message() {
        let (outbound, inbox) = mailbox();
        outbound.put(ToTenant::Enabled(true));
        drop(outbound);
        inbox.changed().await;
        assert!(inbox.is_closed() && inbox.take().is_some() && inbox.take().is_none());
    }
}
