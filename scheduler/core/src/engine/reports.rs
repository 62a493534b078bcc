//! What is told of memory and devices.
use crate::Core;
use crate::engine::{growth, refusals};
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::memory_use::MemoryUse;
use crate::policy::liveness::transfer_time;
use nvshare_protocol::{Bytes, DeviceId, Nanos};

/// What moves more slowly than this, bytes a second, is no sign of life.
const MIN_PROGRESS_RATE: u128 = 64_000_000;

pub(crate) fn on_seen(model: &mut Model, id: TenantId, device: DeviceId, bytes: Bytes) {
    let Some(tenant) = model.tenants.get_mut(&id).filter(|t| t.devices.contains_key(&device)) else {
        return;
    };
    let Some(words) = tenant.reports.get_mut(&device) else { return };
    let seen = words.observed.get_or_insert_default();
    seen.bytes = bytes;
    seen.times_absent = if bytes == Bytes::ZERO { seen.times_absent.saturating_add(1) } else { 0 };
    model.reindex(id);
}

pub(crate) fn on_external(core: &mut Core, device: DeviceId, bytes: Bytes) {
    let Some(at) = core.model.devices.get_mut(&device) else { return };
    core.model.dirty.insert(device);
    at.external = bytes.min(at.capacity);
    growth::resolve_shrink(core, device);
}

pub(crate) fn on_memory(
    core: &mut Core,
    id: TenantId,
    device_id: DeviceId,
    allocated: Bytes,
    resident: Bytes,
    immovable: Bytes,
) {
    let Some(device) = core.model.devices.get_mut(&device_id) else { return };
    let Some(tenant) = core.model.tenants.get_mut(&id) else { return };
    let Some(memory) = tenant.devices.get_mut(&device_id) else { return };
    let before = *memory;
    device.remove(memory);
    *memory = MemoryUse::plausible(allocated, resident, immovable, device.capacity);
    device.add(memory);
    let now = *memory;
    if let Some(words) = tenant.reports.get_mut(&device_id) {
        words.memory = MemoryUse { allocated, resident, immovable };
    }
    tenant.note_freed(device_id, &before);
    note_progress(&mut core.model, id, device_id);
    refusals::cap_unaccounted(&mut core.model, id, device_id);
    core.model.reindex(id);
    if now.allocated > before.allocated {
        growth::resolve_growth(core, id, device_id);
    }
}

/// How large the device is. What tenants have told counts as far as it is possible on such a device.
pub(crate) fn on_capacity(core: &mut Core, device_id: DeviceId, capacity: Bytes) {
    // It may be told before the first tenant names the device.
    let device = core.model.devices.entry(device_id).or_default();
    if device.capacity == capacity {
        return;
    }
    device.capacity = capacity;
    device.external = device.external.min(capacity);
    let ids: Vec<TenantId> = core.model.tenants.iter().map(|(id, _)| *id).collect();
    for id in ids {
        let Some(tenant) = core.model.tenants.get_mut(&id) else { continue };
        let (Some(memory), Some(words)) =
            (tenant.devices.get_mut(&device_id), tenant.reports.get(&device_id))
        else {
            continue;
        };
        let Some(device) = core.model.devices.get_mut(&device_id) else { continue };
        let told = words.memory;
        device.remove(memory);
        *memory = MemoryUse::plausible(told.allocated, told.resident, told.immovable, capacity);
        device.add(memory);
        core.model.reindex(id);
    }
    core.model.dirty.insert(device_id);
    growth::resolve_shrink(core, device_id);
}

/// A tenant has more memory on its devices than at any time since its grant, or less than at any time since it was told
/// to move it out: it lives, for as long as that would last at the least rate. So the same memory counts once.
fn note_progress(model: &mut Model, id: TenantId, device: DeviceId) {
    let (now, silence) = (model.now, model.settings.silence);
    let alive_by = |moved: u128| now.saturating_add(transfer_time(moved, MIN_PROGRESS_RATE).min(silence));
    let Some(tenant) = model.tenants.get_mut(&id) else { return };
    let (is, keeps) = (tenant.resident(), tenant.evict_down_to.contains_key(&device));
    let mut went = Nanos::ZERO;
    if let Some(leaving) = tenant.eviction.as_mut().filter(|leaving| is < leaving.least_resident) {
        went = alive_by(std::mem::replace(&mut leaving.least_resident, is) - is);
        leaving.alive_until = leaving.alive_until.max(went);
    }
    if let Some(lease) = tenant.lease_mut() {
        match &mut lease.revocation {
            Some(revocation) if is < revocation.least_resident => {
                went = went.max(alive_by(std::mem::replace(&mut revocation.least_resident, is) - is));
                revocation.last_sign = revocation.last_sign.max(went.saturating_sub(silence));
            }
            None if is > lease.peak_resident && lease.ready_at.is_none() => {
                let came = is - std::mem::replace(&mut lease.peak_resident, is);
                lease.alive_until = lease.alive_until.max(alive_by(came));
            }
            _ => {}
        }
    }
    if let Some(at) = model.devices.get_mut(&device).filter(|_| keeps) {
        at.last_evicted = at.last_evicted.max(went.saturating_sub(silence));
    }
}
