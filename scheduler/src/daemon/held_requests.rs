//! Requests that are kept back because NVML does not show the tenant's process on a device that it has named. NVML is
//! asked once more before the core hears of them. A process that has made its context since the last answer is shown
//! then; one that has none is in nobody's way.
use nvshare_core::event::TenantId;
use nvshare_protocol::Nanos;
use std::collections::BTreeMap;

/// How long a request waits for an answer at most.
const MOST: Nanos = Nanos(Nanos::SECOND.0);

/// The requests that wait for an answer.
#[derive(Debug, Default)]
pub struct HeldRequests {
    /// The question that each waits for, and until when.
    waiting: BTreeMap<TenantId, (u64, Nanos)>,
}

impl HeldRequests {
    /// When the first of them waits no longer.
    pub fn until(&self) -> Option<Nanos> {
        self.waiting.values().map(|(_, until)| *until).min()
    }

    pub fn contains(&self, tenant: TenantId) -> bool {
        self.waiting.contains_key(&tenant)
    }

    /// The tenant's request waits for the answer to this question.
    pub fn hold(&mut self, tenant: TenantId, question: u64, now: Nanos) {
        self.waiting.insert(tenant, (question, now.saturating_add(MOST)));
    }

    pub fn forget(&mut self, tenant: TenantId) {
        self.waiting.remove(&tenant);
    }

    /// Takes those out that wait no longer: for the answer to this question, or at all.
    pub fn release(&mut self, question: u64, now: Nanos) -> Vec<TenantId> {
        let done = self.waiting.extract_if(.., |_, (asked, until)| *asked <= question || *until <= now);
        done.map(|(tenant, _)| tenant).collect()
    }
}
