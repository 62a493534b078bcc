//! Requests in the queues of their devices. Who is first for a tenant with several devices is kept up to date with
//! every coming and going, so that those who wait far behind cost nothing.
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::queue_key::QueueKey;
use crate::model::request::QueuePosition;
use crate::model::tenant::Tenant;
use nvshare_protocol::DeviceId;

/// Where a request stands, if it stands in the queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QueueEntry {
    /// Of a tenant that uses one device.
    Single(DeviceId, QueueKey),
    /// Of one that uses several: its place in the one order of such tenants, and at each device.
    Several(QueuePosition),
}

/// What the queues keep of a tenant that uses several devices and waits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeadCount {
    /// At how many devices nobody that uses one device alone stands before it.
    pub at: usize,
    /// Whether that is so at all of them.
    pub everywhere: bool,
    /// Its place in the one order of those that use several.
    pub key: Option<QueueKey>,
}

/// The two parts of a device's queue.
#[derive(Clone, Copy)]
enum Part {
    Single,
    Several,
}

impl Tenant {
    /// Where its request has to stand.
    fn wanted_entry(&self) -> Option<QueueEntry> {
        let request = self.request().filter(|_| self.is_queued())?;
        match self.devices.len() {
            0 => None,
            1 => Some(QueueEntry::Single(*self.devices.keys().next()?, request.place.key)),
            _ => Some(QueueEntry::Several(request.place.clone())),
        }
    }

    /// Whether its request stands where it has to.
    pub(super) fn is_queued_as_wanted(&self) -> bool {
        let request = self.request().filter(|_| self.is_queued() && !self.devices.is_empty());
        match (&self.queued, request) {
            (None, None) => true,
            (Some(QueueEntry::Single(device, key)), Some(request)) => {
                *key == request.place.key && self.devices.len() == 1 && self.devices.contains_key(device)
            }
            (Some(QueueEntry::Several(place)), Some(request)) => {
                *place == request.place && self.devices.len() > 1
            }
            _ => false,
        }
    }
}

impl Model {
    /// The tenant's request leaves the queues where it stood, and enters them where it has to stand.
    pub(super) fn move_in_queues(&mut self, id: TenantId) {
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let is = tenant.wanted_entry();
        let was = std::mem::replace(&mut tenant.queued, is.clone());
        for (entry, stands) in [(was, false), (is, true)] {
            match entry {
                None => {}
                Some(QueueEntry::Single(device, key)) => {
                    self.change_entry(device, (key, id), Part::Single, stands);
                }
                Some(QueueEntry::Several(place)) => {
                    if let Some(tenant) = self.tenants.get_mut(&id).filter(|_| stands) {
                        tenant.head_count.key = Some(place.key);
                    }
                    for (device, key) in place.at {
                        self.change_entry(device, (key, id), Part::Several, stands);
                    }
                }
            }
        }
    }

    fn change_entry(&mut self, device: DeviceId, entry: (QueueKey, TenantId), part: Part, stands: bool) {
        let Some(at) = self.devices.get_mut(&device) else { return };
        let (before, was) = (at.queue.head(), at.queue.single.first().copied());
        let queue = match part {
            Part::Single => &mut at.queue.single,
            Part::Several => &mut at.queue.several,
        };
        if !(if stands { queue.insert(entry) } else { queue.remove(&entry) }) {
            return;
        }
        let is = at.queue.single.first().copied();
        let (leads, toggled) = match (part, is) {
            (Part::Single, _) => at.queue.toggled(was, is),
            (Part::Several, Some(single)) if single < entry => (stands, Vec::new()),
            (Part::Several, _) => (stands, vec![entry.1]),
        };
        for id in toggled {
            self.count_head(id, leads);
        }
        let after = self.devices.get(&device).and_then(|at| at.queue.head());
        self.note_new_head(before, after);
    }

    /// At one device more, or less, nobody that uses one device alone stands before the tenant, which uses several.
    fn count_head(&mut self, id: TenantId, leads: bool) {
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let heads = &mut tenant.head_count;
        heads.at = if leads { heads.at + 1 } else { heads.at.saturating_sub(1) };
        let everywhere = heads.at == tenant.devices.len();
        if std::mem::replace(&mut heads.everywhere, everywhere) == everywhere {
            return;
        }
        let Some(key) = heads.key else { return };
        for device in self.devices_of(id) {
            let Some(at) = self.devices.get_mut(&device) else { continue };
            let before = at.queue.head();
            if everywhere {
                at.queue.heads.insert((key, id));
            } else {
                at.queue.heads.remove(&(key, id));
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
            let Some(tenant) = self.tenants.get_mut(&id) else { continue };
            if let Some(request) = tenant.request_mut() {
                request.unblocked_since = None;
            }
            self.dirty.extend(tenant.devices.keys());
        }
    }
}
