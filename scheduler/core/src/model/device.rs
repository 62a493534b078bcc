//! One device: who has it, who waits for it, and how full it is.
use crate::model::boost::InteractiveBoost;
use crate::model::decay::ThrashMeter;
use crate::model::ids::TenantId;
use crate::model::index::DeviceIndex;
use crate::model::memory_use::MemoryUse;
use crate::model::queue::RunQueue;
use nvshare_protocol::{Bytes, Nanos};
use std::collections::BTreeSet;

#[derive(Clone, Debug, Default)]
pub(crate) struct Device {
    pub capacity: Bytes,
    /// How many tenants named it.
    pub users: usize,
    /// The sums over all tenants. Wide, so that no report can make them wrong.
    pub allocated: u128,
    pub resident: u128,
    pub immovable: u128,
    /// What programs outside of nvshare use.
    pub external: Bytes,
    /// The cost of the last hand-overs, averaged: bringing in, and draining and moving out.
    pub cost: (Nanos, Nanos),
    /// How fast memory came in last, bytes a second; 0: not known.
    pub fetch_rate: u64,
    pub thrash: ThrashMeter,
    /// Those who came before others.
    pub boost: InteractiveBoost,
    /// Somebody who held it since before this run has said so.
    pub holder_returned: bool,
    /// Who keeps it from others. At most one while devices are handed round one tenant at a time.
    pub holders: BTreeSet<TenantId>,
    /// Who has a lease and does not keep it from others: the stuck, and those that must leave because
    /// they came upon a holder.
    pub beside: BTreeSet<TenantId>,
    pub queue: RunQueue,
    /// The latest round of which a request was served here.
    pub served_round: u64,
    /// Whether its holders were told that somebody waits.
    pub contention_notified: bool,
    /// Who became a holder when that was no longer so, and knows better; until it is told anew, or all are.
    pub stale_notices: BTreeSet<TenantId>,
    pub index: DeviceIndex,
    /// When memory that was asked to leave last did.
    pub last_evicted: Nanos,
    /// When the next decision is due here.
    pub timer: Option<Nanos>,
    /// Who was granted it last.
    pub last_holder: Option<TenantId>,
    /// Grants to another tenant than the last.
    pub handovers: u64,
}

impl Device {
    /// What a hand-over costs, both ways.
    pub fn cost(&self) -> Nanos {
        self.cost.0.saturating_add(self.cost.1)
    }

    pub fn add(&mut self, memory: &MemoryUse) {
        self.allocated += u128::from(memory.allocated.0);
        self.resident += u128::from(memory.resident.0);
        self.immovable += u128::from(memory.immovable.0);
    }

    pub fn remove(&mut self, memory: &MemoryUse) {
        self.allocated -= u128::from(memory.allocated.0);
        self.resident -= u128::from(memory.resident.0);
        self.immovable -= u128::from(memory.immovable.0);
    }

    /// The tenant is a holder; true if another was granted it last.
    pub fn grant(&mut self, tenant: TenantId) -> bool {
        self.holders.insert(tenant);
        if self.contention_notified == self.queue.is_empty() {
            self.stale_notices.insert(tenant);
        }
        let takes_over = self.last_holder.is_some_and(|last| last != tenant);
        self.handovers += u64::from(takes_over);
        self.last_holder = Some(tenant);
        takes_over
    }
}
