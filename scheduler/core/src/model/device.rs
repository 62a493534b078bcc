//! One device: who holds it, who waits for it, and how full it is.
use crate::model::boost::InteractiveBoost;
use crate::model::decay::ThrashMeter;
use crate::model::ids::TenantId;
use crate::model::index::DeviceIndex;
use crate::model::queue::RunQueue;
use nvshare_protocol::{Bytes, Nanos};
use std::collections::BTreeSet;

#[derive(Clone, Debug, Default)]
pub(crate) struct Device {
    pub capacity: Bytes,
    /// What external processes use.
    pub external: Bytes,
    /// The cost of recent hand-overs, averaged: bringing memory in, and draining and evicting.
    pub cost: (Nanos, Nanos),
    /// How fast memory came in last, bytes a second; 0: not known.
    pub fetch_rate: u64,
    pub thrash: ThrashMeter,
    /// Time that interactive tenants held it.
    pub boost: InteractiveBoost,
    /// A tenant that held it before this run has come back.
    pub holder_returned: bool,
    pub(super) queue: RunQueue,
    /// The latest round of which a request was served here.
    pub served_round: u64,
    /// Whether its holders were told that somebody waits.
    pub contention_notified: bool,
    /// Holders that were granted the device when that notice was out of date, and were told the truth. Cleared with the
    /// next notice.
    pub stale_notices: BTreeSet<TenantId>,
    pub(super) index: DeviceIndex,
    /// Since when somebody has a lease on it without a break, and for how long somebody had before.
    held_since: Option<Nanos>,
    held_before: Nanos,
    /// When memory was last evicted on request.
    pub last_evicted: Nanos,
    /// When the next decision about the device is due.
    pub(super) timer: Option<Nanos>,
    /// The tenant that was granted it last.
    pub last_holder: Option<TenantId>,
    /// Grants to another tenant than the last.
    pub handovers: u64,
}

impl Device {
    pub fn index(&self) -> &DeviceIndex {
        &self.index
    }

    pub fn queue(&self) -> &RunQueue {
        &self.queue
    }

    /// Takes note of whether somebody has a lease on it.
    pub(super) fn note_holders(&mut self, now: Nanos) {
        let is_held = !self.index.holders.is_empty() || !self.index.beside.is_empty();
        match (is_held, self.held_since) {
            (true, None) => self.held_since = Some(now),
            (false, Some(_)) => (self.held_before, self.held_since) = (self.held(now), None),
            _ => {}
        }
    }

    /// For how long somebody has had a lease on it.
    pub fn held(&self, now: Nanos) -> Nanos {
        let so_far = self.held_since.map_or(Nanos::ZERO, |since| now.saturating_sub(since));
        self.held_before.saturating_add(so_far)
    }

    /// What a hand-over costs in all.
    pub fn cost(&self) -> Nanos {
        self.cost.0.saturating_add(self.cost.1)
    }

    /// Whether a grant to this tenant takes it over from another.
    pub fn is_switch_to(&self, tenant: TenantId) -> bool {
        self.last_holder.is_some_and(|last| last != tenant)
    }

    /// The tenant becomes a holder.
    pub fn grant(&mut self, tenant: TenantId) {
        if self.contention_notified == self.queue.is_empty() {
            self.stale_notices.insert(tenant);
        }
        self.handovers += u64::from(self.is_switch_to(tenant));
        self.last_holder = Some(tenant);
    }
}
