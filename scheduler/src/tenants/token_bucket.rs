//! Limits the rate of one peer's messages.
use nvshare_protocol::Nanos;

/// A bucket of tokens, one a message: filled at a steady rate, with room for two seconds of it.
#[derive(Debug)]
pub struct TokenBucket {
    per_second: u64,
    /// In billionths of a token.
    level: u64,
    at: Nanos,
}

impl TokenBucket {
    const TOKEN: u64 = 1_000_000_000;

    #[must_use]
    pub fn new(per_second: u64, now: Nanos) -> Self {
        let per_second = per_second.clamp(1, 1_000_000_000);
        Self { per_second, level: per_second.saturating_mul(2 * Self::TOKEN), at: now }
    }

    /// Whether as many messages are within the rate as ever.
    #[must_use]
    pub fn is_full(&self, now: Nanos) -> bool {
        self.level_at(now) == self.most()
    }

    fn most(&self) -> u64 {
        self.per_second.saturating_mul(2 * Self::TOKEN)
    }

    fn level_at(&self, now: Nanos) -> u64 {
        let gained = now.saturating_sub(self.at).0.saturating_mul(self.per_second);
        self.level.saturating_add(gained).min(self.most())
    }

    /// Whether one more message is within the rate.
    pub fn take(&mut self, now: Nanos) -> bool {
        self.level = self.level_at(now);
        self.at = self.at.max(now);
        let enough = self.level >= Self::TOKEN;
        if enough {
            self.level -= Self::TOKEN;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seconds_worth_at_once_then_the_rate() {
        let mut bucket = TokenBucket::new(1000, Nanos(0));
        assert_eq!((0..3000).filter(|_| bucket.take(Nanos(0))).count(), 2000);
        assert_eq!((0..3000).filter(|_| bucket.take(Nanos::from_millis(100))).count(), 100);
        assert_eq!((0..9000).filter(|_| bucket.take(Nanos::MAX)).count(), 2000);
    }
}
