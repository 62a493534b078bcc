//! Who is next: a tenant that is first in the queue of every device that it has named.
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::policy::backfill;
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

/// The tenants that are next, of those that wait for one of the devices.
pub(crate) fn next_tenants(model: &Model, devices: &BTreeSet<DeviceId>) -> BTreeSet<TenantId> {
    let next = devices.iter().filter_map(|device| backfill::next_at(model, *device));
    next.filter(|id| is_next(model, *id)).collect()
}

/// Whether the tenant is next at all its devices.
pub(crate) fn is_next(model: &Model, id: TenantId) -> bool {
    let Some(tenant) = model.tenants.get(&id) else { return false };
    let is_here = |device: &DeviceId| backfill::next_at(model, *device) == Some(id);
    tenant.request().is_some() && !tenant.devices.is_empty() && tenant.devices.keys().all(is_here)
}
