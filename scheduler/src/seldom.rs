//! Log lines that a peer can provoke: so many a second, the rest counted.
use crate::clock::Clock;
use nvshare_protocol::Nanos;
use std::sync::{Mutex, PoisonError};

/// At most a hundred lines in any second; the first one after a pause tells how many were not written.
#[derive(Debug)]
pub struct Seldom {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    since: Nanos,
    written: u32,
    withheld: u64,
}

impl Seldom {
    const MOST: u32 = 100;

    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Writes the line at `warn`, if its turn has come.
    pub fn warn(&self, line: &str) {
        if self.may() {
            tracing::warn!("{line}");
        }
    }

    /// Writes the line at `info`, if its turn has come.
    pub fn info(&self, line: &str) {
        if self.may() {
            tracing::info!("{line}");
        }
    }

    fn may(&self) -> bool {
        let withheld = self.next();
        if let Some(lines @ 1..) = withheld {
            tracing::warn!("{lines} lines about tenants were not written: too many in a second");
        }
        withheld.is_some()
    }

    /// The number of lines withheld before this one, which may be written; or none, and it may not.
    fn next(&self) -> Option<u64> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(state.since) >= Nanos::SECOND {
            (state.since, state.written) = (now, 0);
        }
        if state.written >= Self::MOST {
            state.withheld += 1;
            return None;
        }
        state.written += 1;
        Some(std::mem::take(&mut state.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_lines_is_counted_and_told() {
        let seldom = Seldom::new(Clock::start());
        assert_eq!((0..180).filter_map(|_| seldom.next()).count(), 100);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        assert_eq!(seldom.next(), Some(80));
        assert_eq!(seldom.next(), Some(0));
    }
}
