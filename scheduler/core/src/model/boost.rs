//! The time in which a device is held by tenants that came before others.
use crate::model::decay::HeldTime;
use crate::model::ids::TenantId;
use nvshare_protocol::Nanos;
use std::collections::BTreeSet;

/// The time in which a device is held by tenants that came before others.
#[derive(Clone, Debug, Default)]
pub(crate) struct InteractiveBoost {
    pub boosted: BTreeSet<TenantId>,
    pub since: Nanos,
    pub past: HeldTime,
}

impl InteractiveBoost {
    pub fn begin(&mut self, id: TenantId, now: Nanos) {
        if self.boosted.is_empty() {
            self.since = now;
        }
        self.boosted.insert(id);
    }

    pub fn end(&mut self, id: TenantId, now: Nanos) {
        if self.boosted.remove(&id) && self.boosted.is_empty() {
            self.past.add(now, now.saturating_sub(self.since));
        }
    }

    /// As much as counts of it now.
    pub fn recent(&self, now: Nanos) -> Nanos {
        let present = if self.boosted.is_empty() { Nanos::ZERO } else { now.saturating_sub(self.since) };
        self.past.at(now).saturating_add(present)
    }
}
