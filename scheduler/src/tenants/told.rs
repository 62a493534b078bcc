//! What connections tell the one loop that talks to the core.
use crate::identity::Identity;
use nvshare_core::event::TenantId;
use nvshare_protocol::tenant::{Hello, ToScheduler, ToTenant};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What the loop has for one connection; dropped, the connection is closed when it is written.
pub type Outbound = mpsc::Sender<Out>;

/// A message, and the file that goes with it.
#[derive(Debug)]
pub struct Out {
    pub message: ToTenant,
    pub file: Option<Arc<OwnedFd>>,
}

impl From<ToTenant> for Out {
    fn from(message: ToTenant) -> Self {
        Self { message, file: None }
    }
}

/// From a connection. Everything in it is validated.
#[derive(Debug)]
pub enum Told {
    Joined(Box<Joined>),
    /// Anything but a hello.
    Said(TenantId, ToScheduler),
    /// The connection is gone; none: as a process's end closes it.
    Left(TenantId, Option<String>),
}

/// A connection that has said hello.
#[derive(Debug)]
pub struct Joined {
    pub tenant: TenantId,
    pub who: Identity,
    pub hello: Hello,
    pub outbound: Outbound,
}
