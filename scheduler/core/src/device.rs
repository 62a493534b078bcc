//! One device: who has it, who waits for it, and how full it is.
use crate::event::TenantId;
use crate::tenant::Memory;
use nvshare_protocol::Bytes;
use std::collections::BTreeSet;

#[derive(Clone, Debug, Default)]
pub(crate) struct Device {
    pub capacity: Bytes,
    /// How many tenants named it.
    pub named: usize,
    /// The sums over all tenants. Wide, so that no report can make them wrong.
    pub allocated: u128,
    pub resident: u128,
    pub immovable: u128,
    /// Who keeps it from others. At most one while devices are handed round one tenant at a time.
    pub holders: BTreeSet<TenantId>,
    /// Who has a lease and does not keep it from others: the stuck, and those that must leave because
    /// they came upon a holder.
    pub beside: BTreeSet<TenantId>,
    /// By order of arrival.
    pub queue: BTreeSet<(u64, TenantId)>,
    /// Who was granted it last.
    pub last: Option<TenantId>,
    /// Grants to another tenant than the last.
    pub handovers: u64,
}

impl Device {
    pub fn add(&mut self, memory: &Memory) {
        self.allocated += u128::from(memory.allocated.0);
        self.resident += u128::from(memory.resident.0);
        self.immovable += u128::from(memory.immovable.0);
    }

    pub fn remove(&mut self, memory: &Memory) {
        self.allocated -= u128::from(memory.allocated.0);
        self.resident -= u128::from(memory.resident.0);
        self.immovable -= u128::from(memory.immovable.0);
    }

    /// Whether a tenant that is running already may have it too.
    pub fn is_free(&self) -> bool {
        self.holders.is_empty() && self.queue.is_empty()
    }

    pub fn grant(&mut self, tenant: TenantId) {
        self.holders.insert(tenant);
        if self.last.is_some_and(|last| last != tenant) {
            self.handovers += 1;
        }
        self.last = Some(tenant);
    }
}
