//! What is known: tenants, devices, and what follows from them. Nothing here decides anything.
pub(crate) mod account;
pub(crate) mod boost;
pub(crate) mod decay;
pub(crate) mod device;
pub(crate) mod dirty;
pub(crate) mod eviction;
pub(crate) mod ids;
pub(crate) mod index;
pub(crate) mod lease;
pub(crate) mod memory_use;
pub(crate) mod plan;
pub(crate) mod preempted;
pub(crate) mod priority;
pub(crate) mod queue;
pub(crate) mod queue_key;
pub(crate) mod quota;
pub(crate) mod report;
pub(crate) mod request;
pub mod settings;
pub mod span;
pub(crate) mod tenant;
pub(crate) mod tenants;

use crate::Settings;
use crate::model::account::OwnerAccount;
use crate::model::device::Device;
use crate::model::ids::{Owner, TenantId};
use crate::model::index::TenantFacts;
use crate::model::lease::Lease;
use crate::model::memory_use::MemoryUse;
use crate::model::plan::Plan;
use crate::model::quota::Usage;
use crate::model::request::Request;
use crate::model::tenant::Stage;
use crate::model::tenants::TenantTable;
use nvshare_protocol::{DeviceId, LeaseId, Nanos};
use std::collections::{BTreeMap, BTreeSet};

/// All facts: what was told, and what was decided.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub settings: Settings,
    pub enabled: bool,
    /// The time of the last event.
    pub now: Nanos,
    pub tenants: TenantTable,
    pub devices: BTreeMap<DeviceId, Device>,
    /// The devices about which something has changed that may call for a decision.
    pub dirty: BTreeSet<DeviceId>,
    /// When a decision about a device is due by itself.
    pub timers: BTreeSet<(Nanos, DeviceId)>,
    /// When those with several devices could begin, as of the last decision.
    pub plan: Plan,
    /// How many requests have come.
    pub arrivals: u64,
    /// The latest round of which a request of a tenant with several devices was served.
    pub served_round: u64,
    pub accounts: BTreeMap<Owner, OwnerAccount>,
    /// Until when the tenants of an owner stand in no line, for what they have kept from others.
    pub debts: BTreeMap<Owner, Nanos>,
    /// How many leases have been granted.
    pub leases: u64,
    /// What groups of tenants with a quota have held of each device.
    pub usages: BTreeMap<(DeviceId, u64), Usage>,
    /// Those groups, by their tenants' quotas in per cent.
    pub groups: BTreeMap<u64, BTreeSet<(u32, TenantId)>>,
    /// What is known of a tenant on a device that it does not use.
    pub no_facts: TenantFacts,
}

impl Model {
    pub fn new(settings: Settings) -> Self {
        Self {
            enabled: true,
            now: Nanos::ZERO,
            tenants: TenantTable::default(),
            devices: BTreeMap::new(),
            dirty: BTreeSet::new(),
            timers: BTreeSet::new(),
            plan: Plan::default(),
            arrivals: 0,
            served_round: 0,
            accounts: BTreeMap::new(),
            debts: BTreeMap::new(),
            leases: 0,
            usages: BTreeMap::new(),
            groups: BTreeMap::new(),
            no_facts: TenantFacts::default(),
            settings,
        }
    }
}

impl Model {
    /// What the device knows of the tenant.
    pub(crate) fn facts(&self, id: TenantId, device: DeviceId) -> &TenantFacts {
        let standing = self.tenants.get(&id).and_then(|tenant| tenant.facts.get(&device));
        standing.map_or(&self.no_facts, |standing| standing)
    }

    pub(crate) fn devices_of(&self, id: TenantId) -> Vec<DeviceId> {
        self.tenants.get(&id).map_or_else(Vec::new, |tenant| tenant.devices.keys().copied().collect())
    }

    pub(crate) fn request(&self, id: TenantId) -> Option<&Request> {
        match &self.tenants.get(&id)?.stage {
            Stage::Waiting(request) => Some(request),
            _ => None,
        }
    }

    pub(crate) fn lease(&self, tenant: TenantId) -> Option<&Lease> {
        match &self.tenants.get(&tenant)?.stage {
            Stage::Leased(lease) => Some(lease),
            _ => None,
        }
    }

    pub(crate) fn owner_of(&self, id: TenantId) -> Owner {
        self.tenants.get(&id).and_then(|tenant| tenant.owner).unwrap_or(Owner::Tenant(id))
    }

    pub(crate) fn memory_of(&self, id: TenantId, device: DeviceId) -> MemoryUse {
        self.tenants.get(&id).and_then(|tenant| tenant.devices.get(&device)).copied().unwrap_or_default()
    }

    /// The lease that an answer speaks of, if the tenant has it.
    pub(crate) fn answered_lease(&mut self, id: TenantId, lease: LeaseId) -> Option<&mut Lease> {
        self.tenants.get_mut(&id)?.lease_mut().filter(|held| held.answers_to(lease))
    }
}
