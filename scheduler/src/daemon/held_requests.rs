//! Requests of tenants whose processes NVML does not show on a device that they have named: NVML is asked once more before
//! the core hears of them. Whoever has made its context since the last answer is shown then; whoever has none is in
//! nobody's way.
use super::Daemon;
use crate::nvml::Answer;
use nvshare_core::event::{Event, TenantId};
use nvshare_protocol::Nanos;
use std::collections::BTreeMap;

/// For so long they wait for an answer at most.
const MOST: Nanos = Nanos(Nanos::SECOND.0);

/// Who waits for an answer.
#[derive(Debug, Default)]
pub(super) struct HeldRequests {
    /// And to which question, and until when.
    waiting: BTreeMap<TenantId, (u64, Nanos)>,
}

impl HeldRequests {
    /// When the first of them waits no longer.
    pub fn until(&self) -> Option<Nanos> {
        self.waiting.values().map(|(_, until)| *until).min()
    }

    pub fn forget(&mut self, tenant: TenantId) {
        self.waiting.remove(&tenant);
    }

    /// Those that wait no longer: for this question's answer, or at all.
    fn done(&mut self, question: u64, now: Nanos) -> Vec<TenantId> {
        let done = self.waiting.extract_if(.., |_, (asked, until)| *asked <= question || *until <= now);
        done.map(|(tenant, _)| tenant).collect()
    }
}

impl Daemon {
    /// Whether the tenant's request waits for NVML.
    pub(super) fn waits_to_be_shown(&mut self, tenant: TenantId) -> bool {
        if self.held_requests.waiting.contains_key(&tenant) {
            return true;
        }
        let Some(member) = self.members.get(tenant) else { return false };
        if !member.devices.keys().any(|device| self.process_usage.is_missing(tenant, *device)) {
            return false;
        }
        let Some(question) = self.nvml.ask() else { return false };
        self.held_requests.waiting.insert(tenant, (question, self.clock.now().saturating_add(MOST)));
        true
    }

    /// The requests that have waited for this answer go to the core.
    pub(super) fn let_request(&mut self, answer: &Answer) {
        let question = match answer {
            Answer::Inventory(inventory) => inventory.question,
            Answer::Unavailable => u64::MAX,
        };
        self.release(question);
    }

    /// NVML takes its time: who has waited for it for long does so no longer.
    pub(super) fn wait_no_longer(&mut self) {
        self.release(0);
    }

    fn release(&mut self, question: u64) {
        for tenant in self.held_requests.done(question, self.clock.now()) {
            if self.members.get(tenant).is_some_and(|member| member.is_connected()) {
                self.tell(Event::Requested { tenant });
            }
        }
    }
}
