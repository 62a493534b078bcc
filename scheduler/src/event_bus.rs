//! Publishes what happens to the operators that subscribe (`nvsharectl events`).
use crate::clock::Clock;
use nvshare_protocol::control::AuditEvent;
use std::sync::Arc;
use tokio::sync::broadcast;

/// How many events a subscriber may be behind. It misses older ones, and is told how many.
const CAPACITY: usize = 1024;

/// Where events are published. It waits for nobody, and does nothing without subscribers.
#[derive(Debug)]
pub struct EventBus {
    clock: Clock,
    subscribers: broadcast::Sender<Arc<AuditEvent>>,
}

impl EventBus {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, subscribers: broadcast::Sender::new(CAPACITY) }
    }

    /// Publishes what `event` makes, with its time.
    pub fn publish(&self, event: impl FnOnce() -> AuditEvent) {
        if self.subscribers.receiver_count() == 0 {
            return;
        }
        let seconds = self.clock.now().as_secs_f64();
        // The last subscriber may have gone meanwhile.
        let _ = self.subscribers.send(Arc::new(AuditEvent { seconds, ..event() }));
    }

    /// The events from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<AuditEvent>> {
        self.subscribers.subscribe()
    }
}
