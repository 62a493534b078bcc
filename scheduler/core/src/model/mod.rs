//! What is known: tenants, devices, and what follows from both. Nothing here decides anything.
//!
//! Tenants and devices can be read by everybody and changed only through [`Model::update`] and the functions beside it
//! ([`update`]). These bring up to date what follows from a tenant: its place in the queues ([`queues`]), and the sums
//! and orders that each device keeps over its tenants ([`index`]). They mark the devices as dirty, so that the engine
//! looks at them again. Nothing else can change a tenant, so that nothing of this can be forgotten.
pub(crate) mod account;
pub(crate) mod boost;
pub(crate) mod decay;
pub(crate) mod device;
pub(crate) mod devices;
pub(crate) mod eviction;
pub(crate) mod facts;
pub(crate) mod gang_state;
pub(crate) mod ids;
pub(crate) mod index;
pub(crate) mod lease;
pub(crate) mod memory_use;
pub(crate) mod moved;
pub(crate) mod plan;
pub(crate) mod preempted;
pub(crate) mod priority;
pub(crate) mod queue;
pub(crate) mod queue_key;
pub(crate) mod queues;
pub(crate) mod quota;
pub(crate) mod report;
pub(crate) mod request;
pub mod settings;
pub mod span;
pub(crate) mod tenant;
pub(crate) mod tenants;
pub(crate) mod update;

use crate::model::account::OwnerAccount;
use crate::model::devices::DeviceTable;
use crate::model::ids::{Owner, TenantId};
use crate::model::index::{DeviceIndex, TenantFacts};
use crate::model::lease::Lease;
use crate::model::memory_use::MemoryUse;
use crate::model::plan::Plan;
use crate::model::quota::Usage;
use crate::model::request::Request;
use crate::model::settings::Settings;
use crate::model::tenants::TenantTable;
use nvshare_protocol::{DeviceId, LeaseId, Nanos};
use std::collections::{BTreeMap, BTreeSet};

/// All facts: what was told, and what was decided.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    settings: Settings,
    pub enabled: bool,
    /// The time of the last event.
    pub now: Nanos,
    pub tenants: TenantTable,
    pub devices: DeviceTable,
    /// The devices about which something has changed that may call for a decision.
    dirty: BTreeSet<DeviceId>,
    /// When a decision about a device is due by itself.
    timers: BTreeSet<(Nanos, DeviceId)>,
    /// When tenants with several devices could begin, as of the last decision.
    pub plan: Plan,
    /// How many requests have come.
    pub arrivals: u64,
    /// The latest round of which a request of a tenant with several devices was served.
    pub served_round: u64,
    pub accounts: BTreeMap<Owner, OwnerAccount>,
    /// Until when the tenants of an owner wait in no queue, for what they have kept from others.
    pub debts: BTreeMap<Owner, Nanos>,
    /// How many leases have been granted.
    pub leases: u64,
    /// What groups of tenants with a quota have used of each device.
    pub usages: BTreeMap<(DeviceId, u64), Usage>,
    /// The groups, by their tenants' quotas in per cent.
    pub groups: BTreeMap<u64, BTreeSet<(u32, TenantId)>>,
    /// The tenants of each family.
    pub families: BTreeMap<u64, BTreeSet<TenantId>>,
    /// Until when nobody is granted a device because a tenant of a family cannot leave it, and it is still to be said who
    /// belongs to it.
    pub stalls: BTreeMap<DeviceId, Nanos>,
    /// What is known of a tenant on a device that it does not use.
    no_facts: TenantFacts,
}

impl Model {
    pub fn new(settings: Settings) -> Self {
        Self {
            enabled: true,
            now: Nanos::ZERO,
            tenants: TenantTable::default(),
            devices: DeviceTable::default(),
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
            families: BTreeMap::new(),
            stalls: BTreeMap::new(),
            no_facts: TenantFacts::default(),
            settings,
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// When the next decision is due without anything happening. Always after the last event's time.
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// What the device's index has of the tenant.
    pub fn facts(&self, id: TenantId, device: DeviceId) -> &TenantFacts {
        let facts = self.tenants.get(&id).and_then(|tenant| tenant.facts.get(&device));
        facts.map_or(&self.no_facts, |facts| facts)
    }

    pub fn devices_of(&self, id: TenantId) -> Vec<DeviceId> {
        self.tenants.get(&id).map_or_else(Vec::new, |tenant| tenant.devices.keys().copied().collect())
    }

    pub fn request(&self, id: TenantId) -> Option<&Request> {
        self.tenants.get(&id)?.request()
    }

    pub fn lease(&self, id: TenantId) -> Option<&Lease> {
        self.tenants.get(&id)?.lease()
    }

    /// The lease that an answer of the tenant's speaks of, if the tenant has it.
    pub fn answered_lease(&self, id: TenantId, lease: LeaseId) -> Option<&Lease> {
        self.lease(id).filter(|held| held.answers_to(lease))
    }

    pub fn owner_of(&self, id: TenantId) -> Owner {
        self.tenants.get(&id).and_then(|tenant| tenant.owner).unwrap_or(Owner::Tenant(id))
    }

    pub fn memory_of(&self, id: TenantId, device: DeviceId) -> MemoryUse {
        self.tenants.get(&id).and_then(|tenant| tenant.devices.get(&device)).copied().unwrap_or_default()
    }

    /// The tenants that `which` names on any of the devices.
    pub fn collect_at(
        &self,
        devices: &BTreeSet<DeviceId>,
        which: fn(&DeviceIndex) -> &BTreeSet<TenantId>,
    ) -> BTreeSet<TenantId> {
        let devices = devices.iter().filter_map(|device| self.devices.get(device));
        devices.flat_map(|device| which(device.index())).copied().collect()
    }
}
