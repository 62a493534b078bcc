//! Memory that moves beside the turns: leftovers that make room, and what is fetched ahead.
use crate::Core;
use crate::event::Action;
use crate::memory::{budget, headroom, prefetch};
use crate::model::Model;
use crate::model::eviction::Eviction;
use crate::model::ids::TenantId;
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::{BTreeMap, BTreeSet};

/// The tenant is to move out so much, and is busy with that on all its devices.
pub(crate) fn begin_eviction(model: &mut Model, id: TenantId, shares: &[Share]) {
    let Some(tenant) = model.tenants.get_mut(&id) else { return };
    let asked: BTreeMap<DeviceId, Bytes> = shares.iter().map(|share| (share.device, share.bytes)).collect();
    let keeps = |name: &DeviceId| {
        let bytes = asked.get(name).copied().unwrap_or(Bytes::ZERO);
        (*name, tenant.evictable_soon(*name).saturating_sub(bytes))
    };
    tenant.evict_down_to = tenant.devices.keys().map(keeps).collect();
    model.reindex(id);
}

/// What it was asked to move out does not count any more.
pub(crate) fn cancel_eviction(model: &mut Model, id: TenantId) {
    if let Some(tenant) = model.tenants.get_mut(&id) {
        tenant.evict_down_to.clear();
    }
    model.reindex(id);
}

/// Asks those who do not hold to move out what is in the tenant's way, longest ago granted first.
pub(crate) fn reclaim_for(core: &mut Core, id: TenantId) {
    let devices = core.model.devices_of(id);
    let mut asked: BTreeMap<TenantId, Vec<Share>> = BTreeMap::new();
    for device in devices {
        let outgoing =
            u64::try_from(headroom::outgoing_of_others(&core.model, id, device)).unwrap_or(u64::MAX);
        let mut short = headroom::deficit(&core.model, id, device).saturating_sub(Bytes(outgoing));
        for &(_, other) in
            core.model.devices[&device].index.leftovers.iter().filter(|(_, other)| *other != id)
        {
            if short == Bytes::ZERO {
                break;
            }
            if !budget::evicts_itself(&core.model, other) {
                continue;
            }
            let bytes = core.model.tenants[&other].evictable_soon(device).min(short);
            short = short.saturating_sub(bytes);
            asked.entry(other).or_default().push(Share { device, bytes });
        }
    }
    asked.into_iter().for_each(|(other, shares)| evict(core, other, shares));
}

fn evict(core: &mut Core, id: TenantId, shares: Vec<Share>) {
    let (until, alive_by) = (
        core.model.now.saturating_add(core.model.settings.evict_bound),
        core.model.now.saturating_add(core.model.settings.silence),
    );
    let Some(tenant) = core.model.tenants.get_mut(&id) else { return };
    let (had, least) = (tenant.resident_soon(), tenant.resident());
    tenant.eviction = Some(Eviction {
        deadline: until,
        alive_until: alive_by,
        resident_at_start: had,
        least_resident: least,
    });
    begin_eviction(&mut core.model, id, &shares);
    core.actions.push(Action::Evict { tenant: id, shares });
}

/// The tenant has moved out what it could, or is gone.
pub(crate) fn end_eviction(model: &mut Model, id: TenantId) {
    if let Some(tenant) = model.tenants.get_mut(&id)
        && let Some(leaving) = tenant.eviction.take()
    {
        tenant.keeps_memory = tenant.lease().is_none() && tenant.resident() >= leaving.resident_at_start;
        tenant.prefetch.clear();
        if tenant.lease().is_none_or(|lease| lease.revocation.is_none()) {
            tenant.evict_down_to.clear();
        }
        model.reindex(id);
    }
}

/// Those that do not say that they have moved out are not waited for any longer.
pub(crate) fn expire_evictions(model: &mut Model, devices: &BTreeSet<DeviceId>) {
    let asked = devices.iter().filter_map(|device| model.devices.get(device));
    let slow =
        |id: &TenantId| model.tenants[id].eviction.is_some_and(|leaving| leaving.expires_at() <= model.now);
    let slow: BTreeSet<TenantId> =
        asked.flat_map(|device| &device.index.evicting).copied().filter(slow).collect();
    slow.into_iter().for_each(|id| end_eviction(model, id));
}

/// Under `evict=always`, what a turn left behind goes when the next one has begun.
pub(crate) fn run_deferred_evictions(core: &mut Core) {
    for id in std::mem::take(&mut core.deferred_evictions) {
        let Some(tenant) = core.model.tenants.get(&id) else { continue };
        let there = tenant.devices.iter().filter(|(_, memory)| memory.movable() > Bytes::ZERO);
        let shares: Vec<Share> = there.map(|(&device, _)| Share { device, bytes: Bytes::MAX }).collect();
        if !shares.is_empty() && tenant.may_be_asked_to_evict() {
            evict(core, id, shares);
        }
    }
}

/// Lets the tenant bring in what there is room for.
pub(crate) fn prefetch(core: &mut Core, id: TenantId) {
    let Some(shares) = prefetch::prefetch_shares(&core.model, id) else { return };
    if let Some(tenant) = core.model.tenants.get_mut(&id) {
        tenant.prefetch = shares.iter().map(|share| (share.device, share.bytes)).collect();
    }
    core.model.reindex(id);
    core.actions.push(Action::Fetch { tenant: id, shares });
}

/// A holder that has allocated more than is there: room is made for it.
pub(crate) fn serve_growth(core: &mut Core, id: TenantId) {
    let running =
        core.model.lease(id).is_some_and(|lease| lease.ready_at.is_some() && lease.revocation.is_none());
    let lacks =
        |(_, memory): (&DeviceId, &crate::model::memory_use::MemoryUse)| memory.allocated > memory.resident;
    if running && core.model.tenants[&id].devices.iter().any(lacks) {
        reclaim_for(core, id);
        prefetch(core, id);
    }
}
