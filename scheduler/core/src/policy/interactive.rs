//! Interactive tenants, which mostly sleep, are served at once: before other requests, and before the turns of holders
//! are over. What that may cost the others is bounded here.
use crate::model::Model;
use crate::model::decay::HeldTime;
use crate::model::ids::TenantId;
use crate::model::lease::Lease;
use crate::policy::{bandwidth, fairness, thrash};
use nvshare_protocol::Nanos;

/// A holder keeps the device for at least this long once its memory is resident, even if the next tenant is
/// interactive.
const MIN_GRANULARITY: Nanos = Nanos::from_millis(50);

/// The limit of [`HeldTime`] for a tenant that holds all the time.
const FULL_USE: Nanos = HeldTime::ALWAYS;

/// Whether a tenant is interactive: it was idle in its last turn, and its recent use while others waited is less than
/// its fair share. All interactive tenants together get at most half of a device's time, so that the others have turns
/// too. A tenant of a group with a quota is not interactive while others of its group wait: it would use up their quota
/// before them.
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

/// Until when a holder cannot be preempted by an interactive tenant: for two thirds of the time that bringing in its
/// memory took, or a hand-over costs. If it resumes a preempted turn, the time since its revocation counts. So the
/// holder gets at least two fifths of the time. Where idle holders are kept against thrashing, it is kept for as long
/// as those.
pub(crate) fn preemptible_at(model: &Model, lease: &Lease, ready_at: Option<Nanos>) -> Nanos {
    let Some(ready) = ready_at else { return Nanos::MAX };
    let away = ready.saturating_sub(lease.continues.map_or(lease.granted_at, |turn| turn.revoked_at));
    let cost = lease.devices.iter().map(|device| model.devices[device].cost()).max().unwrap_or_default();
    ready
        .saturating_add(Nanos(away.max(cost).0 / 3 * 2).max(MIN_GRANULARITY))
        .max(thrash::hold_idle_until(model, lease))
}
