//! How full a device is, now and with all that is on its way in or out.
use crate::Core;
use crate::event::TenantId;
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::BTreeMap;

impl Core {
    /// What is free on the device for this tenant now, beyond what others are still bringing in.
    pub(crate) fn free_for(&self, id: TenantId, device: DeviceId) -> Bytes {
        let taken = self.resident_on(device) + self.incoming_of_others(&[id], device);
        self.usable_for(self.facts(id, device), device)
            .saturating_sub(Bytes(u64::try_from(taken).unwrap_or(u64::MAX)))
    }

    /// What tenants have on the device, as far as that is possible.
    pub(crate) fn resident_on(&self, device: DeviceId) -> u128 {
        let at = &self.devices[&device];
        at.resident.saturating_sub(at.index.phantom).min(u128::from(at.capacity.0))
    }

    /// What the tenant lacks on the device beyond what is free there.
    pub(crate) fn deficit(&self, id: TenantId, device: DeviceId) -> Bytes {
        let has = self.memory_of(id, device);
        let most = self.usable_for(self.facts(id, device), device);
        has.allocated.min(most).saturating_sub(has.resident).saturating_sub(self.free_for(id, device))
    }

    /// What tenants other than these may bring in to the device: holders all that they lack, and others what they were
    /// told to.
    pub(crate) fn incoming_of_others(&self, but: &[TenantId], device: DeviceId) -> u128 {
        let own: u128 = but.iter().map(|id| u128::from(self.facts(*id, device).incoming.0)).sum();
        self.devices[&device].index.incoming - own
    }

    /// What others than this one were asked to move out of the device and have not yet.
    pub(crate) fn outgoing_of_others(&self, id: TenantId, device: DeviceId) -> u128 {
        self.devices[&device].index.outgoing - u128::from(self.facts(id, device).outgoing.0)
    }

    /// Whether there can be room for all that the tenant needs on all its devices, should all leave that can.
    pub(crate) fn can_ever_fit(&self, id: TenantId) -> bool {
        let Some(tenant) = self.tenants.get(&id) else { return false };
        tenant.devices.keys().all(|&device| self.can_ever_fit_on(id, device))
    }

    /// Whether there is as much on the device as the tenant needs, beside all that is fixed there.
    pub(crate) fn can_ever_fit_on(&self, id: TenantId, device: DeviceId) -> bool {
        let standings = &self.devices[&device].index;
        let own = self.facts(id, device);
        let needs = own.needs;
        let fixed = if own.ignores_claims {
            self.verified_unevictable(own, device)
        } else {
            standings.unevictable - u128::from(own.unevictable.0)
        };
        let usable = u128::from(self.usable(device).saturating_sub(own.unevictable).0);
        needs == Bytes::ZERO || fixed + u128::from(needs.0) <= usable
    }

    /// Whether there is so much on the device beside what is shown to be fixed there.
    pub(crate) fn can_ever_hold(&self, device: DeviceId, needs: Bytes) -> bool {
        let shown = self.devices[&device].index.verified;
        shown + u128::from(needs.0) <= u128::from(self.usable(device).0)
    }

    /// Whether others are still moving out of what the tenant lacks.
    pub(crate) fn awaits_evictions(&self, id: TenantId) -> bool {
        let Some(tenant) = self.tenants.get(&id) else { return false };
        let leaves = |device| self.devices[device].index.evicting.iter().any(|other| *other != id);
        tenant.devices.keys().any(|device| self.deficit(id, *device) > Bytes::ZERO && leaves(device))
    }

    /// The tenant is to move out so much, and is busy with that on all its devices.
    pub(crate) fn begin_eviction(&mut self, id: TenantId, shares: &[Share]) {
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let asked: BTreeMap<DeviceId, Bytes> =
            shares.iter().map(|share| (share.device, share.bytes)).collect();
        let keeps = |name: &DeviceId| {
            let bytes = asked.get(name).copied().unwrap_or(Bytes::ZERO);
            (*name, tenant.evictable_soon(*name).saturating_sub(bytes))
        };
        tenant.evict_down_to = tenant.devices.keys().map(keeps).collect();
        self.reindex(id);
    }
}
