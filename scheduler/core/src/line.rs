//! Who is next. A tenant is next when it is first in the line of every device that it has named; how many lines it
//! leads is kept up to date with every coming and going, so that those who wait far behind cost nothing.
use crate::Core;
use crate::event::{Action, TenantId};
use crate::priority::{Class, Priority};
use crate::queue::Queue;
use crate::tenant::{Request, Stage};
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

impl Core {
    /// It stands in no line any more.
    pub(crate) fn leave_line(&mut self, id: TenantId, place: u64) {
        for device in self.devices_of(id) {
            self.change_line(device, |queue| queue.remove((place, id)));
        }
    }

    fn devices_of(&self, id: TenantId) -> Vec<DeviceId> {
        self.tenants.get(&id).map_or_else(Vec::new, |tenant| tenant.devices.keys().copied().collect())
    }

    fn change_line(&mut self, id: DeviceId, change: impl FnOnce(&mut Queue)) {
        let Some(device) = self.devices.get_mut(&id) else { return };
        let before = device.queue.first();
        change(&mut device.queue);
        let after = device.queue.first();
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

    /// It waits, and has named one device more.
    pub(crate) fn wait_for(&mut self, id: TenantId, device: DeviceId, priority: Priority) {
        let devices = self.devices_of(id);
        let Some((was, stands)) = self.request(id).map(|request| (request.place, request.stands_in_line()))
        else {
            return;
        };
        self.leave_line(id, was);
        match devices.len() {
            // It has stood in no line so far, and must not come before those who have.
            1 => {
                let place = self.next_place(id, priority, Class::InTurn);
                self.replace(id, place);
            }
            // Its place at the first device is its place there.
            2 => {
                self.arrivals += 1;
                let first = devices.into_iter().filter(|first| *first != device);
                if let Some(tenant) = self.tenants.get_mut(&id) {
                    tenant.places = first.map(|first| (first, was)).collect();
                }
                let place = self.place_at(id, None, priority, Class::InTurn);
                self.replace(id, place);
                self.place_here(id, device, priority, Class::InTurn);
            }
            _ => {
                self.arrivals += 1;
                self.place_here(id, device, priority, Class::InTurn);
            }
        }
        if stands {
            self.stand_in_line(id);
        }
    }

    fn request(&self, id: TenantId) -> Option<&Request> {
        match &self.tenants.get(&id)?.stage {
            Stage::Waiting(request) => Some(request),
            _ => None,
        }
    }

    /// Its places change so.
    pub(crate) fn move_to(&mut self, id: TenantId, place: impl Fn(u64) -> u64) {
        let Some((was, stands)) = self.request(id).map(|request| (request.place, request.stands_in_line()))
        else {
            return;
        };
        self.leave_line(id, was);
        self.replace(id, place(was));
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.places.values_mut().for_each(|here| *here = place(*here));
        }
        if stands {
            self.stand_in_line(id);
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
                if request.stands_in_line() {
                    self.stand_in_line(id);
                } else {
                    self.changed(id);
                }
            }
        }
    }

    fn replace(&mut self, id: TenantId, place: u64) {
        if let Some(Stage::Waiting(request)) = self.tenants.get_mut(&id).map(|tenant| &mut tenant.stage) {
            request.place = place;
        }
    }

    /// It stands in the lines of all its devices, at its places.
    pub(crate) fn stand_in_line(&mut self, id: TenantId) {
        let Some(place) = self.request(id).map(|request| request.place) else { return };
        let devices = self.devices_of(id);
        let several = devices.len() > 1;
        for device in devices {
            let here = self.tenants.get(&id).and_then(|tenant| tenant.places.get(&device).copied());
            self.change_line(device, |queue| queue.insert((place, id), here.filter(|_| several)));
        }
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
