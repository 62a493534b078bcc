//! Quotas of a device's time, and what was used of them.
use crate::model::ids::TenantId;
use nvshare_protocol::Nanos;
use std::collections::BTreeSet;

/// A period lasts so long at least. Where turns are taken with others, it lasts as long as it takes for a whole turn to
/// be the quota's part of it: shorter turns would go into hand-overs.
pub const PERIOD: Nanos = Nanos(Nanos::SECOND.0);

/// A tenant's quota. What the tenants of a group hold is counted together, and the least of their quotas holds for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    pub group: u64,
    /// 1 to 99.
    pub percent: u32,
}

impl Quota {
    /// How much that is of the shortest period.
    pub fn of_period(self) -> Nanos {
        Nanos(PERIOD.0 / 100 * u64::from(self.percent))
    }
}

/// What a group has used of one device in the present period. Time in which several of its tenants hold counts once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    pub start: Nanos,
    pub past: Nanos,
    /// Who holds now, with its gate open, and since when anybody does.
    pub holders: BTreeSet<TenantId>,
    pub since: Nanos,
    /// The quota of the last holder.
    pub last_percent: u32,
}

impl Usage {
    pub fn used(&self, now: Nanos) -> Nanos {
        let present = if self.holders.is_empty() { Nanos::ZERO } else { now.saturating_sub(self.since) };
        self.past.saturating_add(present)
    }

    /// When the period is over: when what was used is no more than the quota's part of it.
    pub fn period_ends(&self, now: Nanos, percent: u32) -> Nanos {
        let whole = u128::from(self.used(now).0) * 100 / u128::from(percent.max(1));
        self.start.saturating_add(Nanos(u64::try_from(whole).unwrap_or(u64::MAX)).max(PERIOD))
    }

    pub fn renew(&mut self, now: Nanos, percent: u32) {
        if self.period_ends(now, percent) <= now {
            (self.start, self.since, self.past) = (now, now, Nanos::ZERO);
        }
    }

    pub fn begin(&mut self, id: TenantId, now: Nanos, percent: u32) {
        self.renew(now, percent);
        self.last_percent = percent;
        if self.holders.is_empty() {
            self.since = now;
        }
        self.holders.insert(id);
    }

    pub fn end(&mut self, id: TenantId, now: Nanos) {
        let used = self.used(now);
        if self.holders.remove(&id) {
            (self.past, self.since) = (used, now);
        }
    }
}
