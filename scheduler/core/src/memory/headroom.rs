//! How full a device is: now, and with all memory that is moving in or out.
use crate::memory::capacity;
use crate::model::Model;
use crate::model::gang_state::GangState;
use crate::model::ids::TenantId;
use crate::policy::claims;
use nvshare_protocol::{Bytes, DeviceId};

/// Memory that is free on the device for this tenant, less what others are still bringing in.
pub(crate) fn free_for(model: &Model, id: TenantId, device: DeviceId) -> Bytes {
    let taken = resident_on(model, device) + incoming_of_others(model, &[id], device);
    capacity::usable_for(model, model.facts(id, device), device)
        .saturating_sub(Bytes(u64::try_from(taken).unwrap_or(u64::MAX)))
}

/// Resident memory of all tenants on the device, at most its capacity.
pub(crate) fn resident_on(model: &Model, device: DeviceId) -> u128 {
    let at = &model.devices[&device];
    at.index().resident.saturating_sub(at.index().without_context).min(u128::from(at.capacity.0))
}

/// How much memory has to be freed on the device so that all of the tenant's fits.
pub(crate) fn deficit(model: &Model, id: TenantId, device: DeviceId) -> Bytes {
    let has = model.memory_of(id, device);
    let most = capacity::usable_for(model, model.facts(id, device), device);
    has.allocated.min(most).saturating_sub(has.resident).saturating_sub(free_for(model, id, device))
}

/// Memory that tenants other than these may bring in to the device: holders all that is not resident, others what they
/// were told to prefetch.
pub(crate) fn incoming_of_others(model: &Model, but: &[TenantId], device: DeviceId) -> u128 {
    let own: u128 = but.iter().map(|id| u128::from(model.facts(*id, device).incoming.0)).sum();
    model.devices[&device].index().incoming - own
}

/// Memory on the device that others were asked to evict and have not evicted yet.
pub(crate) fn outgoing_of_others(model: &Model, id: TenantId, device: DeviceId) -> u128 {
    model.devices[&device].index().outgoing - u128::from(model.facts(id, device).outgoing.0)
}

/// Whether all of the tenant's memory fits on all its devices once everything evictable is evicted.
pub(crate) fn can_ever_fit(model: &Model, id: TenantId) -> bool {
    let Some(tenant) = model.tenants.get(&id) else { return false };
    tenant.devices.keys().all(|&device| can_ever_fit_on(model, id, device))
}

/// Whether what the tenant needs on the device fits there beside the unevictable memory of others.
pub(crate) fn can_ever_fit_on(model: &Model, id: TenantId, device: DeviceId) -> bool {
    let index = model.devices[&device].index();
    let own = model.facts(id, device);
    let needs = own.needs;
    let unevictable = if own.ignores_claims {
        claims::verified_unevictable(model, own, device)
    } else {
        index.unevictable - u128::from(own.unevictable.0)
    };
    if comes_after_one_aside(model, id, device) {
        return false;
    }
    let usable = u128::from(capacity::usable_on(model, device).saturating_sub(own.unevictable).0);
    needs == Bytes::ZERO || unevictable + u128::from(needs.0) <= usable
}

/// Whether the tenant is a gang that may need any amount of memory, and another gang of its priority or
/// more waits that cannot leave the device: that one goes first. If both came to wait for room in the middle of their work, neither could go on.
fn comes_after_one_aside(model: &Model, id: TenantId, device: DeviceId) -> bool {
    let Some(own) = model.tenants.get(&id).filter(|tenant| tenant.gang == Some(GangState::Unsettled)) else {
        return false;
    };
    let goes_first =
        |other: &TenantId| model.tenants.get(other).is_some_and(|other| other.priority >= own.priority);
    model.devices[&device].index().aside.iter().any(|other| *other != id && goes_first(other))
}

/// Whether this much fits on the device beside the verified unevictable memory.
pub(crate) fn can_ever_hold(model: &Model, device: DeviceId, needs: Bytes) -> bool {
    let verified = model.devices[&device].index().verified;
    verified + u128::from(needs.0) <= u128::from(capacity::usable_on(model, device).0)
}

/// Whether others are still evicting memory on a device where the tenant has a deficit.
pub(crate) fn awaits_evictions(model: &Model, id: TenantId) -> bool {
    let Some(tenant) = model.tenants.get(&id) else { return false };
    let others_evict = |device| model.devices[device].index().evicting.iter().any(|other| *other != id);
    tenant.devices.keys().any(|device| deficit(model, id, *device) > Bytes::ZERO && others_evict(device))
}
