//! When the program's user is told that it waits for its turn.
use std::time::{Duration, Instant};

/// A wait is told when it has lasted so long.
pub const LONG: Duration = Duration::from_secs(5);
/// The next one not before this time has passed.
pub const SAY_AGAIN: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub struct LongWait {
    said: Option<Instant>,
}

impl LongWait {
    /// When a wait that began at `since` is to be told.
    pub fn due(&self, since: Instant) -> Instant {
        (since + LONG).max(self.said.map_or(since, |said| said + SAY_AGAIN))
    }

    /// Whether it is to be told now.
    pub fn take_if_due(&mut self, since: Instant, now: Instant) -> bool {
        let is_due = now >= self.due(since);
        if is_due {
            self.said = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_wait_is_told_and_the_next_not_too_soon() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut wait = LongWait::default();
        assert!(!wait.take_if_due(start, start + LONG - second));
        assert!(wait.take_if_due(start, start + LONG));
        assert!(!wait.take_if_due(start, start + LONG), "it was told");
        let next = start + SAY_AGAIN;
        assert!(!wait.take_if_due(next - 2 * LONG, next), "another wait, too soon");
        assert_eq!(wait.due(next - 2 * LONG), next + LONG);
        assert!(wait.take_if_due(next, next + LONG));
    }
}
