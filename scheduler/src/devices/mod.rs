//! The devices: their names, sizes and users, and which of the devices that a tenant names are refused to it.
//!
//! The host describes a device where it can: first the configuration, then NVML. Otherwise the tenants that use the device
//! describe it. No tenant's claim makes a device smaller for another tenant. A device that the host does not know counts
//! against a limit of each owner whose tenants name it, and part of each owner's limit is its own, so that invented devices
//! take nothing from others.
mod capacity;
mod host;
mod process_usage;
mod refused;
pub mod served;

pub use capacity::Source;
pub use process_usage::ProcessUsage;
pub use refused::RefusalReason;

use crate::metrics::counts::Counts;
use crate::nvml::Answer;
use capacity::{Claims, capacity};
use host::{Host, HostView, Seen};
use nvshare_core::event::TenantId;
use nvshare_protocol::tenant::{DeviceInfo, MemoryReport};
use nvshare_protocol::{Bytes, DeviceId};
use refused::{Claim, Refused};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The most devices in use at a time, beside those that each owner always has.
pub const MOST: usize = 4096;
/// The most devices that one owner's tenants may name where the host does not know them.
pub const MOST_BY_OWNER: usize = 64;
/// How many of these an owner always has: no host has more GPUs.
pub const ALWAYS_BY_OWNER: usize = 16;

/// What is known of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRecord {
    pub name: String,
    pub capacity: Bytes,
    /// The source of the capacity.
    pub from: Source,
    /// What has happened on it.
    pub counts: Counts,
    users: BTreeMap<TenantId, User>,
    claims: Claims,
    /// The owners against whose limits it counts; none where the host knows it.
    charged: BTreeSet<u64>,
    /// What the log says that it has.
    logged: Option<(Bytes, Source)>,
}

/// One tenant that uses a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct User {
    owner: u64,
    /// What it says that the device has.
    capacity: Bytes,
}

/// What the core is to be told, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The device's size has become known, or another.
    Resized(DeviceId),
    /// The tenant uses the device; its last report about it, if there is one.
    Attached(TenantId, DeviceId, Option<MemoryReport>),
}

/// All devices.
#[derive(Debug)]
pub struct Devices {
    host: Host,
    devices: BTreeMap<DeviceId, DeviceRecord>,
    /// How many of them somebody uses.
    used: usize,
    /// How many devices count against each owner's limit.
    charged: HashMap<u64, usize>,
    refused: Refused,
}

impl Devices {
    /// With what is configured; `asks`: NVML will say what it knows.
    #[must_use]
    pub fn new(configured: BTreeMap<DeviceId, Bytes>, asks: bool) -> Self {
        Self {
            host: Host::new(configured, asks),
            devices: BTreeMap::new(),
            used: 0,
            charged: HashMap::new(),
            refused: Refused::default(),
        }
    }

    /// A tenant names a device that it has not named before.
    pub fn claim(&mut self, owner: u64, tenant: TenantId, told: DeviceInfo) -> Vec<Change> {
        match self.admission(owner, told.device) {
            Ok(charged) => self.admit(
                owner,
                tenant,
                &Claim { told, memory: None, why: RefusalReason::HostLimit },
                charged,
            ),
            Err(why) => {
                self.refused.add(owner, tenant, Claim { told, memory: None, why });
                Vec::new()
            }
        }
    }

    /// Whether a tenant of this owner may use the device, and against whose limit it counts then.
    fn admission(&self, owner: u64, device: DeviceId) -> Result<Option<u64>, RefusalReason> {
        let known = self.devices.get(&device);
        let has = self.charged.get(&owner).copied().unwrap_or_default();
        match self.host.view(device) {
            HostView::Listed => Ok(None),
            HostView::NotListed => Err(RefusalReason::Unknown),
            HostView::Undecided if known.is_some_and(|known| known.charged.contains(&owner)) => {
                Ok(Some(owner))
            }
            HostView::Undecided if has >= MOST_BY_OWNER => Err(RefusalReason::OwnerLimit),
            HostView::Undecided if known.is_some_and(|known| !known.users.is_empty()) => Ok(Some(owner)),
            HostView::Undecided if self.used >= MOST && has >= ALWAYS_BY_OWNER => {
                Err(RefusalReason::HostLimit)
            }
            HostView::Undecided => Ok(Some(owner)),
        }
    }

    fn admit(&mut self, owner: u64, tenant: TenantId, claim: &Claim, charged: Option<u64>) -> Vec<Change> {
        let Claim { told: DeviceInfo { device, capacity, name }, memory, .. } = claim;
        if self.devices.len() >= MOST && !self.devices.contains_key(device) && self.used < self.devices.len()
        {
            self.devices.retain(|_, known| !known.users.is_empty());
        }
        let known = self.devices.entry(*device).or_insert_with(|| DeviceRecord {
            name: String::new(),
            capacity: Bytes::ZERO,
            from: Source::Tenants,
            counts: Counts::default(),
            users: BTreeMap::new(),
            claims: Claims::default(),
            charged: BTreeSet::new(),
            logged: None,
        });
        let first = known.users.is_empty();
        if first {
            known.name.clone_from(name);
            self.used += 1;
        }
        if let Some(owner) = charged.filter(|owner| known.charged.insert(*owner)) {
            *self.charged.entry(owner).or_default() += 1;
        }
        known.users.insert(tenant, User { owner, capacity: *capacity });
        known.claims.add(tenant, *capacity);
        let sized = known.resize(*device, &self.host) || first;
        let uses = Change::Attached(tenant, *device, *memory);
        sized.then_some(Change::Resized(*device)).into_iter().chain([uses]).collect()
    }

    /// A tenant that used these devices is gone: what the core is to be told, and which of them nobody uses any more.
    pub fn leave(
        &mut self,
        owner: u64,
        tenant: TenantId,
        devices: impl Iterator<Item = DeviceId>,
    ) -> (Vec<Change>, Vec<DeviceId>) {
        let full = self.used >= MOST;
        let (mut changes, mut unused, mut frees) = (Vec::new(), Vec::new(), false);
        self.refused.leave(owner, tenant);
        for device in devices {
            let Some(known) = self.devices.get_mut(&device) else { continue };
            let Some(user) = known.users.remove(&tenant) else { continue };
            known.claims.remove(tenant, user.capacity);
            if known.users.values().all(|user| user.owner != owner) && known.charged.remove(&owner) {
                uncharge(&mut self.charged, owner);
                frees = true;
            }
            if known.users.is_empty() {
                self.used -= 1;
                unused.push(device);
            } else if known.resize(device, &self.host) {
                changes.push(Change::Resized(device));
            }
        }
        if self.host.view_of_others() == HostView::Undecided {
            let freed = frees.then_some(owner).into_iter().collect();
            let waiting = if full && self.used < MOST { self.refused.owners() } else { freed };
            waiting.into_iter().for_each(|owner| self.retry(owner, &mut changes));
        }
        (changes, unused)
    }

    /// Takes the owner's refused claims while there is room for them.
    fn retry(&mut self, owner: u64, changes: &mut Vec<Change>) {
        while let Some((tenant, device)) = self.refused.first(owner) {
            let Ok(charged) = self.admission(owner, device) else { return };
            let Some(claim) = self.refused.take(owner, tenant, device) else { return };
            changes.extend(self.admit(owner, tenant, &claim, charged));
        }
    }

    /// NVML has answered.
    pub fn update(&mut self, answer: &Answer) -> Vec<Change> {
        let (mut changes, first) = (Vec::new(), self.host.is_awaited());
        if !self.host.update(answer) {
            return changes;
        }
        for (device, known) in &mut self.devices {
            if self.host.view(*device) == HostView::Listed {
                let owners = std::mem::take(&mut known.charged);
                owners.into_iter().for_each(|owner| uncharge(&mut self.charged, owner));
            }
            // Without devices in its first answer, tenants are the only source.
            if !known.users.is_empty() && (known.resize(*device, &self.host) || first) {
                changes.push(Change::Resized(*device));
            }
        }
        for (owner, tenant, device) in self.refused.all() {
            match self.admission(owner, device) {
                Ok(charged) => {
                    let claim = self.refused.take(owner, tenant, device);
                    changes.extend(
                        claim.map(|claim| self.admit(owner, tenant, &claim, charged)).unwrap_or_default(),
                    );
                }
                Err(why) => {
                    if let Some(claim) = self.refused.get_mut(owner, tenant, device) {
                        claim.why = why;
                    }
                }
            }
        }
        changes
    }

    /// The refusals that have to be announced now; none before NVML has answered.
    pub fn take_refusals(&mut self) -> Vec<(TenantId, DeviceId, RefusalReason)> {
        if self.host.is_awaited() { Vec::new() } else { self.refused.take_unsaid() }
    }

    /// How many devices are refused to the tenant.
    #[must_use]
    pub fn refused_count(&self, owner: u64, tenant: TenantId) -> usize {
        self.refused.count(owner, tenant)
    }

    /// Whether the device is refused to the tenant. If so, its report about the device is remembered.
    pub fn remember_refused(
        &mut self,
        owner: u64,
        tenant: TenantId,
        device: DeviceId,
        memory: Option<&MemoryReport>,
    ) -> bool {
        let claim = self.refused.get_mut(owner, tenant, device);
        claim.map(|claim| claim.memory = memory.copied().or(claim.memory)).is_some()
    }

    /// The capacity that the tenant claims.
    #[must_use]
    pub fn claimed(&self, tenant: TenantId, device: DeviceId) -> Option<Bytes> {
        self.devices.get(&device)?.users.get(&tenant).map(|user| user.capacity)
    }

    /// The capacity that counts for this tenant. Where tenants are the only source, it is the tenant's own claim, so that
    /// others' lies do not reach it. Where the host knows better, it is at least the host's: with a smaller claim, others would
    /// have to leave for nothing.
    #[must_use]
    pub fn capacity_for(&self, tenant: TenantId, device: DeviceId) -> Option<Bytes> {
        let known = self.devices.get(&device)?;
        let own = known.users.get(&tenant)?.capacity;
        Some(if known.from == Source::Tenants { own } else { own.max(known.capacity) })
    }

    /// The device's capacity and source, if the log has not said them. Tenants' claims are not logged before NVML has answered.
    pub fn take_size_news(&mut self, device: DeviceId) -> Option<(Bytes, Source)> {
        let awaited = self.host.is_awaited();
        let known =
            self.devices.get_mut(&device).filter(|known| known.from != Source::Tenants || !awaited)?;
        let now = (known.capacity, known.from);
        (known.logged.replace(now) != Some(now)).then_some(now)
    }

    /// What is counted of a device that is known.
    pub fn counts(&mut self, device: DeviceId) -> Option<&mut Counts> {
        self.devices.get_mut(&device).map(|known| &mut known.counts)
    }

    /// What NVML tells of it for operators.
    #[must_use]
    pub fn seen(&self, device: DeviceId) -> Option<&Seen> {
        self.host.seen(device)
    }

    #[must_use]
    pub fn get(&self, device: DeviceId) -> Option<&DeviceRecord> {
        self.devices.get(&device)
    }
}

impl DeviceRecord {
    /// Takes what is known now, and returns whether size or source have changed.
    fn resize(&mut self, device: DeviceId, host: &Host) -> bool {
        let decided = capacity(host.configured(device), host.total(device), &self.claims);
        let Some(decided) = decided else { return false };
        let before = (self.capacity, self.from);
        (self.capacity, self.from) = decided;
        before != decided
    }
}

fn uncharge(charged: &mut HashMap<u64, usize>, owner: u64) {
    let Some(count) = charged.get_mut(&owner) else { return };
    *count -= 1;
    if *count == 0 {
        charged.remove(&owner);
    }
}

#[cfg(test)]
mod tests;
