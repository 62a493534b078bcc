//! Who is next: a tenant that is first in the line of every device that it has named. Of whom others wait for at several
//! devices is kept up to date with every coming and going, so that those who wait far behind cost nothing.
use crate::Core;
use crate::event::{Action, TenantId};
use crate::priority::{Class, Priority, round_at};
use crate::tenant::{Request, Stage};
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

/// Of a device's queue.
#[derive(Clone, Copy)]
enum Part {
    /// Those that use one device alone.
    Single,
    Several,
}

impl Core {
    /// It stands in no line any more.
    pub(crate) fn leave_line(&mut self, id: TenantId, place: u64) {
        for device in self.devices_of(id) {
            self.change_line(device, (place, id), Part::Single, false);
            if let Some(here) = self.tenants.get(&id).and_then(|tenant| tenant.places.get(&device).copied()) {
                self.change_line(device, (here, id), Part::Several, false);
            }
        }
    }

    /// It stands in the lines of all its devices, at its places.
    pub(crate) fn stand_in_line(&mut self, id: TenantId) {
        let Some(place) = self.request(id).map(|request| request.place) else { return };
        let devices = self.devices_of(id);
        let several = devices.len() > 1;
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.stands_at = place;
        }
        for device in devices {
            let here = self.tenants.get(&id).and_then(|tenant| tenant.places.get(&device).copied());
            match here.filter(|_| several) {
                Some(here) => self.change_line(device, (here, id), Part::Several, true),
                None => self.change_line(device, (place, id), Part::Single, true),
            }
        }
        self.changed(id);
    }

    /// It stands in line again, where it stood: behind those of the round that is being served, if its own has gone by.
    pub(crate) fn stand_in_line_again(&mut self, id: TenantId) {
        let Some(request) = self.request(id).copied() else { return };
        let several = self.tenants.get(&id).filter(|tenant| tenant.devices.len() > 1);
        let here = |device: &DeviceId| several.and_then(|tenant| tenant.places.get(device).copied());
        let is_past = |device: &DeviceId| {
            let place = here(device).unwrap_or(request.place);
            self.devices.get(device).is_some_and(|at| round_at(place) < at.served)
        };
        if self.devices_of(id).iter().any(is_past) {
            let place = self.next_place(id, request.priority, Class::InTurn);
            self.replace(id, place);
        }
        self.stand_in_line(id);
    }

    pub(crate) fn devices_of(&self, id: TenantId) -> Vec<DeviceId> {
        self.tenants.get(&id).map_or_else(Vec::new, |tenant| tenant.devices.keys().copied().collect())
    }

    fn change_line(&mut self, device: DeviceId, entry: (u64, TenantId), part: Part, stands: bool) {
        let Some(at) = self.devices.get_mut(&device) else { return };
        let (before, was) = (at.queue.first(), at.queue.single.first().copied());
        let line = match part {
            Part::Single => &mut at.queue.single,
            Part::Several => &mut at.queue.several,
        };
        if !(if stands { line.insert(entry) } else { line.remove(&entry) }) {
            return;
        }
        let is = at.queue.single.first().copied();
        let (leads, toggled) = match (part, is) {
            (Part::Single, _) => at.queue.between(was, is),
            (Part::Several, Some(single)) if single < entry => (stands, Vec::new()),
            (Part::Several, _) => (stands, vec![entry.1]),
        };
        for id in toggled {
            self.lead(id, leads);
        }
        let after = self.devices.get(&device).and_then(|at| at.queue.first());
        self.note_first(before, after);
    }

    /// At one device more or less nobody stands before the tenant, which uses several, that uses one alone.
    fn lead(&mut self, id: TenantId, leads: bool) {
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        tenant.leads = if leads { tenant.leads + 1 } else { tenant.leads.saturating_sub(1) };
        let is_clear = tenant.leads == tenant.devices.len();
        if std::mem::replace(&mut tenant.is_clear, is_clear) == is_clear {
            return;
        }
        let entry = (tenant.stands_at, id);
        for device in self.devices_of(id) {
            let Some(at) = self.devices.get_mut(&device) else { continue };
            let before = at.queue.first();
            if is_clear {
                at.queue.clear.insert(entry);
            } else {
                at.queue.clear.remove(&entry);
            }
            let after = at.queue.first();
            self.note_first(before, after);
        }
    }

    fn note_first(&mut self, before: Option<TenantId>, after: Option<TenantId>) {
        if before == after {
            return;
        }
        for id in before.into_iter().chain(after) {
            if let Some(Stage::Waiting(request)) = self.tenants.get_mut(&id).map(|tenant| &mut tenant.stage) {
                request.clear = None;
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
                    self.stand_in_line_again(id);
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

    /// Whether all its devices are next for it.
    pub(crate) fn is_next(&self, id: TenantId) -> bool {
        let Some(tenant) = self.tenants.get(&id) else { return false };
        let is_here = |device: &DeviceId| self.next_here(*device) == Some(id);
        matches!(tenant.stage, Stage::Waiting(_))
            && !tenant.devices.is_empty()
            && tenant.devices.keys().all(is_here)
    }
}
