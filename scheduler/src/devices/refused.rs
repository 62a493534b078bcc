//! Devices that tenants have named and the core was not told of, until it can be.
use nvshare_core::event::TenantId;
use nvshare_protocol::DeviceId;
use nvshare_protocol::tenant::{DeviceInfo, MemoryReport};
use std::collections::{BTreeMap, BTreeSet};

/// Of so many refused devices of one tenant there are words; of more there are none.
const FEW: usize = 4;

/// Why a device is refused to the tenant that named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// The host knows others, and not this one.
    Unknown,
    /// Its owner's tenants have brought in as many as they may.
    OwnerLimit,
    /// All owners together have.
    HostLimit,
}

/// One tenant's word for one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub told: DeviceInfo,
    /// What it has there, as it said last.
    pub memory: Option<MemoryReport>,
    pub why: RefusalReason,
}

/// All that wait, by owner.
#[derive(Debug, Default)]
pub struct Refused {
    claims: BTreeMap<u64, BTreeMap<(TenantId, DeviceId), Claim>>,
    /// Those that nothing has been said of yet.
    unsaid: BTreeSet<(u64, TenantId, DeviceId)>,
}

impl Refused {
    /// Takes a claim; the first word for a device counts.
    pub fn add(&mut self, owner: u64, tenant: TenantId, claim: Claim) {
        let device = claim.told.device;
        if self.count(owner, tenant) < FEW {
            self.unsaid.insert((owner, tenant, device));
        }
        self.claims.entry(owner).or_default().entry((tenant, device)).or_insert(claim);
    }

    pub fn get_mut(&mut self, owner: u64, tenant: TenantId, device: DeviceId) -> Option<&mut Claim> {
        self.claims.get_mut(&owner)?.get_mut(&(tenant, device))
    }

    fn of(&self, owner: u64, tenant: TenantId) -> impl Iterator<Item = DeviceId> {
        let range = (tenant, DeviceId([0; 16]))..=(tenant, DeviceId([u8::MAX; 16]));
        self.claims
            .get(&owner)
            .into_iter()
            .flat_map(move |all| all.range(range.clone()))
            .map(|((_, id), _)| *id)
    }

    /// How many devices are refused to the tenant.
    pub fn count(&self, owner: u64, tenant: TenantId) -> usize {
        self.of(owner, tenant).count()
    }

    pub fn take(&mut self, owner: u64, tenant: TenantId, device: DeviceId) -> Option<Claim> {
        self.unsaid.remove(&(owner, tenant, device));
        let all = self.claims.get_mut(&owner)?;
        let claim = all.remove(&(tenant, device));
        if all.is_empty() {
            self.claims.remove(&owner);
        }
        claim
    }

    /// The tenant has left.
    pub fn leave(&mut self, owner: u64, tenant: TenantId) {
        let devices: Vec<DeviceId> = self.of(owner, tenant).collect();
        for device in devices {
            self.take(owner, tenant, device);
        }
    }

    /// Who waits.
    pub fn owners(&self) -> Vec<u64> {
        self.claims.keys().copied().collect()
    }

    /// The owner's claim that came first.
    pub fn first(&self, owner: u64) -> Option<(TenantId, DeviceId)> {
        self.claims.get(&owner)?.keys().next().copied()
    }

    pub fn all(&self) -> Vec<(u64, TenantId, DeviceId)> {
        let each = |(&owner, all): (&u64, &BTreeMap<(TenantId, DeviceId), Claim>)| {
            all.keys().map(move |&(tenant, device)| (owner, tenant, device)).collect::<Vec<_>>()
        };
        self.claims.iter().flat_map(each).collect()
    }

    /// What is to be said now, once.
    pub fn take_unsaid(&mut self) -> Vec<(TenantId, DeviceId, RefusalReason)> {
        let unsaid = std::mem::take(&mut self.unsaid);
        let why = |(owner, tenant, device)| Some((tenant, device, self.get_mut(owner, tenant, device)?.why));
        unsaid.into_iter().filter_map(why).collect()
    }
}
