//! What tenants answer to grants and revocations.
use crate::Core;
use crate::event::TenantId;
use crate::hold::sum;
use crate::record::SpanKind;
use crate::tenant::{Lease, Step};
use nvshare_protocol::LeaseId;
use nvshare_protocol::tenant::{Ready, Released};

impl Core {
    /// The lease that an answer speaks of, if the tenant has it.
    fn lease_of(&mut self, id: TenantId, lease: LeaseId) -> Option<&mut Lease> {
        self.tenants.get_mut(&id)?.lease_mut().filter(|held| held.answers_to(lease))
    }

    pub(crate) fn ready(&mut self, id: TenantId, ready: &Ready) {
        let now = self.now;
        let Some(lease) = self.lease_of(id, ready.lease).filter(|lease| lease.ready.is_none()) else {
            return;
        };
        lease.idle = false;
        lease.ready = Some(now);
        if lease.phase.kind == SpanKind::Fetch {
            self.enter(id, SpanKind::Run, sum(&ready.fetched));
        }
    }

    /// Its turn is over as long as somebody waits. A cancelled drain is tried again at once.
    pub(crate) fn idle(&mut self, id: TenantId, lease: LeaseId) {
        let now = self.now;
        let contended = self.lease(id).is_some_and(|lease| self.is_contended(lease));
        let Some(lease) = self.lease_of(id, lease) else { return };
        match lease.revocation.as_mut().map(|revocation| &mut revocation.step) {
            None => lease.idle = contended,
            Some(Step::Cancelled(retry)) => *retry = now.min(*retry),
            Some(Step::Asked(_)) => {}
        }
    }

    pub(crate) fn released(&mut self, id: TenantId, released: &Released) {
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.resumes = false;
        }
        let Some(lease) = self.lease_of(id, released.lease) else { return };
        let again = lease.again;
        self.end_stage(id, Some(released));
        if again {
            self.enqueue(id);
        }
    }

    /// It keeps its lease; it is asked again after a while, unless by then nobody waits.
    pub(crate) fn drain_cancelled(&mut self, id: TenantId, lease: LeaseId) {
        let now = self.now;
        let Some(lease) = self.lease_of(id, lease) else { return };
        lease.idle = false;
        let Some(revocation) = lease.revocation.as_mut() else { return };
        if matches!(revocation.step, Step::Cancelled(_)) {
            return;
        }
        revocation.cancelled = revocation.cancelled.saturating_add(1);
        revocation.step = Step::Cancelled(now.saturating_add(revocation.backoff()));
        self.enter(id, SpanKind::Run, nvshare_protocol::Bytes::ZERO);
    }
}
