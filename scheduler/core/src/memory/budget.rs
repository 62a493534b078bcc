//! How much memory a tenant may have resident, and how much another has to evict.
//!
//! A budget is the device's capacity less the reserve, less what nobody can evict for the tenant: unevictable memory of
//! others, and all memory of tenants that go on beside it. What idle tenants left behind counts as free: they are asked
//! to evict it before the grant, and what they do not evict the driver may, unless it belongs to the swap engine.
use crate::event::EvictMode;
use crate::memory::{capacity, headroom};
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::memory_use::MemoryUse;
use crate::policy::{admission, backfill, claims};
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, DeviceId};

/// How much the tenant may have resident on each of its devices; never less than is resident already.
pub(crate) fn budget(model: &Model, id: TenantId) -> Vec<Share> {
    let devices = model.tenants.get(&id).into_iter().flat_map(|tenant| &tenant.devices);
    devices
        .map(|(&device, memory)| Share { device, bytes: headroom(model, id, device).max(memory.resident) })
        .collect()
}

/// How much the tenant has to evict from each of its devices when it is revoked, by the eviction mode.
pub(crate) fn shares_to_evict(model: &Model, id: TenantId) -> Vec<Share> {
    let leaves_alone = model.lease(id).is_some_and(|lease| lease.leaves_alone);
    let Some(tenant) = model.tenants.get(&id) else { return Vec::new() };
    tenant
        .devices
        .iter()
        .map(|(&device, memory)| {
            let bytes = match model.settings().evict {
                _ if tenant.evicts_all => Bytes::MAX,
                // It comes back when its period is over, maybe before anybody else had a turn.
                EvictMode::Always if leaves_alone => deficit_of_next(model, id, device).min(memory.movable()),
                EvictMode::Never if !evicts_itself(model, id) => Bytes::ZERO,
                // The rest is evicted when the next turn has begun.
                EvictMode::Always if model.settings().overlap => {
                    deficit_of_next(model, id, device).min(memory.movable())
                }
                EvictMode::Always => Bytes::MAX,
                EvictMode::Never | EvictMode::Pressure => {
                    deficit_of_next(model, id, device).min(memory.movable())
                }
            };
            Share { device, bytes }
        })
        .collect()
}

/// Whether the tenant evicts its memory itself, instead of leaving that to the driver.
pub(crate) fn evicts_itself(model: &Model, id: TenantId) -> bool {
    model.settings().evict != EvictMode::Never || model.tenants.get(&id).is_some_and(|tenant| tenant.swaps)
}

/// Whether one of the tenant's devices has less room for it than it needs.
pub(crate) fn lacks_room(model: &Model, id: TenantId) -> bool {
    let Some(tenant) = model.tenants.get(&id) else { return false };
    let lacks = |(device, memory): (&DeviceId, &MemoryUse)| {
        let most = memory.allocated.min(capacity::usable_for(model, model.facts(id, *device), *device));
        memory.resident < most && headroom(model, id, *device) < most
    };
    tenant.devices.iter().any(lacks)
}

/// How much of the device this tenant may use: what is usable less what cannot be evicted for it.
fn headroom(model: &Model, id: TenantId, device: DeviceId) -> Bytes {
    let (index, own) = (model.devices[&device].index(), model.facts(id, device));
    let others = if own.ignores_claims {
        index.held_resident - u128::from(own.held_resident().0)
            + claims::verified_unevictable(model, own, device)
    } else {
        index.unavailable - u128::from(own.unavailable.0) + headroom::incoming_of_others(model, &[id], device)
    };
    let taken = u64::try_from(others).unwrap_or(u64::MAX);
    capacity::usable_for(model, own, device).saturating_sub(Bytes(taken))
}

/// How much memory the next tenant (or the one that goes on beside this one) lacks on the device, beyond what is free
/// there and what others are evicting.
fn deficit_of_next(model: &Model, id: TenantId, device: DeviceId) -> Bytes {
    let at = &model.devices[&device];
    let holder =
        at.index().holders.iter().find(|&&holder| holder != id).filter(|_| !admission::shares_devices(model));
    let Some(next) = holder.copied().or_else(|| backfill::next_at(model, device)) else { return Bytes::ZERO };
    let has = model.memory_of(next, device);
    let lacks = u128::from(has.lacks().0);
    let own = model.facts(next, device);
    let resident = if own.ignores_claims {
        at.index().held_resident
            + u128::from(has.resident.0)
            + claims::verified_unevictable(model, own, device)
    } else {
        let all = at.index().resident.saturating_sub(at.index().without_context)
            + headroom::incoming_of_others(model, &[id, next], device);
        all.saturating_sub(headroom::outgoing_of_others(model, id, device))
    };
    let needed = (lacks + resident).saturating_sub(u128::from(capacity::usable_for(model, own, device).0));
    Bytes(u64::try_from(if lacks == 0 { 0 } else { needed }).unwrap_or(u64::MAX))
}
