//! Memory that moves beside the turns: evictions that make room, and prefetching.
use crate::engine::state::Engine;
use crate::event::Action;
use crate::memory::{budget, headroom, prefetch};
use crate::model::Model;
use crate::model::eviction::Eviction;
use crate::model::ids::TenantId;
use crate::model::lease::Lease;
use crate::model::memory_use::MemoryUse;
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::{BTreeMap, BTreeSet};

/// The request to evict does not count any more.
pub(crate) fn cancel_eviction(model: &mut Model, id: TenantId) {
    model.update(id, |tenant| tenant.evict_down_to.clear());
}

/// Asks tenants that do not hold to evict what is in the tenant's way, the oldest grant first.
pub(crate) fn reclaim_for(engine: &mut Engine, id: TenantId) {
    let devices = engine.model.devices_of(id);
    let mut asked: BTreeMap<TenantId, Vec<Share>> = BTreeMap::new();
    for device in devices {
        let outgoing =
            u64::try_from(headroom::outgoing_of_others(&engine.model, id, device)).unwrap_or(u64::MAX);
        let mut short = headroom::deficit(&engine.model, id, device).saturating_sub(Bytes(outgoing));
        for &(_, other) in
            engine.model.devices[&device].index().leftovers.iter().filter(|(_, other)| *other != id)
        {
            if short == Bytes::ZERO {
                break;
            }
            if !budget::evicts_itself(&engine.model, other) {
                continue;
            }
            let bytes = engine.model.tenants[&other].evictable_soon(device).min(short);
            short = short.saturating_sub(bytes);
            asked.entry(other).or_default().push(Share { device, bytes });
        }
    }
    asked.into_iter().for_each(|(other, shares)| evict(engine, other, shares));
}

/// Asks the tenant, which does not hold, to evict everything that it can.
pub(crate) fn evict_all(engine: &mut Engine, id: TenantId) {
    let Some(tenant) = engine.model.tenants.get(&id) else { return };
    let movable = tenant.devices.iter().filter(|(_, memory)| memory.movable() > Bytes::ZERO);
    let shares: Vec<Share> = movable.map(|(&device, _)| Share { device, bytes: Bytes::MAX }).collect();
    if !shares.is_empty() && tenant.may_be_asked_to_evict() {
        evict(engine, id, shares);
    }
}

fn evict(engine: &mut Engine, id: TenantId, shares: Vec<Share>) {
    let model = &mut engine.model;
    let deadline = model.now.saturating_add(model.settings().evict_bound);
    let alive_until = model.now.saturating_add(model.settings().silence);
    model.update(id, |tenant| {
        tenant.eviction = Some(Eviction {
            deadline,
            alive_until,
            resident_at_start: tenant.resident_soon(),
            least_resident: tenant.resident(),
        });
        tenant.begin_eviction(&shares);
    });
    engine.actions.push(Action::Evict { tenant: id, shares });
}

/// The tenant has evicted what it could, or is gone.
pub(crate) fn end_eviction(model: &mut Model, id: TenantId) {
    let Some(eviction) = model.tenants.get(&id).and_then(|tenant| tenant.eviction) else { return };
    model.update(id, |tenant| {
        tenant.eviction = None;
        tenant.keeps_memory = tenant.lease().is_none() && tenant.resident() >= eviction.resident_at_start;
        tenant.prefetch.clear();
        if tenant.lease().is_none_or(|lease| !lease.is_revoked()) {
            tenant.evict_down_to.clear();
        }
    });
}

/// Evictions whose tenants do not answer in time are not waited for any longer.
pub(crate) fn expire_evictions(model: &mut Model, devices: &BTreeSet<DeviceId>) {
    let asked = devices.iter().filter_map(|device| model.devices.get(device));
    let expired =
        |id: &TenantId| model.tenants[id].eviction.is_some_and(|eviction| eviction.expires_at() <= model.now);
    let expired: BTreeSet<TenantId> =
        asked.flat_map(|device| &device.index().evicting).copied().filter(expired).collect();
    expired.into_iter().for_each(|id| end_eviction(model, id));
}

/// Under `evict=always`, what a turn left behind is evicted when the next one has begun.
pub(crate) fn run_deferred_evictions(engine: &mut Engine) {
    for id in std::mem::take(&mut engine.deferred_evictions) {
        evict_all(engine, id);
    }
}

/// Lets the tenant prefetch what there is room for.
pub(crate) fn prefetch(engine: &mut Engine, id: TenantId) {
    let Some(shares) = prefetch::prefetch_shares(&engine.model, id) else { return };
    engine.model.update(id, |tenant| {
        tenant.prefetch = shares.iter().map(|share| (share.device, share.bytes)).collect();
    });
    engine.actions.push(Action::Fetch { tenant: id, shares });
}

/// A holder that has allocated more than is there: room is made for it.
pub(crate) fn serve_growth(engine: &mut Engine, id: TenantId) {
    let is_active = engine.model.lease(id).is_some_and(Lease::is_active);
    let lacks = |(_, memory): (&DeviceId, &MemoryUse)| memory.allocated > memory.resident;
    if is_active && engine.model.tenants[&id].devices.iter().any(lacks) {
        reclaim_for(engine, id);
        prefetch(engine, id);
    }
}
