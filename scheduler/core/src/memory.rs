//! How much a tenant may bring, and how much another must take away.
//!
//! A budget is what the device has less the reserve, less what nobody can move for the tenant: the
//! others' immovable bytes, and all that lies there of those that go on beside it. What idle tenants
//! have left behind counts as free, because the driver evicts it when room is needed: they cannot be
//! asked to move, since only holders are revoked.
use crate::Core;
use crate::event::{Evict, TenantId};
use crate::tenant::Memory;
use nvshare_protocol::tenant::{Share, usable};
use nvshare_protocol::{Bytes, DeviceId};

impl Core {
    /// What the tenant may have resident on each of its devices; never less than it has there already.
    pub(crate) fn budget(&self, id: TenantId) -> Vec<Share> {
        let devices = self.tenants.get(&id).into_iter().flat_map(|tenant| &tenant.devices);
        devices
            .map(|(&device, memory)| Share { device, bytes: self.room(id, device).max(memory.resident) })
            .collect()
    }

    /// What `evict` asks of the tenant for each of its devices.
    pub(crate) fn eviction(&self, id: TenantId) -> Vec<Share> {
        let devices = self.tenants.get(&id).into_iter().flat_map(|tenant| &tenant.devices);
        devices
            .map(|(&device, memory)| {
                let bytes = match self.settings.evict {
                    Evict::Always => Bytes::MAX,
                    Evict::Never => Bytes::ZERO,
                    Evict::Pressure => self.shortfall(id, device).min(memory.movable()),
                };
                Share { device, bytes }
            })
            .collect()
    }

    fn memory(&self, id: TenantId, device: DeviceId) -> Memory {
        self.tenants.get(&id).and_then(|tenant| tenant.devices.get(&device)).copied().unwrap_or_default()
    }

    fn usable(&self, device: DeviceId) -> Bytes {
        usable(self.devices[&device].capacity, self.settings.reserve)
    }

    /// The device less what cannot be moved for this tenant.
    fn room(&self, id: TenantId, device: DeviceId) -> Bytes {
        let at = &self.devices[&device];
        let beside = at.holders.iter().chain(&at.beside).filter(|&&other| other != id);
        let others: u128 = beside.map(|&other| u128::from(self.memory(other, device).movable().0)).sum();
        let immovable = at.immovable - u128::from(self.memory(id, device).immovable.0);
        let taken = u64::try_from(others + immovable).unwrap_or(u64::MAX);
        self.usable(device).saturating_sub(Bytes(taken))
    }

    /// What the tenant that comes after this one (or goes on beside it) lacks on the device, beyond
    /// what is free there.
    fn shortfall(&self, id: TenantId, device: DeviceId) -> Bytes {
        let at = &self.devices[&device];
        let holder = at.holders.iter().find(|&&holder| holder != id);
        let Some(&next) = holder.or(at.queue.first().map(|(_, next)| next)) else { return Bytes::ZERO };
        let has = self.memory(next, device);
        let lacks = u128::from(has.allocated.saturating_sub(has.resident).0);
        let needed = (lacks + at.resident).saturating_sub(u128::from(self.usable(device).0));
        Bytes(u64::try_from(if lacks == 0 { 0 } else { needed }).unwrap_or(u64::MAX))
    }
}
