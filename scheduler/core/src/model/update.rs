//! The one place where tenants and devices change.
//!
//! Every change of a tenant goes through [`Model::update`]. It then moves the tenant's request in the queues, brings
//! the indexes of its devices up to date, and marks these as dirty: the engine decides about dirty devices alone, so
//! that tenants that neither hold nor wait cost nothing.
use crate::model::Model;
use crate::model::device::Device;
use crate::model::devices::DeviceTable;
use crate::model::ids::TenantId;
use crate::model::index::TenantFacts;
use crate::model::lease::{Lease, Phase};
use crate::model::request::Request;
use crate::model::settings::Settings;
use crate::model::tenant::{Stage, Tenant};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};
use std::collections::BTreeSet;

impl Model {
    /// Changes a tenant, and all that follows from it. None: there is no such tenant.
    pub fn update<R>(&mut self, id: TenantId, change: impl FnOnce(&mut Tenant) -> R) -> Option<R> {
        self.try_update(id, |tenant| Some(change(tenant)))
    }

    /// The same of its lease, if it has one.
    pub fn update_lease<R>(&mut self, id: TenantId, change: impl FnOnce(&mut Lease) -> R) -> Option<R> {
        self.try_update(id, |tenant| tenant.lease_mut().map(change))
    }

    /// The same of its request, if it waits.
    pub fn update_request<R>(&mut self, id: TenantId, change: impl FnOnce(&mut Request) -> R) -> Option<R> {
        self.try_update(id, |tenant| tenant.request_mut().map(change))
    }

    /// `change` returns none if it has changed nothing.
    fn try_update<R>(&mut self, id: TenantId, change: impl FnOnce(&mut Tenant) -> Option<R>) -> Option<R> {
        let tenant = self.tenants.get_mut(&id)?;
        let turn = |tenant: &Tenant| {
            let lease = tenant.lease().filter(|_| tenant.family.is_some())?;
            Some((lease.is_unresponsive(), lease.is_revoked(), lease.turn_end()))
        };
        let before = turn(tenant);
        let result = change(tenant)?;
        let turned = tenant.family.filter(|_| turn(tenant) != before);
        if tenant.is_queued_as_wanted() {
            Self::reindex(
                tenant,
                id,
                (self.settings.silence, self.now),
                (&mut self.devices, &mut self.dirty),
            );
        } else {
            self.move_in_queues(id);
            self.reindex_tenant(id);
        }
        if let Some(family) = turned {
            self.mark_family(family);
        }
        Some(result)
    }

    /// Something has changed that matters wherever the family may run.
    pub fn mark_family(&mut self, family: u64) {
        let members = self.families.get(&family).into_iter().flatten();
        let members = members.filter_map(|id| self.tenants.get(id));
        self.dirty.extend(members.flat_map(|tenant| tenant.devices.keys()));
    }

    /// What the tenant's lease is spent on from now on; the phase that has ended, and the lease's number. No index has
    /// it, and nothing is decided by it.
    pub fn set_phase(&mut self, id: TenantId, phase: Phase) -> Option<(Phase, LeaseId)> {
        let lease = self.tenants.get_mut(&id)?.lease_mut()?;
        Some((std::mem::replace(&mut lease.phase, phase), lease.id))
    }

    /// Since when nobody is in the way of the tenant that waits. No index has it.
    pub fn set_unblocked(&mut self, id: TenantId, since: Option<Nanos>) {
        if let Some(request) = self.tenants.get_mut(&id).and_then(Tenant::request_mut) {
            request.unblocked_since = since;
        }
    }

    /// Changes what a device has beside its index, and marks it as dirty.
    pub fn update_device<R>(&mut self, id: DeviceId, change: impl FnOnce(&mut Device) -> R) -> Option<R> {
        let device = self.devices.get_mut(&id)?;
        self.dirty.insert(id);
        Some(change(device))
    }

    /// Changes the rules, which matter to every tenant and every device.
    pub fn update_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        let ids: Vec<TenantId> = self.tenants.iter().map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.reindex_tenant(id));
        self.dirty.extend(self.devices.keys());
    }

    /// Adds a tenant that is not there yet.
    pub fn add_tenant(&mut self, id: TenantId) {
        self.tenants.add(id);
    }

    /// Takes a tenant out of the table and out of the indexes of its devices.
    pub fn remove_tenant(&mut self, id: TenantId) -> Option<Tenant> {
        // It leaves the queues.
        self.update(id, |tenant| tenant.stage = Stage::Idle);
        let tenant = self.tenants.remove(&id)?;
        if let Some(family) = tenant.family {
            self.leave_family(id, family);
        }
        for (name, facts) in &tenant.facts {
            self.dirty.insert(*name);
            if let Some(device) = self.devices.get_mut(name) {
                device.index.apply(id, **facts, TenantFacts::default());
                device.note_holders(self.now);
            }
        }
        Some(tenant)
    }

    /// The tenant is of this family from now on.
    pub fn join_family(&mut self, id: TenantId, family: u64) {
        let Some(before) = self.update(id, |tenant| tenant.family.replace(family)) else { return };
        if let Some(before) = before {
            self.leave_family(id, before);
        }
        self.families.entry(family).or_default().insert(id);
        self.mark_family(family);
    }

    fn leave_family(&mut self, id: TenantId, family: u64) {
        self.mark_family(family);
        let Some(members) = self.families.get_mut(&family) else { return };
        members.remove(&id);
        if members.is_empty() {
            self.families.remove(&family);
        }
    }

    /// A device that is known from now on, if it was not, and as large as this, if that was not known either.
    pub fn add_device(&mut self, id: DeviceId, capacity: Bytes) {
        let device = self.devices.entry(id);
        if device.capacity == Bytes::ZERO {
            device.capacity = capacity;
        }
    }

    /// Forgets a device that no tenant uses.
    pub fn remove_device(&mut self, id: DeviceId) {
        self.set_timer(id, None);
        self.devices.remove(&id);
    }

    /// The devices to decide about now; none when everything is decided.
    pub fn take_dirty(&mut self) -> Option<BTreeSet<DeviceId>> {
        while let Some(&(at, device)) = self.timers.first()
            && at <= self.now
        {
            self.set_timer(device, None);
            self.dirty.insert(device);
        }
        let dirty = std::mem::take(&mut self.dirty);
        (!dirty.is_empty()).then_some(dirty)
    }

    /// When the device has to be looked at without anything happening.
    pub fn set_timer(&mut self, id: DeviceId, due: Option<Nanos>) {
        let Some(device) = self.devices.get_mut(&id) else { return };
        if let Some(before) = std::mem::replace(&mut device.timer, due) {
            self.timers.remove(&(before, id));
        }
        self.timers.extend(due.map(|due| (due, id)));
    }

    fn reindex_tenant(&mut self, id: TenantId) {
        if let Some(tenant) = self.tenants.get_mut(&id) {
            Self::reindex(
                tenant,
                id,
                (self.settings.silence, self.now),
                (&mut self.devices, &mut self.dirty),
            );
        }
    }

    /// Brings the indexes of the tenant's devices up to date and marks these as dirty.
    fn reindex(
        tenant: &mut Tenant,
        id: TenantId,
        (silence, now): (Nanos, Nanos),
        (devices, dirty): (&mut DeviceTable, &mut BTreeSet<DeviceId>),
    ) {
        for &name in tenant.devices.keys() {
            let Some(device) = devices.get_mut(&name) else { continue };
            let is = TenantFacts::of(tenant, id, name, silence);
            let known = tenant.facts.entry(name).or_default();
            if **known != is {
                device.index.apply(id, **known, is);
                device.note_holders(now);
                **known = is;
            }
            dirty.insert(name);
        }
    }
}

#[cfg(test)]
impl Model {
    pub fn is_clean(&self) -> bool {
        self.dirty.is_empty()
    }

    /// The device's index as it has to be, made anew from all tenants.
    pub fn recomputed_index(&self, device: DeviceId) -> crate::model::index::DeviceIndex {
        let mut index = crate::model::index::DeviceIndex::default();
        for (id, tenant) in self.tenants.iter() {
            let is = TenantFacts::of(tenant, *id, device, self.settings.silence);
            index.apply(*id, TenantFacts::default(), is);
        }
        index
    }
}
