//! Quotas: a tenant may hold a device for a part of each period, like the kernel's CPU bandwidth control. Where nobody
//! has a quota, nothing here costs anything.
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::lease::Lease;
use crate::model::quota::Quota;
use crate::model::tenant::Tenant;
use nvshare_protocol::{DeviceId, Nanos};

/// The quota in force for the tenant: the least of its group's.
pub(crate) fn quota_of(model: &Model, tenant: &Tenant) -> Option<Quota> {
    let quota = tenant.quota?;
    let percent = model.groups.get(&quota.group)?.first()?.0;
    Some(Quota { percent, ..quota })
}

/// Whether another tenant of its group waits.
pub(crate) fn has_waiting_groupmate(model: &Model, id: TenantId, tenant: &Tenant) -> bool {
    let group = tenant.quota.and_then(|quota| model.groups.get(&quota.group));
    let mut others = group.into_iter().flatten().filter(|(_, other)| *other != id);
    others.any(|(_, other)| model.request(*other).is_some())
}

/// What the tenant's group has used of the device in this period, and what it may use.
pub(crate) fn quota_at(
    model: &Model,
    tenant: &Tenant,
    lease: &Lease,
    device: DeviceId,
) -> Option<(Nanos, Nanos)> {
    let quota = quota_of(model, tenant)?;
    let used = model.usages.get(&(device, quota.group))?.used(model.now);
    let takes_turns = model.devices.get(&device).is_some_and(|device| !device.queue().is_empty());
    let turn = if takes_turns { lease.quantum } else { Nanos::ZERO };
    Some((used, quota.of_period().max(turn)))
}

/// When the holder will have used up its quota on one of its devices.
pub(crate) fn quota_used_up_at(model: &Model, id: TenantId) -> Option<Nanos> {
    let tenant = model.tenants.get(&id)?;
    let lease = tenant.lease().filter(|lease| lease.ready_at.is_some() && !lease.is_revoked())?;
    let left = lease.devices.iter().filter_map(|device| quota_at(model, tenant, lease, *device));
    left.map(|(used, most)| model.now.saturating_add(most.saturating_sub(used))).min()
}

/// Until when the tenant may not hold because its group has used up its quota on one of its devices.
pub(crate) fn quota_blocks_until(model: &Model, id: TenantId) -> Option<Nanos> {
    let tenant = model.tenants.get(&id)?;
    let quota = quota_of(model, tenant)?;
    let usages = tenant.devices.keys().filter_map(|device| model.usages.get(&(*device, quota.group)));
    let over = usages.filter(|usage| usage.used(model.now) >= quota.of_period());
    over.map(|usage| usage.period_ends(model.now, quota.percent)).filter(|at| *at > model.now).max()
}
