//! By when a tenant has to give a sign of life, and whose signs others wait for.
use crate::memory::capacity;
use crate::model::Model;
use crate::model::ids::TenantId;
use nvshare_protocol::Nanos;
use std::collections::BTreeSet;

/// Memory comes in at least so fast, bytes a second, or its tenant is not waited for.
pub(crate) const MIN_FETCH_RATE: u128 = 1_000_000_000;

/// How long so much memory takes at so many bytes a second.
pub(crate) fn transfer_time(bytes: u128, rate: u128) -> Nanos {
    Nanos(u64::try_from(bytes * 1_000_000_000 / rate).unwrap_or(u64::MAX))
}

/// Those that others wait for, and who was told to leave or to move memory out: of whom it is worth knowing whether they
/// are stopped. Those that are known as stopped are among them as long as anybody waits, themselves included.
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

/// By when a tenant that is granted its devices now has given a sign of life: memory that it lacks takes time, and some
/// engines say nothing while it comes. More than there can be room for does not come.
pub(crate) fn alive_until(model: &Model, id: TenantId) -> Nanos {
    let devices = model.tenants.get(&id).into_iter().flat_map(|tenant| &tenant.devices);
    let lacks = devices.map(|(device, memory)| {
        let fits = memory.allocated.min(capacity::usable_for(model, model.facts(id, *device), *device));
        u128::from(fits.saturating_sub(memory.resident).0)
    });
    let comes = transfer_time(lacks.sum(), MIN_FETCH_RATE);
    let bound = model.settings().silence.saturating_add(comes).min(model.settings().fetch_bound);
    model.now.saturating_add(bound)
}
