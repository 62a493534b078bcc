//! Counts what groups with a quota use.
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::policy::bandwidth;
use nvshare_protocol::Nanos;

/// The tenant's time with its devices counts from now on, if its memory is resident.
pub(crate) fn start_charging(model: &mut Model, id: TenantId) {
    let Some(tenant) = model.tenants.get(&id) else { return };
    let Some(quota) = bandwidth::quota_of(model, tenant) else { return };
    if tenant.lease().is_none_or(|lease| lease.ready_at.is_none()) {
        return;
    }
    for device in tenant.devices.keys() {
        let usage = model.usages.entry((*device, quota.group)).or_default();
        usage.begin(id, model.now, quota.percent);
    }
}

/// The tenant's time does not count any more.
pub(crate) fn stop_charging(model: &mut Model, id: TenantId) {
    let Some(tenant) = model.tenants.get(&id) else { return };
    let Some(quota) = tenant.quota else { return };
    for device in tenant.devices.keys() {
        if let Some(usage) = model.usages.get_mut(&(*device, quota.group)) {
            usage.end(id, model.now);
        }
    }
}

/// The tenant has had its devices for so long beside others, without a lease. It pays when that is over: while it waits for
/// what lets it leave, its quota must not keep it from that.
pub(crate) fn charge(model: &mut Model, id: TenantId, time: Nanos) {
    let Some(tenant) = model.tenants.get(&id) else { return };
    let Some(quota) = bandwidth::quota_of(model, tenant) else { return };
    for device in tenant.devices.keys() {
        let usage = model.usages.entry((*device, quota.group)).or_default();
        usage.renew(model.now, quota.percent);
        usage.past = usage.past.saturating_add(time);
        usage.last_percent = quota.percent;
    }
}
