//! Devices: tenants name them, and NVML lists them. The core is told what is known of them; tenants and operators are told
//! which are refused.
use super::reactor::Daemon;
use super::tenant_table::{LoggedMissing, NOTICES_SINCE};
use crate::devices::{ALWAYS_BY_OWNER, Change, MOST, MOST_BY_OWNER, RefusalReason};
use crate::nvml::{Answer, DeviceReport, Inventory};
use crate::text;
use nvshare_core::MAX_DEVICES;
use nvshare_core::event::{Event, TenantId};
use nvshare_protocol::tenant::{DeviceInfo, MemoryReport, Released, Share, ToTenant};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};
use std::collections::{HashMap, HashSet};

/// Those who use each device, with their pids.
type Users = HashMap<DeviceId, Vec<(TenantId, u32)>>;

impl Daemon {
    /// A tenant names a device.
    pub fn on_device(&mut self, tenant: TenantId, named: DeviceInfo) {
        let Some(member) = self.members.get(tenant) else { return };
        let owner = member.who.owner();
        let known = member.devices.contains_key(&named.device);
        if known || self.devices.remember_refused(owner, tenant, named.device, None) {
            return;
        }
        if member.devices.len() + self.devices.refused_count(owner, tenant) >= MAX_DEVICES {
            return self.dismiss(tenant, &format!("the limit of {MAX_DEVICES} devices a process is reached"));
        }
        let (device, claimed) = (named.device, named.capacity);
        let changes = self.devices.claim(owner, tenant, named);
        self.warn_of_odd_claim(tenant, device, claimed);
        self.apply_changes(changes);
        self.announce_refusals();
    }

    /// Warns of a claim that is far from what is known.
    fn warn_of_odd_claim(&self, tenant: TenantId, device: DeviceId, claimed: Bytes) {
        let known = self.devices.get(device).filter(|_| self.devices.claimed(tenant, device).is_some());
        let Some(known) = known else { return };
        let Bytes(capacity) = known.capacity;
        if claimed > known.capacity || claimed.0 < capacity - capacity / 10 {
            let (name, from) = (self.members.name(tenant), known.from.as_str());
            let line = format!(
                "{name} says that {device} has {} bytes; it is known with {capacity} ({from}) and stays so for others",
                claimed.0
            );
            self.audit.warn_of(&self.members, tenant, &line);
        }
    }

    /// Tells the core what has become of devices.
    fn apply_changes(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Resized(device) => {
                    if let Some((capacity, from)) = self.devices.take_size_news(device) {
                        let line = format!("{device} has {} ({})", text::bytes(capacity), from.as_str());
                        self.audit.log().info(&line);
                    }
                    let capacity = self.devices.get(device).map(|known| known.capacity);
                    if let Some(capacity) = capacity {
                        self.apply(Event::Capacity { device, capacity });
                    }
                }
                Change::Attached(tenant, device, memory) => self.attach(tenant, device, memory),
            }
        }
    }

    /// The tenant uses the device from now on.
    fn attach(&mut self, tenant: TenantId, device: DeviceId, memory: Option<MemoryReport>) {
        let Some(capacity) = self.devices.capacity_for(tenant, device) else { return };
        // It may have left while the core was told of others.
        let Some(member) = self.members.get_mut(tenant) else { return };
        member.devices.insert(device, LoggedMissing::default());
        let pid = member.who.pid;
        if let Some(other) = self.served.begin(device) {
            self.audit.served_twice(device, other);
        }
        self.apply(Event::Device { tenant, device, capacity });
        if self.process_usage.attach(tenant, pid, device) {
            self.apply(Event::Seen { tenant, device, bytes: Bytes::ZERO });
        }
        if let Some(memory) = memory {
            self.on_memory(tenant, memory);
        }
        if self.members.get(tenant).is_some_and(|member| member.waits_for_devices) {
            self.on_request(tenant);
        }
    }

    /// Whether the tenant has named devices that are refused to it. It is granted all of its devices or none.
    pub fn lacks_devices(&self, tenant: TenantId) -> bool {
        let member = self.members.get(tenant);
        member.is_some_and(|member| self.devices.refused_count(member.who.owner(), tenant) > 0)
    }

    /// The tenant asks for its devices.
    pub fn on_request(&mut self, tenant: TenantId) {
        let lacks = self.core.enabled() && self.lacks_devices(tenant);
        let Some(member) = self.members.get_mut(tenant) else { return };
        member.waits_for_devices = lacks;
        if !lacks && member.is_connected() && !self.holds_request(tenant) {
            self.apply(Event::Requested { tenant });
        }
    }

    /// Whether the tenant's request has to wait for NVML's answer.
    fn holds_request(&mut self, tenant: TenantId) -> bool {
        if self.held_requests.contains(tenant) {
            return true;
        }
        let Some(member) = self.members.get(tenant) else { return false };
        if !member.devices.keys().any(|device| self.process_usage.is_missing(tenant, *device)) {
            return false;
        }
        let Some(question) = self.nvml.ask() else { return false };
        self.held_requests.hold(tenant, question, self.clock.now());
        true
    }

    /// Hands those requests to the core that have waited too long for NVML.
    pub fn expire_held_requests(&mut self) {
        self.release_requests(0);
    }

    /// Hands those requests to the core that have waited for the answer to this question.
    fn release_requests(&mut self, question: u64) {
        for tenant in self.held_requests.release(question, self.clock.now()) {
            if self.members.get(tenant).is_some_and(|member| member.is_connected()) {
                self.apply(Event::Requested { tenant });
            }
        }
    }

    /// Gives a grant back that lacks a device which the tenant has named since it asked.
    pub fn withdraw_grant(&mut self, tenant: TenantId, lease: LeaseId) {
        if let Some(member) = self.members.get_mut(tenant) {
            member.waits_for_devices = true;
        }
        let (evicted, none) = (Vec::new(), Nanos::ZERO);
        let released = Released { lease, evicted, drain: none, evict: none };
        self.apply(Event::Released { tenant, released });
    }

    /// Bounds a report by what the tenant claims that the device has. A report about a refused device is remembered.
    pub fn bound_report(&mut self, tenant: TenantId, report: &MemoryReport) -> MemoryReport {
        let owner = self.members.get(tenant).map(|member| member.who.owner());
        if let Some(owner) = owner {
            self.devices.remember_refused(owner, tenant, report.device, Some(report));
        }
        let most = self.devices.claimed(tenant, report.device).unwrap_or(Bytes::MAX);
        let (resident, immovable) = (report.resident.min(most), report.immovable.min(most));
        MemoryReport { resident, immovable, ..*report }
    }

    /// Tells those who were refused a device, and the log, once.
    fn announce_refusals(&mut self) {
        for (tenant, device, why) in self.devices.take_refusals() {
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
            let line = format!("{}: {why}", self.members.name(tenant));
            self.audit.warn_of(&self.members, tenant, &line);
            let member = self.members.get(tenant).filter(|member| member.hello.version >= NOTICES_SINCE);
            member.into_iter().for_each(|member| member.send(ToTenant::Notice(why.clone())));
        }
    }

    /// A tenant that used these devices has left.
    pub fn release_devices(&mut self, tenant: TenantId, owner: u64, devices: &[DeviceId]) {
        let (changes, unused) = self.devices.leave(owner, tenant, devices.iter().copied());
        devices.iter().for_each(|device| self.process_usage.forget(tenant, *device));
        self.held_requests.forget(tenant);
        // What others use of a device without tenants is not followed any more.
        for device in unused {
            self.served.end(device);
            if self.external_processes.forget(device) {
                self.set_external_memory(device, Bytes::ZERO);
            }
        }
        self.apply_changes(changes);
    }

    /// NVML has answered.
    pub fn on_nvml_answer(&mut self, answer: &Answer) {
        let changes = self.devices.update(answer);
        self.apply_changes(changes);
        self.announce_refusals();
        match answer {
            Answer::Inventory(inventory) => {
                self.on_inventory(inventory);
                self.release_requests(inventory.question);
            }
            Answer::Unavailable => self.release_requests(u64::MAX),
        }
    }

    /// Tells the core what NVML lists, where it has changed.
    fn on_inventory(&mut self, inventory: &Inventory) {
        let tenants = self.members.all().map(|(_, member)| member.who.pid).collect();
        let mut users = Users::new();
        for (tenant, member) in self.members.all() {
            for device in member.devices.keys() {
                users.entry(*device).or_default().push((tenant, member.who.pid));
            }
        }
        for report in &inventory.devices {
            if let Some(users) = users.get(&report.device) {
                self.on_processes(report, users, &tenants);
            }
        }
    }

    /// Tells the core what the processes on a device use, where it has changed.
    fn on_processes(&mut self, report: &DeviceReport, users: &[(TenantId, u32)], tenants: &HashSet<u32>) {
        let Some(processes) = &report.processes else { return };
        let listed: HashMap<u32, Bytes> = processes.iter().copied().collect();
        let device = report.device;
        let pids = users.iter().map(|(_, pid)| *pid);
        if let Some(bytes) = self.external_processes.changed(device, &listed, tenants, pids) {
            self.set_external_memory(device, bytes);
        }
        for (tenant, bytes) in self.process_usage.changed(device, users, &listed) {
            // It may have left while the core was told of others.
            match self.members.get(tenant) {
                Some(_) => self.apply(Event::Seen { tenant, device, bytes }),
                None => self.process_usage.forget(tenant, device),
            }
        }
    }

    fn set_external_memory(&mut self, device: DeviceId, bytes: Bytes) {
        self.audit.external_memory(device, bytes);
        self.apply(Event::Outside { device, bytes });
    }

    /// The driver refused memory to a tenant within its budget: more of the device is used than tenants and NVML report,
    /// mostly by contexts of processes.
    pub fn on_memory_refused(&mut self, tenant: TenantId, share: Share) {
        let Some(member) = self.members.get(tenant) else { return };
        if !member.devices.contains_key(&share.device) {
            return;
        }
        let before = self.core.unaccounted(tenant, share.device);
        self.apply(Event::MemoryRefused { tenant, device: share.device, bytes: share.bytes });
        let unseen = self.core.unaccounted(tenant, share.device);
        let logged = self.members.get_mut(tenant).and_then(|member| member.devices.get_mut(&share.device));
        if unseen > before && logged.is_some_and(|logged| logged.takes(unseen)) {
            let (name, unseen) = (self.members.name(tenant), text::bytes(unseen));
            let line = format!(
                "{name} finds less room on {} than there should be: {unseen} of it are taken by contexts or by others; \
                 [memory] reserve keeps room for them",
                share.device
            );
            self.audit.warn_of(&self.members, tenant, &line);
        }
    }
}
