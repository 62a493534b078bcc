//! Tenants that have used up their quota, or that are in debt, wait in no queue.
use crate::Core;
use crate::engine::{contention, leases, queueing, usage};
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::lease::Lease;
use crate::model::quota::Quota;
use crate::model::tenant::{Stage, Tenant};
use crate::policy::{admission, bandwidth, fairness};
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeSet;

/// From now on the tenant and those of its group may hold so much of each device's time together, or less if one of
/// them may; 100: it may hold all of it and counts for nobody.
pub(crate) fn on_time_share(core: &mut Core, id: TenantId, group: u64, percent: u32) {
    let now = core.model.now;
    core.model
        .usages
        .retain(|_, usage| !usage.holders.is_empty() || usage.period_ends(now, usage.last_percent) > now);
    usage::leave_group(&mut core.model, id);
    let Some(tenant) = core.model.tenants.get_mut(&id) else { return };
    let quota = (percent < 100).then_some(Quota { group, percent: percent.max(1) });
    tenant.quota = quota;
    if let Some(lease) = tenant.lease_mut() {
        lease.has_quota = quota.is_some();
    }
    if let Some(quota) = quota {
        core.model.groups.entry(group).or_default().insert((quota.percent, id));
        regroup(&mut core.model, group);
    }
    usage::start_charging(&mut core.model, id);
    contention::notify_if_contended(core, id);
    core.model.reindex(id);
}

/// What the group may have together has changed.
pub(crate) fn regroup(model: &mut Model, group: u64) {
    let members: Vec<TenantId> = model.groups.get(&group).into_iter().flatten().map(|(_, id)| *id).collect();
    for id in members {
        unthrottle(model, id);
        model.reindex(id);
    }
}

/// If it was paused, it stands in line at its place.
pub(crate) fn unthrottle(model: &mut Model, id: TenantId) {
    let now = model.now;
    let Some(Stage::Waiting(request)) = model.tenants.get_mut(&id).map(|tenant| &mut tenant.stage) else {
        return;
    };
    if request.throttled_until.take().is_none() {
        return;
    }
    // Others have not kept it waiting meanwhile.
    request.requested_at = request.requested_at.saturating_add(now.saturating_sub(request.throttled_since));
    let (stands, defers) = (request.is_queued(), request.in_debt);
    model.reindex(id);
    if stands && !defers {
        // Its quota is what keeps it from more than its share.
        queueing::enqueue(model, id);
    } else if stands {
        queueing::requeue(model, id);
    }
}

/// A holder that has used up its quota, or has nothing to do, leaves until it may hold again. Its memory stays where
/// nobody needs the room.
pub(crate) fn enforce_quota(core: &mut Core, id: TenantId) {
    let Some(tenant) = core.model.tenants.get(&id) else { return };
    let Some(quota) = bandwidth::quota_of(&core.model, tenant) else { return };
    for device in tenant.devices.keys() {
        if let Some(usage) = core.model.usages.get_mut(&(*device, quota.group)) {
            usage.renew(core.model.now, quota.percent);
        }
    }
    let idle = |lease: &Lease| lease.idle_since.is_some() && !admission::is_waited_for(&core.model, lease);
    let leaves = bandwidth::quota_used_up_at(&core.model, id).is_some_and(|at| at <= core.model.now)
        || core.model.lease(id).is_some_and(idle);
    if let Some(lease) = core.model.tenants.get_mut(&id).and_then(Tenant::lease_mut).filter(|_| leaves) {
        lease.throttled = true;
        leases::revoke(core, id);
    }
}

/// It waits in nobody's way until then.
pub(crate) fn throttle(model: &mut Model, id: TenantId, until: Nanos, defers: bool) {
    let now = model.now;
    let Some(Stage::Waiting(request)) = model.tenants.get_mut(&id).map(|tenant| &mut tenant.stage) else {
        return;
    };
    (request.throttled_until, request.throttled_since, request.in_debt) = (Some(until), now, defers);
    let place = request.key;
    queueing::dequeue(model, id, place);
    model.reindex(id);
}

/// Those who may hold again stand in line at their places.
pub(crate) fn unthrottle_due(model: &mut Model, devices: &BTreeSet<DeviceId>) {
    for &device in devices {
        while let Some(&(at, id)) = model.devices.get(&device).and_then(|at| at.index.throttled.first())
            && at <= model.now
        {
            unthrottle(model, id);
        }
    }
}

/// Who stands back for a debt stands in line again where nobody else does and nobody has to leave for it; of several, the
/// one whose debt is over first.
pub(crate) fn release_idle_debtors(model: &mut Model, devices: &BTreeSet<DeviceId>) {
    if model.debts.is_empty() {
        return;
    }
    for &device in devices {
        let Some(at) = model.devices.get(&device).filter(|at| at.queue.is_empty()) else { continue };
        let debtors = at.index.throttled.iter().map(|(_, id)| *id);
        let Some(id) = debtors
            .filter(|id| fairness::is_in_debt(model, *id))
            .find(|id| fairness::debt_blocks_until(model, *id).is_none())
        else {
            continue;
        };
        unthrottle(model, id);
    }
}
