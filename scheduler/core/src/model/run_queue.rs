//! Who is next: a tenant that is first in the line of every device that it has named. Of whom others wait for at several
//! devices is kept up to date with every coming and going, so that those who wait far behind cost nothing.
use crate::Core;
use crate::event::{Action, TenantId};
use crate::model::tenant::{Request, Stage};
use crate::policy::priority::{Class, Priority, round_of};
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

/// Of a device's queue.
#[derive(Clone, Copy)]
enum QueuePart {
    /// Those that use one device alone.
    Single,
    Several,
}

impl Core {
    /// It stands in no line any more.
    pub(crate) fn dequeue(&mut self, id: TenantId, place: u64) {
        for device in self.devices_of(id) {
            self.change_entry(device, (place, id), QueuePart::Single, false);
            if let Some(here) = self.tenants.get(&id).and_then(|tenant| tenant.keys.get(&device).copied()) {
                self.change_entry(device, (here, id), QueuePart::Several, false);
            }
        }
    }

    /// It stands in the lines of all its devices, at its places.
    pub(crate) fn enqueue(&mut self, id: TenantId) {
        let Some(place) = self.request(id).map(|request| request.key) else { return };
        let devices = self.devices_of(id);
        let several = devices.len() > 1;
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.shared_key = place;
        }
        for device in devices {
            let here = self.tenants.get(&id).and_then(|tenant| tenant.keys.get(&device).copied());
            match here.filter(|_| several) {
                Some(here) => self.change_entry(device, (here, id), QueuePart::Several, true),
                None => self.change_entry(device, (place, id), QueuePart::Single, true),
            }
        }
        self.reindex(id);
    }

    /// It stands in line again, where it stood: behind those of the round that is being served, if its own has gone by.
    pub(crate) fn requeue(&mut self, id: TenantId) {
        let Some(request) = self.request(id).copied() else { return };
        let several = self.tenants.get(&id).filter(|tenant| tenant.devices.len() > 1);
        let here = |device: &DeviceId| several.and_then(|tenant| tenant.keys.get(device).copied());
        let is_past = |device: &DeviceId| {
            let place = here(device).unwrap_or(request.key);
            self.devices.get(device).is_some_and(|at| round_of(place) < at.served_round)
        };
        if self.devices_of(id).iter().any(is_past) {
            let place = self.next_key(id, request.priority, Class::Regular);
            self.set_key(id, place);
        }
        self.enqueue(id);
    }

    pub(crate) fn devices_of(&self, id: TenantId) -> Vec<DeviceId> {
        self.tenants.get(&id).map_or_else(Vec::new, |tenant| tenant.devices.keys().copied().collect())
    }

    fn change_entry(&mut self, device: DeviceId, entry: (u64, TenantId), part: QueuePart, stands: bool) {
        let Some(at) = self.devices.get_mut(&device) else { return };
        let (before, was) = (at.queue.head(), at.queue.single.first().copied());
        let line = match part {
            QueuePart::Single => &mut at.queue.single,
            QueuePart::Several => &mut at.queue.several,
        };
        if !(if stands { line.insert(entry) } else { line.remove(&entry) }) {
            return;
        }
        let is = at.queue.single.first().copied();
        let (leads, toggled) = match (part, is) {
            (QueuePart::Single, _) => at.queue.toggled(was, is),
            (QueuePart::Several, Some(single)) if single < entry => (stands, Vec::new()),
            (QueuePart::Several, _) => (stands, vec![entry.1]),
        };
        for id in toggled {
            self.count_head(id, leads);
        }
        let after = self.devices.get(&device).and_then(|at| at.queue.head());
        self.note_new_head(before, after);
    }

    /// At one device more or less nobody stands before the tenant, which uses several, that uses one alone.
    fn count_head(&mut self, id: TenantId, leads: bool) {
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        tenant.heads = if leads { tenant.heads + 1 } else { tenant.heads.saturating_sub(1) };
        let is_clear = tenant.heads == tenant.devices.len();
        if std::mem::replace(&mut tenant.heads_all, is_clear) == is_clear {
            return;
        }
        let entry = (tenant.shared_key, id);
        for device in self.devices_of(id) {
            let Some(at) = self.devices.get_mut(&device) else { continue };
            let before = at.queue.head();
            if is_clear {
                at.queue.heads.insert(entry);
            } else {
                at.queue.heads.remove(&entry);
            }
            let after = at.queue.head();
            self.note_new_head(before, after);
        }
    }

    fn note_new_head(&mut self, before: Option<TenantId>, after: Option<TenantId>) {
        if before == after {
            return;
        }
        for id in before.into_iter().chain(after) {
            if let Some(Stage::Waiting(request)) = self.tenants.get_mut(&id).map(|tenant| &mut tenant.stage) {
                request.unblocked_since = None;
            }
            self.mark_dirty(id);
        }
    }

    /// It waits, and has named one device more.
    pub(crate) fn add_device(&mut self, id: TenantId, device: DeviceId, priority: Priority) {
        let devices = self.devices_of(id);
        let Some((was, stands)) = self.request(id).map(|request| (request.key, request.is_queued())) else {
            return;
        };
        self.dequeue(id, was);
        match devices.len() {
            // It has stood in no line so far, and must not come before those who have.
            1 => {
                let place = self.next_key(id, priority, Class::Regular);
                self.set_key(id, place);
            }
            // Its place at the first device is its place there.
            2 => {
                self.arrivals += 1;
                let first = devices.into_iter().filter(|first| *first != device);
                if let Some(tenant) = self.tenants.get_mut(&id) {
                    tenant.keys = first.map(|first| (first, was)).collect();
                }
                let place = self.new_key(id, None, priority, Class::Regular);
                self.set_key(id, place);
                self.assign_device_key(id, device, priority, Class::Regular);
            }
            _ => {
                self.arrivals += 1;
                self.assign_device_key(id, device, priority, Class::Regular);
            }
        }
        if stands {
            self.enqueue(id);
        }
    }

    fn request(&self, id: TenantId) -> Option<&Request> {
        match &self.tenants.get(&id)?.stage {
            Stage::Waiting(request) => Some(request),
            _ => None,
        }
    }

    /// Its places change so.
    pub(crate) fn rekey(&mut self, id: TenantId, place: impl Fn(u64) -> u64) {
        let Some((was, stands)) = self.request(id).map(|request| (request.key, request.is_queued())) else {
            return;
        };
        self.dequeue(id, was);
        self.set_key(id, place(was));
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.keys.values_mut().for_each(|here| *here = place(*here));
        }
        if stands {
            self.enqueue(id);
        }
    }

    /// There cannot be room for the tenant: it stands in no line until there can, and an operator is told who is in the way.
    pub(crate) fn park(&mut self, id: TenantId) {
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let Stage::Waiting(request) = &mut tenant.stage else { return };
        request.parked = true;
        let place = request.key;
        let told = std::mem::replace(&mut tenant.no_room_reported, true);
        self.dequeue(id, place);
        self.reindex(id);
        if told {
            return;
        }
        let Some(tenant) = self.tenants.get(&id) else { return };
        let lacks_room = |device: &&DeviceId| !self.can_ever_fit_on(id, **device);
        let Some(&device) = tenant.devices.keys().find(lacks_room) else { return };
        let others =
            self.devices[&device].index.by_unevictable.iter().rev().filter(|(_, other)| *other != id);
        let kept = others.take(3).map(|(bytes, other)| (*other, *bytes)).collect();
        let wants = self.memory_of(id, device).allocated;
        let usable = self.usable_for(self.facts(id, device), device);
        self.actions.push(Action::NoRoom { tenant: id, device, wants, usable, kept });
    }

    /// Those that wait aside and for which there can be room now have their places back.
    pub(crate) fn unpark_fitting(&mut self, devices: &BTreeSet<DeviceId>) {
        for &device in devices {
            let Some(at) = self.devices.get(&device) else { continue };
            // Those that need least stand first; none behind one for whom there is no room beside what is shown can fit.
            let here = at.index.parked.iter().take_while(|(needs, _)| self.can_ever_hold(device, *needs));
            let fit: Vec<TenantId> = here.map(|(_, id)| *id).filter(|id| self.can_ever_fit(*id)).collect();
            for id in fit {
                let Some(tenant) = self.tenants.get_mut(&id) else { continue };
                let Stage::Waiting(request) = &mut tenant.stage else { continue };
                request.parked = false;
                if request.is_queued() {
                    self.requeue(id);
                } else {
                    self.reindex(id);
                }
            }
        }
    }

    fn set_key(&mut self, id: TenantId, place: u64) {
        if let Some(Stage::Waiting(request)) = self.tenants.get_mut(&id).map(|tenant| &mut tenant.stage) {
            request.key = place;
        }
    }

    /// Whether all its devices are next for it.
    pub(crate) fn is_next(&self, id: TenantId) -> bool {
        let Some(tenant) = self.tenants.get(&id) else { return false };
        let is_here = |device: &DeviceId| self.next_at(*device) == Some(id);
        matches!(tenant.stage, Stage::Waiting(_))
            && !tenant.devices.is_empty()
            && tenant.devices.keys().all(is_here)
    }
}
