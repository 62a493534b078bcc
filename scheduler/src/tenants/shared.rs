//! What all connections share.
use super::inbound::Inbound;
use crate::clock::Clock;
use crate::event_bus::EventBus;
use crate::identity::Host;
use crate::rate_limited_log::RateLimitedLog;
use nvshare_protocol::Nanos;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::mpsc;

/// What all connections share.
#[derive(Debug)]
pub struct Shared {
    pub clock: Clock,
    pub log: Arc<RateLimitedLog>,
    pub host: Host,
    pub events: EventBus,
    pub queue: mpsc::Sender<Inbound>,
    pub hello_timeout: Nanos,
    pub messages_per_second: u64,
    /// Whether the calls of a process without a permit fail, instead of waiting.
    pub full_fails: bool,
    /// The number of the last tenant.
    pub tenants: AtomicU64,
}
