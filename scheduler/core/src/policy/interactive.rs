//! Tenants that mostly sleep are served at once: before the others in line, and before the turns of holders are over.
//! What that may cost the others is bounded here.
use crate::model::Model;
use crate::model::decay::HeldTime;
use crate::model::ids::TenantId;
use crate::model::lease::Lease;
use crate::policy::{bandwidth, fairness, thrash};
use nvshare_protocol::Nanos;

/// A holder keeps the device for at least so long once its memory is back, however eager the next one is.
const MIN_GRANULARITY: Nanos = Nanos::from_millis(50);

/// See [`crate::model::decay::DecayingSum::ALWAYS`].
const FULL_USE: Nanos = HeldTime::ALWAYS;

/// Whether a tenant mostly sleeps, and is served at once: it did in its last turn, and what it used of late
/// while others waited is less than what would be its share if it had as much work as they.
/// All such tenants together have at most half of a device's time, or the others might never have a turn. One of a
/// group with a quota would use it up before those of the group that wait already.
pub(crate) fn is_interactive(model: &Model, id: TenantId) -> bool {
    let tenant = model.tenants.get(&id).filter(|tenant| model.settings().overlap && tenant.was_mostly_idle);
    let Some(tenant) = tenant.filter(|tenant| !bandwidth::has_waiting_groupmate(model, id, tenant)) else {
        return false;
    };
    let own = tenant.weight();
    tenant.devices.keys().all(|device| {
        let at = &model.devices[device];
        let others = at.index().waiting_weight + at.index().holding_weight;
        let share = u128::from(FULL_USE.0) * u128::from(own) / u128::from(own + others);
        u128::from(tenant.recent_use.at(model.now).0) < share
            && at.boost.recent(model.now) < Nanos(FULL_USE.0 / 2)
            && fairness::may_boost(model, id, *device)
    })
}

/// Until when a holder goes on in any case: for two thirds of what it took to have its memory there, or would take,
/// from when it was told to leave if its turn was broken off. Others never leave it less than two fifths of the time.
/// Where idle holders are kept, for as long as those.
pub(crate) fn preemptible_at(model: &Model, lease: &Lease) -> Nanos {
    let Some(ready) = lease.ready_at else { return Nanos::MAX };
    let away = ready.saturating_sub(lease.continues.map_or(lease.granted_at, |turn| turn.revoked_at));
    let cost = lease.devices.iter().map(|device| model.devices[device].cost()).max().unwrap_or_default();
    ready
        .saturating_add(Nanos(away.max(cost).0 / 3 * 2).max(MIN_GRANULARITY))
        .max(thrash::hold_idle_until(model, lease))
}
