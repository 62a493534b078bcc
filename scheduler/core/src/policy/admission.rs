//! Which tenants may hold at the same time, and when holders may be preempted.
use crate::event::EvictMode;
use crate::memory::capacity;
use crate::model::Model;
use crate::model::gang_state::GangState;
use crate::model::ids::TenantId;
use crate::model::lease::Lease;
use crate::model::tenant::Tenant;
use crate::policy::{claims, families, priority};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};
use std::collections::BTreeSet;

/// Whether tenants that fit on a device together hold it together at present.
pub(crate) fn shares_devices(model: &Model) -> bool {
    model.settings().share && model.settings().evict != EvictMode::Always
}

/// Until when the tenant waits for those that may hold its devices since before this run. Where tenants share devices,
/// there may be more of them than have come back.
pub(crate) fn grace_until(model: &Model, tenant: TenantId) -> Option<Nanos> {
    if model.settings().grace <= model.now {
        return None;
    }
    let mut devices = model.tenants.get(&tenant)?.devices.keys();
    let known = !shares_devices(model) && devices.all(|device| model.devices[device].holder_returned);
    (!known).then_some(model.settings().grace)
}

/// The holders that have to leave before the tenant can be granted its devices.
pub(crate) fn conflicting_holders(model: &Model, tenant: TenantId) -> BTreeSet<TenantId> {
    let devices = model.tenants.get(&tenant).into_iter().flat_map(|tenant| tenant.devices.keys());
    let victims = devices.flat_map(|device| victims_on(model, *device, tenant));
    victims.chain(families::in_the_way(model, tenant)).collect()
}

/// The holders that must leave the device so that the tenant fits beside the rest: those of the least priority, and
/// among them those whose turns end first.
pub(crate) fn victims_on(model: &Model, device: DeviceId, tenant: TenantId) -> Vec<TenantId> {
    let at = &model.devices[&device];
    if !shares_devices(model) {
        return at.index().holders.iter().copied().filter(|&id| id != tenant).collect();
    }
    let own = model.facts(tenant, device);
    let more = if own.holds() { Bytes::ZERO } else { own.allocated };
    let usable = u128::from(capacity::usable_for(model, own, device).0)
        .saturating_sub(claims::credited_unevictable(model, own, device));
    let mut sum = at.index().held_allocated + u128::from(more.0);
    let mut victims = unsettled_gangs(model, device, tenant);
    for other in &victims {
        sum -= u128::from(model.facts(*other, device).allocated.0);
    }
    let gangs = victims.len();
    for &(.., other) in at.index().preemption_order.iter().filter(|(.., other)| *other != tenant) {
        if sum <= usable {
            break;
        }
        if !victims[..gangs].contains(&other) {
            sum -= u128::from(model.facts(other, device).allocated.0);
            victims.push(other);
        }
    }
    victims
}

/// The gangs on the device that this one may not be beside, because what one of the two needs is not known. If both grew
/// until the device is full, neither could leave: in each, a member might wait for room, and another one for that member
/// in its kernels.
fn unsettled_gangs(model: &Model, device: DeviceId, tenant: TenantId) -> Vec<TenantId> {
    let is_settled = |id: TenantId| model.tenants.get(&id)?.gang.map(|state| state == GangState::Settled);
    let Some(own) = is_settled(tenant) else { return Vec::new() };
    let others = model.devices[&device].index().gangs.iter().copied().filter(|other| *other != tenant);
    others.filter(|other| !own || is_settled(*other) == Some(false)).collect()
}

/// Whether a holder may have the device too: nobody waits for it, and the tenant fits. A tenant that comes back after a
/// restart goes before those that wait.
pub(crate) fn may_join(model: &Model, tenant: TenantId, device: DeviceId) -> bool {
    let back = model.now < model.settings().grace && model.lease(tenant).is_some_and(|l| l.id == LeaseId(0));
    (back || model.devices[&device].queue().is_empty()) && victims_on(model, device, tenant).is_empty()
}

/// Whether there are more holders than may have the device at the same time: they are larger than it together, or tenants
/// take turns with it by now.
pub(crate) fn is_overcommitted(model: &Model, device: DeviceId) -> bool {
    let at = &model.devices[&device];
    let kept = at.index().unevictable.saturating_sub(at.index().held_unevictable);
    let room = || u128::from(capacity::usable_on(model, device).0).saturating_sub(kept);
    at.index().holders.len() > 1 && (!shares_devices(model) || at.index().held_allocated > room())
}

/// When the turns of all these holders are over, for this tenant. None: all of them have been revoked.
pub(crate) fn earliest_preemption(
    model: &Model,
    tenant: TenantId,
    holders: &BTreeSet<TenantId>,
) -> Option<Nanos> {
    let request = model.request(tenant);
    let interactive_since = request.filter(|request| request.interactive).map(|request| request.since);
    let holders = holders.iter().filter_map(|id| model.tenants.get(id));
    let running = holders.filter_map(Tenant::lease).filter(|lease| !lease.is_revoked());
    let ends = running.map(|lease| {
        let by_priority =
            request.and_then(|request| priority::preempted_by_priority_at(model, lease, tenant, request));
        let end = lease.turn_end();
        let by_interactivity =
            || interactive_since.map_or(end, |since| end.min(lease.preemptible_at.max(since)));
        by_priority.unwrap_or_else(by_interactivity)
    });
    ends.max()
}

/// Whether the tenant's lease may be revoked at any time.
pub(crate) fn is_contended(model: &Model, tenant: &Tenant, lease: &Lease) -> bool {
    tenant.quota.is_some() || tenant.is_paused || is_waited_for(model, lease)
}

/// Whether anybody waits for a device that this lease keeps.
pub(crate) fn is_waited_for(model: &Model, lease: &Lease) -> bool {
    lease.devices.iter().any(|device| !model.devices[device].queue().is_empty())
}
