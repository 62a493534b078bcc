//! What is looked at: the devices that an event touches, and those for which a decision is due. Whatever changes
//! something about a device or about a tenant of it says so here, so that tenants of other devices, and those that
//! neither hold nor wait, cost nothing.
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::index::DeviceIndex;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeSet;

impl Model {
    /// When the next decision is due without anything happening. Always after the last event's time.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Something about the tenant has changed: it matters to all its devices.
    pub(crate) fn mark_dirty(&mut self, id: TenantId) {
        let Some(tenant) = self.tenants.get(&id) else { return };
        self.dirty.extend(tenant.devices.keys());
    }

    pub(crate) fn mark_all_dirty(&mut self) {
        self.dirty.extend(self.devices.keys());
    }

    /// The devices to look at now; none when everything is decided.
    pub(crate) fn take_dirty(&mut self) -> Option<BTreeSet<DeviceId>> {
        while let Some(&(at, device)) = self.timers.first()
            && at <= self.now
        {
            self.set_timer(device, None);
            self.dirty.insert(device);
        }
        let touched = std::mem::take(&mut self.dirty);
        (!touched.is_empty()).then_some(touched)
    }

    /// When the device is to be looked at by itself.
    pub(crate) fn set_timer(&mut self, id: DeviceId, due: Option<Nanos>) {
        let Some(device) = self.devices.get_mut(&id) else { return };
        if let Some(before) = std::mem::replace(&mut device.timer, due) {
            self.timers.remove(&(before, id));
        }
        self.timers.extend(due.map(|due| (due, id)));
    }

    /// The tenants that are the matter on one of the devices.
    pub(crate) fn collect_at(
        &self,
        devices: &BTreeSet<DeviceId>,
        which: fn(&DeviceIndex) -> &BTreeSet<TenantId>,
    ) -> BTreeSet<TenantId> {
        let devices = devices.iter().filter_map(|device| self.devices.get(device));
        devices.flat_map(|device| which(&device.index)).copied().collect()
    }
}
