//! Who is next. A tenant is next when it is first in the line of every device that it has named; how many lines it
//! leads is kept up to date with every coming and going, so that those who wait far behind cost nothing.
use crate::Core;
use crate::event::{Action, TenantId};
use crate::tenant::Stage;
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

impl Core {
    /// The tenant stands in the device's line, at the place of its request.
    pub(crate) fn line_up(&mut self, device: DeviceId, entry: (u64, TenantId)) {
        self.change_line(device, entry, true);
    }

    /// It stands in no line any more.
    pub(crate) fn leave_line(&mut self, id: TenantId, place: u64) {
        let devices: Vec<DeviceId> =
            self.tenants.get(&id).map_or_else(Vec::new, |tenant| tenant.devices.keys().copied().collect());
        for device in devices {
            self.change_line(device, (place, id), false);
        }
    }

    fn change_line(&mut self, id: DeviceId, entry: (u64, TenantId), stands: bool) {
        let Some(device) = self.devices.get_mut(&id) else { return };
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
                if let Stage::Waiting(request) = &mut tenant.stage {
                    request.clear = None;
                }
            }
            self.touch(id);
        }
    }

    /// There cannot be room for the tenant: it stands in no line until there can, and an operator is told who is in the way.
    pub(crate) fn step_aside(&mut self, id: TenantId) {
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let Stage::Waiting(request) = &mut tenant.stage else { return };
        request.aside = true;
        let place = request.place;
        let told = std::mem::replace(&mut tenant.told_no_room, true);
        self.leave_line(id, place);
        self.changed(id);
        if told {
            return;
        }
        let Some(tenant) = self.tenants.get(&id) else { return };
        let lacks_room = |device: &&DeviceId| !self.could_have(id, **device);
        let Some(&device) = tenant.devices.keys().find(lacks_room) else { return };
        let others = self.devices[&device].standings.fixing.iter().rev().filter(|(_, other)| *other != id);
        let kept = others.take(3).map(|(bytes, other)| (*other, *bytes)).collect();
        let wants = self.memory(id, device).allocated;
        let usable = self.usable_by(self.standing(id, device), device);
        self.actions.push(Action::NoRoom { tenant: id, device, wants, usable, kept });
    }

    /// Those that wait aside and for which there can be room now have their places back.
    pub(crate) fn readmit(&mut self, devices: &BTreeSet<DeviceId>) {
        for &device in devices {
            let Some(at) = self.devices.get(&device) else { continue };
            // Those that need least stand first; none behind one for whom there is no room beside what is shown can fit.
            let here = at.standings.aside.iter().take_while(|(needs, _)| self.could_ever(device, *needs));
            let fit: Vec<TenantId> = here.map(|(_, id)| *id).filter(|id| self.could_fit(*id)).collect();
            for id in fit {
                let Some(tenant) = self.tenants.get_mut(&id) else { continue };
                let Stage::Waiting(request) = &mut tenant.stage else { continue };
                request.aside = false;
                let place = request.place;
                if request.stands_in_line() {
                    self.stand_at(id, place);
                } else {
                    self.changed(id);
                }
            }
        }
    }

    /// Its request has another place, at which it does not stand yet.
    pub(crate) fn replace(&mut self, id: TenantId, place: u64) {
        if let Some(Stage::Waiting(request)) = self.tenants.get_mut(&id).map(|tenant| &mut tenant.stage) {
            request.place = place;
        }
    }

    /// It stands in the lines of all its devices.
    pub(crate) fn stand_at(&mut self, id: TenantId, place: u64) {
        let devices: Vec<DeviceId> =
            self.tenants.get(&id).map_or_else(Vec::new, |tenant| tenant.devices.keys().copied().collect());
        devices.into_iter().for_each(|device| self.line_up(device, (place, id)));
        self.changed(id);
    }

    /// Whether no older request stands before it in any of its lines.
    pub(crate) fn is_next(&self, id: TenantId) -> bool {
        self.tenants.get(&id).is_some_and(|tenant| {
            matches!(tenant.stage, Stage::Waiting(_))
                && tenant.leads > 0
                && tenant.leads == tenant.devices.len()
        })
    }
}
