//! How much a tenant may bring, and how much another must take away.
//!
//! A budget is what the device has less the reserve, less what nobody can move for the tenant: the
//! others' immovable bytes, and all that lies there of those that go on beside it. What idle tenants
//! have left behind counts as free: they are asked to move it out before the grant, and what they do not
//! move the driver may, unless it is of the swap engine.
use crate::Core;
use crate::event::{Evict, TenantId};
use crate::standing::Standing;
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
        let throttled = self.lease(id).is_some_and(|lease| lease.throttled);
        let devices = self.tenants.get(&id).into_iter().flat_map(|tenant| &tenant.devices);
        devices
            .map(|(&device, memory)| {
                let bytes = match self.settings.evict {
                    // It comes back when it may, and has had no turn of another after it.
                    Evict::Always if throttled => self.shortfall(id, device).min(memory.movable()),
                    Evict::Never if !self.must_move(id) => Bytes::ZERO,
                    // The rest goes when the next turn has begun.
                    Evict::Always if self.settings.overlap => {
                        self.shortfall(id, device).min(memory.movable())
                    }
                    Evict::Always => Bytes::MAX,
                    Evict::Never | Evict::Pressure => self.shortfall(id, device).min(memory.movable()),
                };
                Share { device, bytes }
            })
            .collect()
    }

    /// Whether the tenant's memory gets out of the way by its own hand, and is not left to the driver.
    pub(crate) fn must_move(&self, id: TenantId) -> bool {
        self.settings.evict != Evict::Never || self.tenants.get(&id).is_some_and(|tenant| tenant.swaps)
    }

    pub(crate) fn memory(&self, id: TenantId, device: DeviceId) -> Memory {
        self.tenants.get(&id).and_then(|tenant| tenant.devices.get(&device)).copied().unwrap_or_default()
    }

    pub(crate) fn usable(&self, device: DeviceId) -> Bytes {
        let at = &self.devices[&device];
        let there = usable(at.capacity, self.settings.reserve).saturating_sub(at.outside);
        there.min(self.settings.most)
    }

    /// The same for the tenant that stands so there: no more than there is by its own word, and less what it was refused.
    pub(crate) fn usable_by(&self, own: &Standing, device: DeviceId) -> Bytes {
        let most = own.capacity.map_or(Bytes::MAX, |capacity| usable(capacity, self.settings.reserve));
        self.usable(device).min(most).saturating_sub(own.refused)
    }

    pub(crate) fn outside(&mut self, device: DeviceId, bytes: Bytes) {
        let Some(at) = self.devices.get_mut(&device) else { return };
        self.touched.insert(device);
        at.outside = bytes.min(at.capacity);
        self.shrunk(device);
    }

    /// Holders that fitted may not any more: all but the youngest leave, as far as must be.
    pub(crate) fn shrunk(&mut self, device: DeviceId) {
        let holders = self.devices.get(&device).into_iter().flat_map(|at| &at.holders).copied();
        let youngest = holders.max_by_key(|id| self.lease(*id).map(|lease| lease.granted));
        if let Some(id) = youngest {
            self.send_away(self.too_many(device, id));
        }
    }

    /// Whether there is less for the tenant than it needs, on one of its devices.
    pub(crate) fn lacks_room(&self, id: TenantId) -> bool {
        let Some(tenant) = self.tenants.get(&id) else { return false };
        let lacks = |(device, memory): (&DeviceId, &Memory)| {
            let most = memory.allocated.min(self.usable_by(self.standing(id, *device), *device));
            memory.resident < most && self.room(id, *device) < most
        };
        tenant.devices.iter().any(lacks)
    }

    /// The device less what cannot be moved for this tenant.
    fn room(&self, id: TenantId, device: DeviceId) -> Bytes {
        let (standings, own) = (&self.devices[&device].standings, self.standing(id, device));
        let others = if own.insists {
            standings.runs - u128::from(own.runs().0) + self.shown(own, device)
        } else {
            standings.taken - u128::from(own.taken.0) + self.claimed(&[id], device)
        };
        let taken = u64::try_from(others).unwrap_or(u64::MAX);
        self.usable_by(own, device).saturating_sub(Bytes(taken))
    }

    /// What the tenant that comes after this one (or goes on beside it) lacks on the device, beyond
    /// what is free there and what others are moving out.
    fn shortfall(&self, id: TenantId, device: DeviceId) -> Bytes {
        let at = &self.devices[&device];
        let holder = at.holders.iter().find(|&&holder| holder != id).filter(|_| !self.shares());
        let Some(next) = holder.copied().or_else(|| self.next_here(device)) else { return Bytes::ZERO };
        let has = self.memory(next, device);
        let lacks = u128::from(has.lacks().0);
        let own = self.standing(next, device);
        let there = if own.insists {
            at.standings.runs + u128::from(has.resident.0) + self.shown(own, device)
        } else {
            let all = at.resident.saturating_sub(at.standings.absent) + self.claimed(&[id, next], device);
            all.saturating_sub(self.outgoing(id, device))
        };
        let needed = (lacks + there).saturating_sub(u128::from(self.usable_by(own, device).0));
        Bytes(u64::try_from(if lacks == 0 { 0 } else { needed }).unwrap_or(u64::MAX))
    }
}
