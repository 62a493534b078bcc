//! Limits the rate of log lines that peers can provoke, in all and for each owner, and counts those that are withheld.
use crate::clock::Clock;
use crate::identity::Identity;
use nvshare_protocol::Nanos;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// At most 100 lines in any second, and for each owner 20 a second after a burst of 50. The first line that is written
/// afterwards is preceded by the number of withheld ones.
#[derive(Debug)]
pub struct RateLimitedLog {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    common: Window,
    owners: HashMap<u64, OwnerBudget>,
}

#[derive(Debug, Default)]
struct Window {
    since: Nanos,
    written: u32,
    withheld: u64,
}

/// One owner's budget.
#[derive(Debug)]
struct OwnerBudget {
    /// In billionths of a line.
    level: u64,
    at: Nanos,
    withheld: u64,
}

/// How many lines were withheld before one that may be written.
#[derive(Debug, Default, PartialEq, Eq)]
struct Withheld {
    common: u64,
    owner: u64,
}

impl RateLimitedLog {
    const MOST: u32 = 100;
    const BURST: u64 = 50;
    const RATE: u64 = 20;
    /// How many owners are known at a time. All others share one budget.
    const OWNERS: usize = 256;
    const REST: u64 = u64::MAX;
    const LINE: u64 = 1_000_000_000;

    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Writes the line at `warn`, if the limit allows.
    pub fn warn(&self, line: &str) {
        if self.permit(None) {
            tracing::warn!("{line}");
        }
    }

    /// Writes the line at `info`, if the limit allows.
    pub fn info(&self, line: &str) {
        if self.permit(None) {
            tracing::info!("{line}");
        }
    }

    /// Writes a line that `who` has provoked at `warn`, if the limits allow.
    pub fn warn_of(&self, who: &Identity, line: &str) {
        if self.permit(Some(who)) {
            tracing::warn!("{line}");
        }
    }

    /// Writes a line that `who` has provoked at `info`, if the limits allow.
    pub fn info_of(&self, who: &Identity, line: &str) {
        if self.permit(Some(who)) {
            tracing::info!("{line}");
        }
    }

    fn permit(&self, who: Option<&Identity>) -> bool {
        let before = self.next(who.map(Identity::owner));
        let Some(before) = before else { return false };
        if before.common > 0 {
            tracing::warn!("{} lines about tenants were not written: too many in a second", before.common);
        }
        if let Some(who) = who.filter(|_| before.owner > 0) {
            let (lines, owner) = (before.owner, who.owner_name());
            tracing::warn!("{lines} lines about {owner} were not written: too many by one owner");
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a line may be written, and how many were withheld before it.
    fn next(&self, owner: Option<u64>) -> Option<Withheld> {
        let now = self.clock.now();
        let mut state = self.lock();
        let State { common, owners } = &mut *state;
        let mut budget = owner.map(|owner| OwnerBudget::of(owners, owner, now));
        if budget.as_deref_mut().is_some_and(|budget| !budget.take(now)) {
            return None;
        }
        let common = common.next(now, Self::MOST)?;
        Some(Withheld { common, owner: budget.map_or(0, |budget| std::mem::take(&mut budget.withheld)) })
    }
}

impl Window {
    fn next(&mut self, now: Nanos, most: u32) -> Option<u64> {
        if now.saturating_sub(self.since) >= Nanos::SECOND {
            (self.since, self.written) = (now, 0);
        }
        if self.written >= most {
            self.withheld += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.withheld))
    }
}

impl OwnerBudget {
    const FULL: u64 = RateLimitedLog::BURST * RateLimitedLog::LINE;

    /// The owner's budget. Where too many are known, those that are full are forgotten.
    fn of(owners: &mut HashMap<u64, Self>, owner: u64, now: Nanos) -> &mut Self {
        if owners.len() >= RateLimitedLog::OWNERS && !owners.contains_key(&owner) {
            owners.retain(|_, budget| budget.level_at(now) < Self::FULL);
        }
        let known = owners.contains_key(&owner) || owners.len() < RateLimitedLog::OWNERS;
        let owner = if known { owner } else { RateLimitedLog::REST };
        owners.entry(owner).or_insert(Self { level: Self::FULL, at: now, withheld: 0 })
    }

    fn level_at(&self, now: Nanos) -> u64 {
        let gained = now.saturating_sub(self.at).0.saturating_mul(RateLimitedLog::RATE);
        self.level.saturating_add(gained).min(Self::FULL)
    }

    fn take(&mut self, now: Nanos) -> bool {
        self.level = self.level_at(now);
        self.at = now;
        let enough = self.level >= RateLimitedLog::LINE;
        if enough {
            self.level -= RateLimitedLog::LINE;
        } else {
            self.withheld += 1;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::advance;

    fn written(log: &RateLimitedLog, owner: Option<u64>, lines: u32) -> usize {
        (0..lines).filter_map(|_| log.next(owner)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_lines_is_counted_and_told() {
        let log = RateLimitedLog::new(Clock::start());
        assert_eq!(written(&log, None, 180), 100);
        advance(Duration::from_secs(1)).await;
        assert_eq!(log.next(None), Some(Withheld { common: 80, owner: 0 }));
        assert_eq!(log.next(None), Some(Withheld::default()));
    }

    #[tokio::test(start_paused = true)]
    async fn one_owner_leaves_lines_for_others() {
        let log = RateLimitedLog::new(Clock::start());
        assert_eq!(written(&log, Some(1), 1000), 50);
        assert_eq!(written(&log, Some(2), 10), 10, "another one's");
        let mut all = 0;
        for _ in 0..10 {
            advance(Duration::from_secs(1)).await;
            all += written(&log, Some(1), 1000);
        }
        assert_eq!(all, 200);
        advance(Duration::from_secs(1)).await;
        assert_eq!(log.next(Some(1)), Some(Withheld { common: 0, owner: 980 }), "of the last second");
    }

    #[tokio::test(start_paused = true)]
    async fn owners_without_end_are_bounded_and_the_quiet_make_room() {
        let log = RateLimitedLog::new(Clock::start());
        for owner in 0..10_000 {
            let _ = log.next(Some(owner));
        }
        assert!(log.lock().owners.len() <= RateLimitedLog::OWNERS + 1);
        advance(Duration::from_secs(60)).await;
        assert!(log.next(Some(77_777)).is_some());
        assert!(log.lock().owners.contains_key(&77_777));
    }
}
