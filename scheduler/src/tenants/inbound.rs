//! What connections, and the watchers of processes, hand to the loop.
use super::mailbox::Outbound;
use crate::identity::Identity;
use crate::process::Key;
use crate::swap::pages::Freed;
use crate::tenants::permits::Permit;
use nvshare_core::event::TenantId;
use nvshare_protocol::tenant::{Hello, ToScheduler};

/// From a connection, or about a process. Everything in it is validated.
#[derive(Debug)]
pub enum Inbound {
    Connected(Box<Connected>),
    /// Anything but a hello.
    Message(TenantId, ToScheduler),
    /// The connection is closed, and why; none: as at the end of a process.
    Closed(TenantId, Option<String>),
    /// The process has ended.
    ProcessEnded(Key),
    /// The swap space of a process that has ended has been freed.
    SwapFreed(Freed),
}

/// A connection that has said hello.
#[derive(Debug)]
pub struct Connected {
    pub tenant: TenantId,
    pub who: Identity,
    pub hello: Hello,
    pub outbound: Outbound,
    pub permit: Permit,
}
