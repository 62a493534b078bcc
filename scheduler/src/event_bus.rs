//! What happens, for those operators that follow it (`nvsharectl events`).
use crate::clock::Clock;
use nvshare_protocol::control::Event;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Events that a follower may be behind; those before are lost to it, and it is told how many.
const BEHIND: usize = 1024;

/// Where events are told. Nobody is waited for, and without followers nothing is done.
#[derive(Debug)]
pub struct Feed {
    clock: Clock,
    followers: broadcast::Sender<Arc<Event>>,
}

impl Feed {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, followers: broadcast::Sender::new(BEHIND) }
    }

    /// Tells what `event` makes, with its time.
    pub fn tell(&self, event: impl FnOnce() -> Event) {
        if self.followers.receiver_count() == 0 {
            return;
        }
        let seconds = self.clock.now().as_secs_f64();
        // The last follower may have gone meanwhile.
        let _ = self.followers.send(Arc::new(Event { seconds, ..event() }));
    }

    /// From now on.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Arc<Event>> {
        self.followers.subscribe()
    }
}
