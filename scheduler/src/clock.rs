//! The only place where this process reads a clock.
use nvshare_protocol::Nanos;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Time since the daemon's start, monotonic.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The time of day, for people.
    #[must_use]
    pub fn time_of_day() -> SystemTime {
        SystemTime::now()
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Returns when `deadline` has come; never, where there is none.
    pub async fn until(&self, deadline: Option<Nanos>) {
        /// Further ahead than any process lives, and still a point in time that can be added.
        const FAR: u64 = 3_000_000_000_000_000_000;
        match deadline {
            Some(Nanos(at)) if at < FAR => {
                tokio::time::sleep_until(self.start + Duration::from_nanos(at)).await;
            }
            _ => std::future::pending().await,
        }
    }
}
