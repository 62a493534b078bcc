//! Tenants that mostly sleep are served at once: before the others in line, and before the turns of holders are over.
//! What that may cost the others is bounded here.
use crate::Core;
use crate::event::TenantId;
use crate::model::lease::Lease;
use crate::model::settings::seconds;
use nvshare_protocol::Nanos;
use std::collections::BTreeSet;

/// A holder keeps the device for at least so long once its memory is back, however eager the next one is.
const MIN_GRANULARITY: Nanos = Nanos::from_millis(50);
/// A turn that was broken off goes on if the tenant asks so soon.
const RESUME_WITHIN: Nanos = Nanos::from_millis(50);

/// A turn that ended before its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreemptedTurn {
    /// What was left of it.
    pub remaining: Nanos,
    /// How long all of it lasts, and when its first part was granted.
    pub whole: Nanos,
    pub began_at: Nanos,
    /// When the tenant was told to leave, and when it had.
    pub revoked_at: Nanos,
    pub ended_at: Nanos,
    /// When it was asked for.
    pub requested_at: Nanos,
    /// It had nothing to do.
    pub was_idle: bool,
}

impl PreemptedTurn {
    /// Whether a request at this time is for the rest of it. A turn takes no more than twice its length, interruptions
    /// included: with others that come first it would keep those that wait from theirs.
    pub fn may_resume(&self, now: Nanos) -> bool {
        let in_time = now.saturating_sub(self.began_at) <= Nanos(self.whole.0.saturating_mul(2));
        self.remaining > Nanos::ZERO && now.saturating_sub(self.ended_at) <= RESUME_WITHIN && in_time
    }
}

/// Time that was spent, of which half is forgotten in so many seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DecayingSum<const HALF_LIFE: u64> {
    sum: Nanos,
    updated_at: Nanos,
}

/// With the gate open, while others waited.
pub(crate) type HeldTime = DecayingSum<10>;
/// See [`Recent::ALWAYS`].
const FULL_USE: Nanos = HeldTime::ALWAYS;

impl<const HALF_LIFE: u64> DecayingSum<HALF_LIFE> {
    /// All of the time counts for so much: the half-life by the natural logarithm of 2.
    pub const ALWAYS: Nanos = Nanos(seconds(HALF_LIFE).0 / 100 * 144);

    /// As it is `now`.
    pub fn at(self, now: Nanos) -> Nanos {
        let passed = now.saturating_sub(self.updated_at).0;
        let half_life = seconds(HALF_LIFE).0;
        let (halves, rest) = (passed / half_life, passed % half_life);
        let left = self.sum.0.checked_shr(u32::try_from(halves).unwrap_or(u32::MAX)).unwrap_or(0);
        // Linear within one half-life.
        let gone = u128::from(left) * u128::from(rest) / (2 * u128::from(half_life));
        Nanos(left - u64::try_from(gone).unwrap_or(left).min(left))
    }

    pub fn add(&mut self, now: Nanos, spent: Nanos) {
        self.sum = self.at(now).saturating_add(spent.min(seconds(15)));
        self.updated_at = now;
    }
}

/// The time in which a device is held by tenants that came before others.
#[derive(Clone, Debug, Default)]
pub(crate) struct InteractiveBoost {
    boosted: BTreeSet<TenantId>,
    since: Nanos,
    past: HeldTime,
}

impl InteractiveBoost {
    pub fn begin(&mut self, id: TenantId, now: Nanos) {
        if self.boosted.is_empty() {
            self.since = now;
        }
        self.boosted.insert(id);
    }

    pub fn end(&mut self, id: TenantId, now: Nanos) {
        if self.boosted.remove(&id) && self.boosted.is_empty() {
            self.past.add(now, now.saturating_sub(self.since));
        }
    }

    /// As much as counts of it now.
    fn recent(&self, now: Nanos) -> Nanos {
        let present = if self.boosted.is_empty() { Nanos::ZERO } else { now.saturating_sub(self.since) };
        self.past.at(now).saturating_add(present)
    }
}

impl Core {
    /// Whether a tenant mostly sleeps, and is served at once: it did in its last turn, and what it used of late
    /// while others waited is less than what would be its share if it had as much work as they.
    /// All such tenants together have at most half of a device's time, or the others might never have a turn. One of a
    /// group with a quota would use it up before those of the group that wait already.
    pub(crate) fn is_interactive(&self, id: TenantId) -> bool {
        let tenant = self.tenants.get(&id).filter(|tenant| self.settings.overlap && tenant.was_mostly_idle);
        let Some(tenant) = tenant.filter(|tenant| !self.has_waiting_groupmate(id, tenant)) else {
            return false;
        };
        let own = tenant.weight();
        tenant.devices.keys().all(|device| {
            let at = &self.devices[device];
            let others = at.index.waiting_weight + at.index.holding_weight;
            let share = u128::from(FULL_USE.0) * u128::from(own) / u128::from(own + others);
            u128::from(tenant.recent_use.at(self.now).0) < share
                && at.boost.recent(self.now) < Nanos(FULL_USE.0 / 2)
                && self.may_boost(id, *device)
        })
    }

    /// Until when a holder goes on in any case: for two thirds of what it took to have its memory there, or would take,
    /// from when it was told to leave if its turn was broken off. Others never leave it less than two fifths of the time.
    /// Where idle holders are kept, for as long as those.
    pub(crate) fn preemptible_at(&self, lease: &Lease) -> Nanos {
        let Some(ready) = lease.ready_at else { return Nanos::MAX };
        let away = ready.saturating_sub(lease.continues.map_or(lease.granted_at, |turn| turn.revoked_at));
        let cost = lease.devices.iter().map(|device| self.devices[device].cost()).max().unwrap_or_default();
        ready
            .saturating_add(Nanos(away.max(cost).0 / 3 * 2).max(MIN_GRANULARITY))
            .max(self.hold_idle_until(lease))
    }
}
