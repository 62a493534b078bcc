//! What is looked at: the devices that an event touches, and those for which a decision is due. Whatever changes
//! something about a device or about a tenant of it says so here, so that tenants of other devices, and those that
//! neither hold nor wait, cost nothing.
use crate::Core;
use crate::event::TenantId;
use crate::standing::Standings;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeSet;

impl Core {
    /// When the next decision is due without anything happening. Always after the last event's time.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Something about the tenant has changed: it matters to all its devices.
    pub(crate) fn touch(&mut self, id: TenantId) {
        let Some(tenant) = self.tenants.get(&id) else { return };
        self.touched.extend(tenant.devices.keys());
    }

    pub(crate) fn touch_all(&mut self) {
        self.touched.extend(self.devices.keys());
    }

    /// The devices to look at now; none when everything is decided.
    pub(crate) fn take_touched(&mut self) -> Option<BTreeSet<DeviceId>> {
        while let Some(&(at, device)) = self.wakes.first()
            && at <= self.now
        {
            self.wake(device, None);
            self.touched.insert(device);
        }
        let touched = std::mem::take(&mut self.touched);
        (!touched.is_empty()).then_some(touched)
    }

    /// When the device is to be looked at by itself.
    pub(crate) fn wake(&mut self, id: DeviceId, due: Option<Nanos>) {
        let Some(device) = self.devices.get_mut(&id) else { return };
        if let Some(before) = std::mem::replace(&mut device.due, due) {
            self.wakes.remove(&(before, id));
        }
        self.wakes.extend(due.map(|due| (due, id)));
    }

    /// The tenants that are the matter on one of the devices.
    pub(crate) fn those_at(
        &self,
        devices: &BTreeSet<DeviceId>,
        which: fn(&Standings) -> &BTreeSet<TenantId>,
    ) -> BTreeSet<TenantId> {
        let devices = devices.iter().filter_map(|device| self.devices.get(device));
        devices.flat_map(|device| which(&device.standings)).copied().collect()
    }

    /// Those that wait for one of the devices and are next.
    pub(crate) fn next_at(&self, devices: &BTreeSet<DeviceId>) -> BTreeSet<TenantId> {
        let firsts = devices.iter().filter_map(|device| self.next_here(*device));
        firsts.filter(|id| self.is_next(*id)).collect()
    }
}
