//! What is known of the machine goes to the core, and what is not to who is concerned.
use super::Daemon;
use super::members::DeviceUsage;
use crate::devices::{ALWAYS_BY_OWNER, Change, MOST, MOST_BY_OWNER, RefusalReason};
use crate::nvml::{Answer, DeviceReport, Inventory};
use crate::text;
use nvshare_core::MAX_DEVICES;
use nvshare_core::event::{Event, TenantId};
use nvshare_protocol::tenant::{Device, Memory, Released, Share, ToTenant};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos, control};
use std::collections::{HashMap, HashSet};

/// The first version of the tenants' language with [`ToTenant::Notice`].
const NOTICES_SINCE: u32 = 4;

/// Those who use each device, with their pids.
type Users = HashMap<DeviceId, Vec<(TenantId, u32)>>;

impl Daemon {
    /// A tenant names a device.
    pub(super) fn device(&mut self, tenant: TenantId, told: Device) {
        let Some(member) = self.members.get(tenant) else { return };
        let owner = member.who.owner();
        let known = member.devices.contains_key(&told.device);
        if known || self.devices.remember(owner, tenant, told.device, None) {
            return;
        }
        if member.devices.len() + self.devices.refused(owner, tenant) >= MAX_DEVICES {
            return self.dismiss(tenant, &format!("the limit of {MAX_DEVICES} devices a process is reached"));
        }
        let (device, claimed) = (told.device, told.capacity);
        let steps = self.devices.name(owner, tenant, told);
        self.compare(tenant, device, claimed);
        self.take(steps);
        self.say_refusals();
    }

    /// A word about a claim that is far from what is known.
    fn compare(&self, tenant: TenantId, device: DeviceId, claimed: Bytes) {
        let known = self.devices.get(device).filter(|_| self.devices.claimed(tenant, device).is_some());
        let Some(known) = known else { return };
        let Bytes(capacity) = known.capacity;
        if claimed > known.capacity || claimed.0 < capacity - capacity / 10 {
            let (name, from) = (self.members.name(tenant), known.from.as_str());
            let line = format!(
                "{name} says that {device} has {} bytes; it is known with {capacity} ({from}) and stays so for others",
                claimed.0
            );
            self.warn_of(tenant, &line);
        }
    }

    /// The core hears what has become of devices.
    fn take(&mut self, steps: Vec<Change>) {
        for step in steps {
            match step {
                Change::Resized(device) => {
                    if let Some((Bytes(capacity), from)) = self.devices.news(device) {
                        let line = format!("{device} has {capacity} bytes ({})", from.as_str());
                        self.shared.log.info(&line);
                    }
                    let capacity = self.devices.get(device).map(|known| known.capacity);
                    if let Some(capacity) = capacity {
                        self.tell(Event::Capacity { device, capacity });
                    }
                }
                Change::Attached(tenant, device, memory) => self.uses(tenant, device, memory),
            }
        }
    }

    fn uses(&mut self, tenant: TenantId, device: DeviceId, memory: Option<Memory>) {
        let Some(capacity) = self.devices.bound(tenant, device) else { return };
        // It may have left while the core was told of others.
        let Some(member) = self.members.get_mut(tenant) else { return };
        member.devices.insert(device, DeviceUsage::default());
        let pid = member.who.pid;
        self.tell(Event::Device { tenant, device, capacity });
        if self.process_usage.attach(tenant, pid, device) {
            self.tell(Event::Seen { tenant, device, bytes: Bytes::ZERO });
        }
        if let Some(memory) = memory {
            self.has(tenant, memory);
        }
        if self.members.get(tenant).is_some_and(|member| member.waits_for_devices) {
            self.requests(tenant);
        }
    }

    /// Whether the tenant has named devices that are refused to it: it is not granted the others alone.
    pub(super) fn lacks_devices(&self, tenant: TenantId) -> bool {
        let member = self.members.get(tenant);
        member.is_some_and(|member| self.devices.refused(member.who.owner(), tenant) > 0)
    }

    /// The tenant asks for its devices: all of them, or none.
    pub(super) fn requests(&mut self, tenant: TenantId) {
        let lacks = self.core.enabled() && self.lacks_devices(tenant);
        let Some(member) = self.members.get_mut(tenant) else { return };
        member.waits_for_devices = lacks;
        if !lacks && member.is_connected() && !self.waits_to_be_shown(tenant) {
            self.tell(Event::Requested { tenant });
        }
    }

    /// It was granted its devices without one that it has named since it asked.
    pub(super) fn hold_back(&mut self, tenant: TenantId, lease: LeaseId) {
        if let Some(member) = self.members.get_mut(tenant) {
            member.waits_for_devices = true;
        }
        let (evicted, none) = (Vec::new(), Nanos::ZERO);
        let released = Released { lease, evicted, drain: none, evict: none };
        self.tell(Event::Released { tenant, released });
    }

    /// What a tenant has on a device that is refused to it is remembered; on another, no more than it says that there is.
    pub(super) fn bounded(&mut self, tenant: TenantId, told: &Memory) -> Memory {
        let owner = self.members.get(tenant).map(|member| member.who.owner());
        if let Some(owner) = owner {
            self.devices.remember(owner, tenant, told.device, Some(told));
        }
        let most = self.devices.claimed(tenant, told.device).unwrap_or(Bytes::MAX);
        let (resident, immovable) = (told.resident.min(most), told.immovable.min(most));
        Memory { resident, immovable, ..*told }
    }

    /// Who was refused a device, and the log, hear so once.
    fn say_refusals(&mut self) {
        for (tenant, device, why) in self.devices.words() {
            let why = match why {
                RefusalReason::Unknown => {
                    format!("{device} is not known to this host; [gpu.\"{device}\"] memory = makes it known")
                }
                RefusalReason::OwnerLimit => format!(
                    "{device} waits: the limit of {MOST_BY_OWNER} devices that one owner's tenants may name is reached"
                ),
                RefusalReason::HostLimit => format!(
                    "{device} waits: the limit of {MOST} devices in all is reached, and that of {ALWAYS_BY_OWNER} which an owner's tenants may name all the same"
                ),
            };
            self.warn_of(tenant, &format!("{}: {why}", self.members.name(tenant)));
            let member = self.members.get(tenant).filter(|member| member.hello.version >= NOTICES_SINCE);
            member.into_iter().for_each(|member| member.send(ToTenant::Notice(why.clone())));
        }
    }

    /// A tenant that used these devices has left.
    pub(super) fn forget_devices(&mut self, tenant: TenantId, owner: u64, devices: &[DeviceId]) {
        let (steps, unused) = self.devices.leave(owner, tenant, devices.iter().copied());
        devices.iter().for_each(|device| self.process_usage.forget(tenant, *device));
        self.held_requests.forget(tenant);
        unused.into_iter().for_each(|device| self.unused(device));
        self.take(steps);
    }

    /// NVML has answered.
    pub(super) fn answered(&mut self, answer: &Answer) {
        let steps = self.devices.learn(answer);
        self.take(steps);
        self.say_refusals();
        if let Answer::Inventory(inventory) = answer {
            self.listed(inventory);
        }
        self.let_request(answer);
    }

    /// What NVML lists goes to the core, where it is news.
    fn listed(&mut self, inventory: &Inventory) {
        let tenants = self.members.all().map(|(_, member)| member.who.pid).collect();
        let mut users = Users::new();
        for (tenant, member) in self.members.all() {
            for device in member.devices.keys() {
                users.entry(*device).or_default().push((tenant, member.who.pid));
            }
        }
        for found in &inventory.devices {
            if let Some(users) = users.get(&found.device) {
                self.looked_at(found, users, &tenants);
            }
        }
    }

    /// What the processes on a device use goes to the core, where it is news.
    fn looked_at(&mut self, found: &DeviceReport, users: &[(TenantId, u32)], tenants: &HashSet<u32>) {
        let Some(processes) = &found.processes else { return };
        let listed: HashMap<u32, Bytes> = processes.iter().copied().collect();
        let device = found.device;
        let pids = users.iter().map(|(_, pid)| *pid);
        if let Some(bytes) = self.external_processes.changed(device, &listed, tenants, pids) {
            self.outside(device, bytes);
        }
        for (tenant, bytes) in self.process_usage.changed(device, users, &listed) {
            // It may have left while the core was told of others.
            match self.members.get(tenant) {
                Some(_) => self.tell(Event::Seen { tenant, device, bytes }),
                None => self.process_usage.forget(tenant, device),
            }
        }
    }

    /// The last tenant of a device has left: what others use of it is not followed any more.
    fn unused(&mut self, device: DeviceId) {
        if self.external_processes.forget(device) {
            self.outside(device, Bytes::ZERO);
        }
    }

    fn outside(&mut self, device: DeviceId, bytes: Bytes) {
        self.shared.events.publish(|| control::Event {
            kind: "outside".into(),
            devices: vec![device.to_string()],
            bytes: Some(bytes.0),
            ..control::Event::default()
        });
        self.tell(Event::Outside { device, bytes });
    }

    /// More is taken of a device than all tenants and NVML tell: contexts of processes, for the most part.
    pub(super) fn memory_refused(&mut self, tenant: TenantId, share: Share) {
        let Some(member) = self.members.get(tenant) else { return };
        if !member.devices.contains_key(&share.device) {
            return;
        }
        let before = self.core.unaccounted(tenant, share.device);
        self.tell(Event::MemoryRefused { tenant, device: share.device, bytes: share.bytes });
        let unseen = self.core.unaccounted(tenant, share.device);
        let news = self.members.get_mut(tenant).and_then(|member| member.devices.get_mut(&share.device));
        if unseen > before && news.is_some_and(|seen| seen.lacks_so_much_more(unseen)) {
            let (name, unseen) = (self.members.name(tenant), text::bytes(unseen));
            self.warn_of(tenant, &format!(
                "{name} finds less room on {} than there should be: {unseen} of it are taken by contexts or by others; \
                 [memory] reserve keeps room for them",
                share.device
            ));
        }
    }
}
