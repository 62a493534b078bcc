//! What is reported of memory and devices.
use crate::engine::state::Engine;
use crate::engine::{growth, refusals};
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::memory_use::MemoryUse;
use crate::model::tenant::Tenant;
use crate::policy::liveness::transfer_time;
use nvshare_protocol::tenant::Moves;
use nvshare_protocol::{Bytes, DeviceId, Nanos};

/// Memory that moves more slowly than this, in bytes a second, is no sign of life.
const MIN_PROGRESS_RATE: u128 = 64_000_000;

/// What the driver shows of the tenant's process on the device.
pub(crate) fn on_seen(model: &mut Model, id: TenantId, device: DeviceId, bytes: Bytes) {
    if model.tenants.get(&id).is_none_or(|tenant| !tenant.reports.contains_key(&device)) {
        return;
    }
    model.update(id, |tenant| {
        let Some(report) = tenant.reports.get_mut(&device) else { return };
        let observed = report.observed.get_or_insert_default();
        observed.bytes = bytes;
        observed.times_absent =
            if bytes == Bytes::ZERO { observed.times_absent.saturating_add(1) } else { 0 };
    });
}

/// What external processes use of the device.
pub(crate) fn on_external(engine: &mut Engine, device: DeviceId, bytes: Bytes) {
    engine.model.update_device(device, |at| at.external = bytes.min(at.capacity));
    growth::resolve_shrink(engine, device);
}

/// What the tenant has on the device, by its own word.
pub(crate) fn on_memory(
    engine: &mut Engine,
    id: TenantId,
    device: DeviceId,
    allocated: Bytes,
    resident: Bytes,
    immovable: Bytes,
) {
    let model = &mut engine.model;
    let reported = MemoryUse { allocated, resident, immovable };
    let Some(capacity) = model.devices.get(&device).map(|at| at.capacity) else { return };
    let Some(tenant) = model.tenants.get(&id) else { return };
    let Some(before) = tenant.devices.get(&device).copied() else { return };
    let now = MemoryUse::plausible(reported, capacity);
    let (time, silence) = (model.now, model.settings().silence);
    let gone_until = model.update(id, |tenant| {
        tenant.devices.insert(device, now);
        if let Some(report) = tenant.reports.get_mut(&device) {
            report.memory = reported;
        }
        tenant.note_freed(device, &before);
        let gone_until = note_progress(tenant, time, silence);
        gone_until.filter(|_| tenant.evict_down_to.contains_key(&device))
    });
    if let Some(until) = gone_until.flatten() {
        model
            .update_device(device, |at| at.last_evicted = at.last_evicted.max(until.saturating_sub(silence)));
    }
    refusals::cap_unaccounted(model, id, device);
    if now.allocated > before.allocated {
        growth::resolve_growth(engine, id, device);
    }
}

/// How the tenant's memory moves on the device, by its own word. It says what its own hand-overs cost beside what is
/// measured of them, and nothing of the room that its memory takes.
pub(crate) fn on_moves(model: &mut Model, id: TenantId, moves: Moves) {
    if model.tenants.get(&id).is_none_or(|tenant| !tenant.reports.contains_key(&moves.device)) {
        return;
    }
    model.update(id, |tenant| {
        if let Some(report) = tenant.reports.get_mut(&moves.device) {
            report.moves = Some(moves);
        }
    });
}

/// How large the device is. What tenants have told counts as far as it is possible on such a device.
pub(crate) fn on_capacity(engine: &mut Engine, device: DeviceId, capacity: Bytes) {
    let model = &mut engine.model;
    // It may be told before the first tenant names the device.
    model.add_device(device, Bytes::ZERO);
    if model.devices[&device].capacity == capacity {
        return;
    }
    model.update_device(device, |at| {
        at.capacity = capacity;
        at.external = at.external.min(capacity);
    });
    let users = model.tenants.iter().filter(|(_, tenant)| tenant.devices.contains_key(&device));
    let users: Vec<TenantId> = users.map(|(id, _)| *id).collect();
    for id in users {
        model.update(id, |tenant| {
            let Some(reported) = tenant.reports.get(&device).map(|report| report.memory) else { return };
            tenant.devices.insert(device, MemoryUse::plausible(reported, capacity));
        });
    }
    growth::resolve_shrink(engine, device);
}

/// More resident memory than ever since the grant, or less than ever since the request to evict, is a sign of life. It
/// counts for as long as moving the difference takes at the lowest rate, so that the same memory counts once. Until when
/// the tenant is alive by that, if memory has gone.
fn note_progress(tenant: &mut Tenant, now: Nanos, silence: Nanos) -> Option<Nanos> {
    let alive_until = |moved: u128| now.saturating_add(transfer_time(moved, MIN_PROGRESS_RATE).min(silence));
    let is = tenant.resident();
    let mut gone_until = None;
    if let Some(eviction) = tenant.eviction.as_mut().filter(|eviction| is < eviction.least_resident) {
        let until = alive_until(std::mem::replace(&mut eviction.least_resident, is) - is);
        eviction.alive_until = eviction.alive_until.max(until);
        gone_until = Some(until);
    }
    let Some(lease) = tenant.lease_mut() else { return gone_until };
    if let Some(revocation) = lease.revocation_mut() {
        if is < revocation.least_resident {
            let until = alive_until(std::mem::replace(&mut revocation.least_resident, is) - is);
            let until = gone_until.map_or(until, |gone| gone.max(until));
            revocation.last_sign = revocation.last_sign.max(until.saturating_sub(silence));
            gone_until = Some(until);
        }
    } else if is > lease.peak_resident && lease.ready_at.is_none() {
        let came = is - std::mem::replace(&mut lease.peak_resident, is);
        lease.alive_until = lease.alive_until.max(alive_until(came));
    }
    gone_until
}
