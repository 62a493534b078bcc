//! What all connections share.
use super::inbound::Inbound;
use crate::clock::Clock;
use crate::event_bus::EventBus;
use crate::identity::Host;
use crate::rate_limited_log::RateLimitedLog;
use crate::settings::DaemonSettings;
use nvshare_protocol::Nanos;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::mpsc;

/// What connections have to keep to. New rules hold for connections that are made from then on.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionRules {
    pub hello_timeout: Nanos,
    pub messages_per_second: u64,
    /// Whether the calls of a process without a permit fail, instead of waiting.
    pub full_fails: bool,
}

impl ConnectionRules {
    #[must_use]
    pub fn of(settings: &DaemonSettings) -> Self {
        let DaemonSettings { hello_timeout, messages_per_second, full_fails, .. } = *settings;
        Self { hello_timeout, messages_per_second, full_fails }
    }
}

/// What all connections share.
#[derive(Debug)]
pub struct Shared {
    pub clock: Clock,
    pub log: Arc<RateLimitedLog>,
    pub host: Host,
    pub events: EventBus,
    pub queue: mpsc::Sender<Inbound>,
    rules: RwLock<ConnectionRules>,
    /// The number of the last tenant.
    pub tenants: AtomicU64,
}

impl Shared {
    #[must_use]
    pub fn new(
        clock: Clock,
        log: Arc<RateLimitedLog>,
        queue: mpsc::Sender<Inbound>,
        settings: &DaemonSettings,
    ) -> Self {
        Self {
            clock,
            log,
            host: Host::default(),
            events: EventBus::new(clock),
            queue,
            rules: RwLock::new(ConnectionRules::of(settings)),
            tenants: AtomicU64::new(0),
        }
    }

    #[must_use]
    pub fn rules(&self) -> ConnectionRules {
        *self.rules.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_rules(&self, settings: &DaemonSettings) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = ConnectionRules::of(settings);
    }
}
