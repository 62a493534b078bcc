//! Who is next. A tenant is next when it is first in the line of every device that it has named; that is
//! kept up to date with every coming and going, so that those who wait far behind cost nothing.
use crate::Core;
use crate::event::TenantId;
use crate::tenant::Stage;
use nvshare_protocol::DeviceId;

impl Core {
    /// The tenant stands in the device's line, at the place of its request.
    pub(crate) fn line_up(&mut self, device: DeviceId, entry: (u64, TenantId)) {
        self.change_line(device, entry, true);
        self.reconsider(entry.1);
    }

    /// It stands in no line any more.
    pub(crate) fn leave_line(&mut self, id: TenantId, place: u64) {
        let devices: Vec<DeviceId> =
            self.tenants.get(&id).map_or_else(Vec::new, |tenant| tenant.devices.keys().copied().collect());
        for device in devices {
            self.change_line(device, (place, id), false);
        }
        self.next.remove(&(place, id));
    }

    fn change_line(&mut self, device: DeviceId, entry: (u64, TenantId), stands: bool) {
        let Some(device) = self.devices.get_mut(&device) else { return };
        let before = device.queue.first().copied();
        if stands {
            device.queue.insert(entry);
        } else {
            device.queue.remove(&entry);
        }
        let after = device.queue.first().copied();
        if before == after {
            return;
        }
        for (first, leads) in [(before, false), (after, true)] {
            let Some((_, id)) = first else { continue };
            if let Some(tenant) = self.tenants.get_mut(&id) {
                tenant.leads = if leads { tenant.leads + 1 } else { tenant.leads.saturating_sub(1) };
                self.reconsider(id);
            }
        }
    }

    /// Whether it is next, after a line or its set of devices has changed.
    fn reconsider(&mut self, id: TenantId) {
        let Some(tenant) = self.tenants.get(&id) else { return };
        let Stage::Waiting(request) = &tenant.stage else { return };
        let entry = (request.place, id);
        if tenant.leads == tenant.devices.len() && tenant.leads > 0 {
            self.next.insert(entry);
        } else {
            self.next.remove(&entry);
        }
    }
}
