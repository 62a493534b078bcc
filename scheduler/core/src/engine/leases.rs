//! Leases given, taken back and ended, and what the record says of it.
use crate::Core;
use crate::event::{Action, Stuck, TenantId};
use crate::model::lease::{Lease, Phase, Revocation, Step};
use crate::model::span::{Span, SpanKind};
use crate::model::tenant::Stage;
use crate::policy::interactive::PreemptedTurn;
use nvshare_protocol::tenant::{Grant, Released, Revoke, total};
use nvshare_protocol::{Bytes, LeaseId, Nanos};

impl Core {
    /// All its devices are the tenant's. The caller has made sure that nobody is in its way.
    pub(crate) fn grant(&mut self, id: TenantId) {
        let Some(Stage::Waiting(request)) = self.tenants.get(&id).map(|tenant| &tenant.stage) else { return };
        let request = *request;
        self.record_span(id, None, SpanKind::Wait, (request.since, self.now), Bytes::ZERO);
        self.dequeue(id, request.key);
        self.mark_served(id, request.key);
        self.leases += 1;
        let mut lease =
            Lease::new(LeaseId(self.leases), self.now, self.settings.fetch_bound, SpanKind::Fetch);
        lease.alive_until = self.alive_until(id);
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        (lease.resident_at_grant, lease.peak_resident) = (tenant.resident(), tenant.resident());
        tenant.grants += 1;
        tenant.time_waited = tenant.time_waited.saturating_add(self.now.saturating_sub(request.since));
        tenant.keeps_memory = false;
        // Where it only tries, an operator has been told why.
        tenant.no_room_reported &= tenant.trust.ignores_claims;
        tenant.prefetch.clear();
        lease.devices = tenant.devices.keys().copied().collect();
        lease.quantum_devices = lease.devices.clone();
        (lease.continues, lease.is_boosted, lease.is_trial) =
            (request.continues, request.interactive, tenant.trust.ignores_claims);
        (lease.priority, lease.non_preemptible, lease.requested_at) =
            (tenant.priority, request.starved, request.requested_at);
        lease.has_quota = tenant.quota.is_some();
        lease.contended = lease.has_quota;
        for device in &lease.devices {
            let Some(device) = self.devices.get_mut(device) else { continue };
            lease.is_switch |= device.grant(id);
            if request.interactive {
                device.boost.begin(id, self.now);
            }
            lease.contended |= !device.queue.is_empty();
        }
        let contended = lease.contended;
        tenant.stage = Stage::Leased(Box::new(lease));
        tenant.last_grant = self.leases;
        self.update_turn(id);
        let grant = Grant { lease: LeaseId(self.leases), budget: self.budget(id), contended };
        self.actions.push(Action::Grant { tenant: id, grant });
    }

    /// Asks for the devices back, for the first time in this turn or once more.
    pub(crate) fn revoke(&mut self, id: TenantId) {
        let (now, evict) = (self.now, self.shares_to_evict(id));
        self.enter_phase(id, SpanKind::Drain, Bytes::ZERO);
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let has = tenant.resident();
        let Some(lease) = tenant.lease_mut() else { return };
        let revocation = lease.revocation.get_or_insert(Revocation {
            first_at: now,
            cancelled_drains: 0,
            step: Step::Asked(now),
            last_sign: now,
            resident_at_start: has,
            least_resident: has,
        });
        (revocation.step, revocation.last_sign) = (Step::Asked(now), now);
        let lease = lease.id;
        self.begin_eviction(id, &evict);
        // One that has one silence to answer must be able to say in time that its work does not end.
        let silence = self.settings.silence;
        let drain_within = match lease {
            LeaseId(0) => self.settings.drain_bound.min(Nanos(silence.0 / 5 * 4)),
            _ => self.settings.drain_bound,
        };
        let revoke = Revoke { lease, evict, drain_within };
        self.actions.push(Action::Revoke { tenant: id, revoke });
    }

    /// The turn is lost: from now on its devices are free for others.
    pub(crate) fn quarantine(&mut self, id: TenantId, why: Stuck) {
        let Some(lease) = self.lease(id) else { return };
        let since = if lease.ready_at.is_none() {
            lease.granted_at
        } else {
            lease.revocation.map_or(self.now, |r| r.first_at)
        };
        // What nobody waited for is nobody's loss.
        let (since, waited_for) = (since.max(lease.contended_since), self.others_wait_for(id, lease));
        let Some(lease) = self.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut()) else { return };
        lease.unresponsive = true;
        for device in std::mem::take(&mut lease.devices) {
            if let Some(device) = self.devices.get_mut(&device) {
                device.holders.remove(&id);
                device.beside.insert(id);
                device.boost.end(id, self.now);
            }
        }
        let lease = lease.id;
        if let Some(tenant) = self.tenants.get_mut(&id) {
            // Nothing comes in that it was told to bring.
            tenant.prefetch.clear();
        }
        self.cancel_eviction(id);
        if waited_for {
            self.charge(id, self.now.saturating_sub(since), why != Stuck::CannotDrain);
        }
        self.actions.push(Action::Stuck { tenant: id, lease, why });
    }

    /// The tenant neither holds nor waits any more.
    pub(crate) fn end_stage(&mut self, id: TenantId, released: Option<&Released>) {
        self.stop_charging(id);
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        tenant.prefetch.clear();
        match std::mem::take(&mut tenant.stage) {
            Stage::Idle => {}
            Stage::Waiting(request) => {
                self.refund_round(id, &request);
                let Some(tenant) = self.tenants.get_mut(&id) else { return };
                tenant.time_waited =
                    tenant.time_waited.saturating_add(self.now.saturating_sub(request.since));
                self.dequeue(id, request.key);
                self.record_span(id, None, SpanKind::Wait, (request.since, self.now), Bytes::ZERO);
            }
            Stage::Leased(lease) => {
                self.charge_lateness(id, &lease, released.is_some());
                let Some(tenant) = self.tenants.get_mut(&id) else { return };
                let held = self.now.saturating_sub(lease.granted_at);
                tenant.time_held = tenant.time_held.saturating_add(held);
                let counts = lease.ready_at.filter(|_| lease.contended);
                let stopped =
                    self.now.saturating_sub(released.map_or(Nanos::ZERO, |released| released.evict));
                let stopped = lease.idle_since.unwrap_or(stopped);
                let counts = counts.map(|ready| stopped.saturating_sub(ready.max(lease.contended_since)));
                let hasty = lease.is_boosted.then(|| lease.busy(self.now));
                let tried =
                    lease.is_trial && lease.ready_at.is_none() && released.is_some() && !lease.unresponsive;
                tenant.recent_use.add(self.now, counts.unwrap_or_default());
                tenant.was_mostly_idle =
                    if lease.ready_at.is_some() { lease.went_idle } else { tenant.was_mostly_idle };
                let told = lease.revocation.map(|revocation| revocation.first_at);
                let (rest, left, asked, idle) = (
                    lease.remaining,
                    self.now,
                    lease.requested_at,
                    lease.idle_since.is_some() && !lease.throttled,
                );
                let (whole, begun) = lease
                    .continues
                    .map_or((lease.quantum, lease.granted_at), |turn| (turn.whole, turn.began_at));
                tenant.preempted = told.map(|told| PreemptedTurn {
                    remaining: rest,
                    whole,
                    began_at: begun,
                    revoked_at: told,
                    ended_at: left,
                    requested_at: asked,
                    was_idle: idle,
                });
                for device in tenant.devices.keys() {
                    if let Some(device) = self.devices.get_mut(device) {
                        device.holders.remove(&id);
                        device.beside.remove(&id);
                        device.boost.end(id, self.now);
                    }
                }
                tenant.evict_down_to.clear();
                if let Some(held) = hasty {
                    self.charge_boost(id, held);
                }
                if tried {
                    self.conclude_trial(id, false);
                }
                self.record_end(id, &lease, released);
            }
        }
        self.reindex(id);
    }

    /// What it was asked to move out does not count any more.
    pub(crate) fn cancel_eviction(&mut self, id: TenantId) {
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.evict_down_to.clear();
        }
        self.reindex(id);
    }

    /// The lease's present phase ends, with what was moved in it, and another begins.
    pub(crate) fn enter_phase(&mut self, id: TenantId, kind: SpanKind, bytes: Bytes) {
        let next = Phase { kind, start: self.now };
        let Some(lease) = self.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut()) else { return };
        let past = std::mem::replace(&mut lease.phase, next);
        let lease = lease.id;
        self.record_span(id, Some(lease), past.kind, (past.start, next.start), bytes);
    }

    /// The last phase of a lease, split into drain and eviction as the tenant measured them.
    fn record_end(&mut self, id: TenantId, lease: &Lease, released: Option<&Released>) {
        let (phase, now) = (lease.phase, self.now);
        let (drain, evict) = released.map_or((Nanos::ZERO, Nanos::ZERO), |r| (r.drain, r.evict));
        let bytes = released.map_or(Bytes::ZERO, |r| total(&r.evicted));
        let evicts = Nanos(now.0.saturating_sub(evict.0).max(phase.start.0));
        let drains = match phase.kind {
            SpanKind::Drain => phase.start,
            _ => Nanos(evicts.0.saturating_sub(drain.0).max(phase.start.0)),
        };
        if phase.kind != SpanKind::Drain {
            self.record_span(id, Some(lease.id), phase.kind, (phase.start, drains), Bytes::ZERO);
        }
        if phase.kind == SpanKind::Drain || drains < evicts {
            self.record_span(id, Some(lease.id), SpanKind::Drain, (drains, evicts), Bytes::ZERO);
        }
        if evicts < now || bytes > Bytes::ZERO {
            self.record_span(id, Some(lease.id), SpanKind::Evict, (evicts, now), bytes);
        }
    }

    fn record_span(
        &mut self,
        tenant: TenantId,
        lease: Option<LeaseId>,
        kind: SpanKind,
        (start, end): (Nanos, Nanos),
        bytes: Bytes,
    ) {
        let devices = self
            .tenants
            .get(&tenant)
            .map_or_else(Vec::new, |tenant| tenant.devices.keys().copied().collect());
        self.spans.push(Span { tenant, lease, devices, kind, start, end: Some(end), bytes });
    }
}
