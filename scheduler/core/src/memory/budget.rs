//! How much a tenant may bring, and how much another must take away.
//!
//! A budget is what the device has less the reserve, less what nobody can move for the tenant: the
//! others' immovable bytes, and all that lies there of those that go on beside it. What idle tenants
//! have left behind counts as free: they are asked to move it out before the grant, and what they do not
//! move the driver may, unless it is of the swap engine.
use crate::Core;
use crate::event::{EvictMode, TenantId};
use crate::model::index::TenantFacts;
use crate::model::tenant::MemoryUse;
use nvshare_protocol::tenant::{Share, usable};
use nvshare_protocol::{Bytes, DeviceId};

impl Core {
    /// What the tenant may have resident on each of its devices; never less than it has there already.
    pub(crate) fn budget(&self, id: TenantId) -> Vec<Share> {
        let devices = self.tenants.get(&id).into_iter().flat_map(|tenant| &tenant.devices);
        devices
            .map(|(&device, memory)| Share { device, bytes: self.headroom(id, device).max(memory.resident) })
            .collect()
    }

    /// What `evict` asks of the tenant for each of its devices.
    pub(crate) fn shares_to_evict(&self, id: TenantId) -> Vec<Share> {
        let throttled = self.lease(id).is_some_and(|lease| lease.throttled);
        let devices = self.tenants.get(&id).into_iter().flat_map(|tenant| &tenant.devices);
        devices
            .map(|(&device, memory)| {
                let bytes = match self.settings.evict {
                    // It comes back when it may, and has had no turn of another after it.
                    EvictMode::Always if throttled => self.deficit_of_next(id, device).min(memory.movable()),
                    EvictMode::Never if !self.evicts_itself(id) => Bytes::ZERO,
                    // The rest goes when the next turn has begun.
                    EvictMode::Always if self.settings.overlap => {
                        self.deficit_of_next(id, device).min(memory.movable())
                    }
                    EvictMode::Always => Bytes::MAX,
                    EvictMode::Never | EvictMode::Pressure => {
                        self.deficit_of_next(id, device).min(memory.movable())
                    }
                };
                Share { device, bytes }
            })
            .collect()
    }

    /// Whether the tenant's memory gets out of the way by its own hand, and is not left to the driver.
    pub(crate) fn evicts_itself(&self, id: TenantId) -> bool {
        self.settings.evict != EvictMode::Never || self.tenants.get(&id).is_some_and(|tenant| tenant.swaps)
    }

    pub(crate) fn memory_of(&self, id: TenantId, device: DeviceId) -> MemoryUse {
        self.tenants.get(&id).and_then(|tenant| tenant.devices.get(&device)).copied().unwrap_or_default()
    }

    pub(crate) fn usable(&self, device: DeviceId) -> Bytes {
        let at = &self.devices[&device];
        let there = usable(at.capacity, self.settings.reserve).saturating_sub(at.external);
        there.min(self.settings.most)
    }

    /// The same for the tenant that stands so there: no more than there is by its own word, and less what it was refused.
    pub(crate) fn usable_for(&self, own: &TenantFacts, device: DeviceId) -> Bytes {
        let most = own.capacity.map_or(Bytes::MAX, |capacity| usable(capacity, self.settings.reserve));
        self.usable(device).min(most).saturating_sub(own.unaccounted)
    }

    pub(crate) fn on_external(&mut self, device: DeviceId, bytes: Bytes) {
        let Some(at) = self.devices.get_mut(&device) else { return };
        self.dirty.insert(device);
        at.external = bytes.min(at.capacity);
        self.resolve_shrink(device);
    }

    /// Holders that fitted may not any more: all but the youngest leave, as far as must be.
    pub(crate) fn resolve_shrink(&mut self, device: DeviceId) {
        let holders = self.devices.get(&device).into_iter().flat_map(|at| &at.holders).copied();
        let youngest = holders.max_by_key(|id| self.lease(*id).map(|lease| lease.granted_at));
        if let Some(id) = youngest {
            self.revoke_all(self.victims_on(device, id));
        }
    }

    /// Whether there is less for the tenant than it needs, on one of its devices.
    pub(crate) fn lacks_room(&self, id: TenantId) -> bool {
        let Some(tenant) = self.tenants.get(&id) else { return false };
        let lacks = |(device, memory): (&DeviceId, &MemoryUse)| {
            let most = memory.allocated.min(self.usable_for(self.facts(id, *device), *device));
            memory.resident < most && self.headroom(id, *device) < most
        };
        tenant.devices.iter().any(lacks)
    }

    /// The device less what cannot be moved for this tenant.
    fn headroom(&self, id: TenantId, device: DeviceId) -> Bytes {
        let (standings, own) = (&self.devices[&device].index, self.facts(id, device));
        let others = if own.ignores_claims {
            standings.held_resident - u128::from(own.held_resident().0)
                + self.verified_unevictable(own, device)
        } else {
            standings.unavailable - u128::from(own.unavailable.0) + self.incoming_of_others(&[id], device)
        };
        let taken = u64::try_from(others).unwrap_or(u64::MAX);
        self.usable_for(own, device).saturating_sub(Bytes(taken))
    }

    /// What the tenant that comes after this one (or goes on beside it) lacks on the device, beyond
    /// what is free there and what others are moving out.
    fn deficit_of_next(&self, id: TenantId, device: DeviceId) -> Bytes {
        let at = &self.devices[&device];
        let holder = at.holders.iter().find(|&&holder| holder != id).filter(|_| !self.shares_devices());
        let Some(next) = holder.copied().or_else(|| self.next_at(device)) else { return Bytes::ZERO };
        let has = self.memory_of(next, device);
        let lacks = u128::from(has.lacks().0);
        let own = self.facts(next, device);
        let there = if own.ignores_claims {
            at.index.held_resident + u128::from(has.resident.0) + self.verified_unevictable(own, device)
        } else {
            let all =
                at.resident.saturating_sub(at.index.phantom) + self.incoming_of_others(&[id, next], device);
            all.saturating_sub(self.outgoing_of_others(id, device))
        };
        let needed = (lacks + there).saturating_sub(u128::from(self.usable_for(own, device).0));
        Bytes(u64::try_from(if lacks == 0 { 0 } else { needed }).unwrap_or(u64::MAX))
    }
}
