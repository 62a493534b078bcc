//! What a device's index has to know of a tenant.
use crate::model::gang_state::GangState;
use crate::model::ids::{Owner, TenantId};
use crate::model::index::{Hold, TenantFacts};
use crate::model::memory_use::MemoryUse;
use crate::model::priority::Priority;
use crate::model::request::Wait;
use crate::model::tenant::Tenant;
use nvshare_protocol::{Bytes, DeviceId, Nanos};

impl TenantFacts {
    /// What follows from the tenant for one of its devices.
    pub(super) fn of(tenant: &Tenant, id: TenantId, name: DeviceId, silence: Nanos) -> Self {
        let (Some(told), Some(report)) = (tenant.devices.get(&name), tenant.reports.get(&name)) else {
            return Self::default();
        };
        let is_absent = report.observed.is_some_and(|observed| observed.is_absent());
        let memory = if is_absent { MemoryUse::default() } else { *told };
        let without_context = if is_absent { told.resident } else { Bytes::ZERO };
        let hold = match tenant.lease() {
            None => Hold::None,
            Some(lease) if lease.devices.contains(&name) => Hold::Holder,
            Some(_) => Hold::Beside,
        };
        let holds = hold == Hold::Holder;
        let revoked = tenant.lease().is_some_and(|lease| lease.is_revoked());
        let request = tenant.request();
        let throttled_until = request.and_then(|request| request.wait.throttled_until());
        let parked = request.is_some_and(|request| matches!(request.wait, Wait::Parked));
        let competing = request.filter(|request| throttled_until.is_none() && !request.wait.is_paused());
        let movable =
            !is_absent && tenant.may_be_asked_to_evict() && tenant.evictable_soon(name) > Bytes::ZERO;
        let lacks = holds && !revoked && memory.lacks() > Bytes::ZERO;
        let runs = tenant.lease().is_some_and(|lease| lease.ready_at.is_some());
        let (unevictable, verified) = tenant.unevictable_and_verified(name);
        let lease = tenant.lease().filter(|_| holds);
        let fetching = lease.filter(|lease| lease.ready_at.is_none() && !lease.is_revoked());
        let proof_deadline = tenant.lease().and_then(|lease| lease.proof_deadline(silence));
        Self {
            named: true,
            hold,
            told: *told,
            held: holds.then_some((memory.allocated, unevictable, memory.resident)),
            verified: if holds { Bytes::ZERO } else { verified },
            without_context,
            owner: tenant.competes().then_some(tenant.owner.unwrap_or(Owner::Tenant(id))),
            trusts_until: tenant.trust.expires_at().filter(|_| request.is_some()),
            unaccounted_until: report.unaccounted.expires_at(),
            ignores_claims: tenant.trust.ignores_claims,
            capacity: Some(report.capacity),
            unaccounted: report.unaccounted.bytes,
            allocated: memory.allocated,
            needs: tenant.needs(name),
            alive_until: fetching.map(|lease| lease.alive_until).or(proof_deadline),
            stopped: holds && tenant.is_stopped,
            gang: holds && tenant.gang.is_some(),
            aside: tenant.gang == Some(GangState::Aside) && tenant.is_queued(),
            turn: lease.map(|lease| (!revoked, lease.rank(), lease.turn_end())),
            starvable: competing
                .filter(|request| request.priority < Priority::High)
                .map(|request| (request.priority, request.requested_at)),
            weights: (tenant.weight() * u64::from(holds), tenant.weight() * u64::from(competing.is_some())),
            unevictable,
            unavailable: if tenant.lease().is_some() { memory.resident } else { unevictable },
            incoming: if is_absent { Bytes::ZERO } else { tenant.may_bring_in(name, lacks) },
            outgoing: if is_absent { Bytes::ZERO } else { tenant.outgoing(name) },
            parked: parked.then(|| tenant.needs(name)),
            leftover: movable.then_some(tenant.last_grant),
            throttled_until,
            has_quota: holds && !revoked && tenant.quota.is_some(),
            lacks: lacks && runs,
            revoked,
            evicting: tenant.evict_down_to.contains_key(&name),
        }
    }
}
