//! Tenants that have used up their quota, or that are in debt, wait in no queue.
use crate::engine::state::Engine;
use crate::engine::{contention, leases, queueing, usage};
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::quota::Quota;
use crate::model::request::{Throttle, Wait};
use crate::policy::{admission, bandwidth, fairness};
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeSet;

/// From now on the tenant and those of its group may hold so much of each device's time together, or less if one of
/// them may; 100: it may hold all of it and counts for nobody.
pub(crate) fn on_time_share(engine: &mut Engine, id: TenantId, group: u64, percent: u32) {
    let model = &mut engine.model;
    let now = model.now;
    model
        .usages
        .retain(|_, usage| !usage.holders.is_empty() || usage.period_ends(now, usage.last_percent) > now);
    leave_group(model, id);
    if model.tenants.get(&id).is_none() {
        return;
    }
    let quota = (percent < 100).then_some(Quota { group, percent: percent.max(1) });
    model.update(id, |tenant| tenant.quota = quota);
    if let Some(quota) = quota {
        model.groups.entry(group).or_default().insert((quota.percent, id));
        regroup(model, group);
    }
    usage::start_charging(model, id);
    contention::notify_if_contended(engine, id);
}

/// The tenant is of no group any more.
pub(crate) fn leave_group(model: &mut Model, id: TenantId) {
    usage::stop_charging(model, id);
    unthrottle(model, id);
    let Some(quota) = model.tenants.get(&id).and_then(|tenant| tenant.quota) else { return };
    model.update(id, |tenant| tenant.quota = None);
    let Some(members) = model.groups.get_mut(&quota.group) else { return };
    members.remove(&(quota.percent, id));
    if members.is_empty() {
        model.groups.remove(&quota.group);
    }
    regroup(model, quota.group);
}

/// What the group may have together has changed.
fn regroup(model: &mut Model, group: u64) {
    let members: Vec<TenantId> = model.groups.get(&group).into_iter().flatten().map(|(_, id)| *id).collect();
    for id in members {
        unthrottle(model, id);
        // When a holder has used up its quota has changed: its devices have to be looked at.
        model.update(id, |_| ());
    }
}

/// Puts a throttled request into the queues again. After a quota it stands where it stood: the quota has kept the tenant
/// from more than its share. After a debt it stands in the present round.
fn unthrottle(model: &mut Model, id: TenantId) {
    let now = model.now;
    let Some(request) = model.request(id) else { return };
    let Wait::Throttled { since, why, .. } = request.wait else { return };
    let returns = why == Throttle::Debt && !model.tenants[&id].is_stopped;
    let place = if returns { queueing::place_to_return(model, id) } else { None };
    model.update_request(id, |request| {
        // That was not time in which others kept it waiting.
        request.requested_at = request.requested_at.saturating_add(now.saturating_sub(since));
        request.wait = Wait::Queued;
        place.into_iter().for_each(|place| request.place = place);
    });
}

/// A holder that has used up its quota, or has nothing to do, leaves until it may hold again. Its memory stays where
/// nobody needs the room.
pub(crate) fn enforce_quota(engine: &mut Engine, id: TenantId) {
    let model = &mut engine.model;
    let now = model.now;
    let Some(quota) = model.tenants.get(&id).and_then(|tenant| bandwidth::quota_of(model, tenant)) else {
        return;
    };
    for device in model.devices_of(id) {
        if let Some(usage) = model.usages.get_mut(&(device, quota.group)) {
            usage.renew(now, quota.percent);
        }
    }
    let Some(lease) = model.lease(id) else { return };
    let is_idle = lease.idle_since.is_some() && !admission::is_waited_for(model, lease);
    if is_idle || bandwidth::quota_used_up_at(model, id).is_some_and(|at| at <= now) {
        model.update_lease(id, |lease| lease.leaves_alone = true);
        leases::revoke(engine, id);
    }
}

/// The tenant's request stands in no queue until then.
pub(crate) fn throttle(model: &mut Model, id: TenantId, until: Nanos, why: Throttle) {
    let since = model.now;
    model.update_request(id, |request| request.wait = Wait::Throttled { since, until, why });
}

/// Requests whose time is over return to the queues.
pub(crate) fn unthrottle_due(model: &mut Model, devices: &BTreeSet<DeviceId>) {
    for &device in devices {
        while let Some(&(at, id)) = model.devices.get(&device).and_then(|at| at.index().throttled.first())
            && at <= model.now
        {
            unthrottle(model, id);
        }
    }
}

/// A request that is throttled for a debt returns to the queues where nobody else waits and nobody has to leave for it;
/// of several, the one whose debt is over first.
pub(crate) fn release_idle_debtors(model: &mut Model, devices: &BTreeSet<DeviceId>) {
    if model.debts.is_empty() {
        return;
    }
    for &device in devices {
        let Some(at) = model.devices.get(&device).filter(|at| at.queue().is_empty()) else { continue };
        let in_debt = at.index().throttled.iter().map(|(_, id)| *id);
        let Some(id) = in_debt
            .filter(|id| fairness::is_in_debt(model, *id))
            .find(|id| fairness::debt_blocks_until(model, *id).is_none())
        else {
            continue;
        };
        unthrottle(model, id);
    }
}
