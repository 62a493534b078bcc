//! By when a tenant has to give a sign of life, and which tenants are waited for.
use crate::memory::capacity;
use crate::model::Model;
use crate::model::ids::TenantId;
use nvshare_protocol::Nanos;
use std::collections::BTreeSet;

/// Memory comes in at least this fast, in bytes a second, or its tenant is not waited for.
pub(crate) const MIN_FETCH_RATE: u128 = 1_000_000_000;

/// What has no content comes in at least so many times faster: it is cleared on the GPU.
const CLEARED_FASTER: u128 = 16;

/// How long so much memory takes at so many bytes a second.
pub(crate) fn transfer_time(bytes: u128, rate: u128) -> Nanos {
    Nanos(u64::try_from(bytes * 1_000_000_000 / rate).unwrap_or(u64::MAX))
}

/// Tenants of which it matters whether they are stopped: those that others wait for, and those that were revoked or
/// asked to evict. Stopped ones are among them as long as anybody waits, themselves included.
#[must_use]
pub fn awaited(model: &Model) -> BTreeSet<TenantId> {
    let mut all = BTreeSet::new();
    for device in model.devices.values() {
        let asked = device
            .index()
            .revoked
            .iter()
            .filter(|id| model.lease(**id).is_some_and(|lease| !lease.is_unresponsive()));
        all.extend(device.index().evicting.iter().chain(asked));
        if !device.queue().is_empty() {
            all.extend(device.index().holders.iter().chain(&device.index().beside));
        }
    }
    if model.tenants.iter().any(|(_, tenant)| tenant.request().is_some()) {
        let stopped = model.tenants.iter().filter(|(_, tenant)| tenant.is_stopped && !tenant.is_disconnected);
        all.extend(stopped.map(|(id, _)| *id));
    }
    all
}

/// By when a tenant that is granted its devices now has to give a sign of life. Bringing in memory takes time, and some
/// engines report nothing meanwhile; at most as much comes in as fits.
pub(crate) fn alive_until(model: &Model, id: TenantId) -> Nanos {
    let tenant = model.tenants.get(&id).into_iter();
    let devices = tenant.flat_map(|tenant| tenant.devices.iter().map(move |on| (tenant, on)));
    let lacks = devices.map(|(tenant, (device, memory))| {
        let fits = memory.allocated.min(capacity::usable_for(model, model.facts(id, *device), *device));
        let (lacks, content) = (fits.saturating_sub(memory.resident), tenant.lacks_content(*device));
        let content = content.min(lacks);
        u128::from(content.0) + u128::from(lacks.saturating_sub(content).0) / CLEARED_FASTER
    });
    let fetch_time = transfer_time(lacks.sum(), MIN_FETCH_RATE);
    let bound = model.settings().silence.saturating_add(fetch_time).min(model.settings().fetch_bound);
    model.now.saturating_add(bound)
}
