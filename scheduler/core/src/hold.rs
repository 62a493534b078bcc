//! Leases given, taken back and ended, and what the record says of it.
use crate::Core;
use crate::event::{Action, Stuck, TenantId};
use crate::haste::BrokenOff;
use crate::lease::{Lease, Phase, Revocation, Step};
use crate::record::{Span, SpanKind};
use crate::tenant::Stage;
use nvshare_protocol::tenant::{Grant, Released, Revoke, total};
use nvshare_protocol::{Bytes, LeaseId, Nanos};

impl Core {
    /// All its devices are the tenant's. The caller has made sure that nobody is in its way.
    pub(crate) fn grant(&mut self, id: TenantId) {
        let Some(Stage::Waiting(request)) = self.tenants.get(&id).map(|tenant| &tenant.stage) else { return };
        let request = *request;
        self.write(id, None, SpanKind::Wait, (request.since, self.now), Bytes::ZERO);
        self.leave_line(id, request.place);
        self.serve_place(id, request.place);
        self.leases += 1;
        let mut lease =
            Lease::new(LeaseId(self.leases), self.now, self.settings.fetch_bound, SpanKind::Fetch);
        lease.alive_by = self.alive_by(id);
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        (lease.had, lease.most) = (tenant.resident(), tenant.resident());
        tenant.grants += 1;
        tenant.waited = tenant.waited.saturating_add(self.now.saturating_sub(request.since));
        tenant.stays = false;
        // Where it only tries, an operator has been told why.
        tenant.told_no_room &= tenant.doubt.insists;
        tenant.fetching.clear();
        lease.held = tenant.devices.keys().copied().collect();
        lease.timed_by = lease.held.clone();
        (lease.goes_on, lease.is_hasty, lease.tries) = (request.goes_on, request.eager, tenant.doubt.insists);
        (lease.priority, lease.protected, lease.asked) = (tenant.priority, request.starved, request.asked);
        lease.limited = tenant.quota.is_some();
        lease.contended = lease.limited;
        for device in &lease.held {
            let Some(device) = self.devices.get_mut(device) else { continue };
            lease.takes_over |= device.grant(id);
            if request.eager {
                device.haste.begin(id, self.now);
            }
            lease.contended |= !device.queue.is_empty();
        }
        let contended = lease.contended;
        tenant.stage = Stage::Leased(Box::new(lease));
        tenant.last_grant = self.leases;
        self.measure_turn(id);
        let grant = Grant { lease: LeaseId(self.leases), budget: self.budget(id), contended };
        self.actions.push(Action::Grant { tenant: id, grant });
    }

    /// Asks for the devices back, for the first time in this turn or once more.
    pub(crate) fn revoke(&mut self, id: TenantId) {
        let (now, evict) = (self.now, self.eviction(id));
        self.enter(id, SpanKind::Drain, Bytes::ZERO);
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let has = tenant.resident();
        let Some(lease) = tenant.lease_mut() else { return };
        let revocation = lease.revocation.get_or_insert(Revocation {
            first: now,
            cancelled: 0,
            step: Step::Asked(now),
            alive: now,
            had: has,
            least: has,
        });
        (revocation.step, revocation.alive) = (Step::Asked(now), now);
        let lease = lease.id;
        self.note_outgoing(id, &evict);
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
    pub(crate) fn put_aside(&mut self, id: TenantId, why: Stuck) {
        let Some(lease) = self.lease(id) else { return };
        let since = if lease.ready.is_none() {
            lease.granted
        } else {
            lease.revocation.map_or(self.now, |r| r.first)
        };
        // What nobody waited for is nobody's loss.
        let (since, waited_for) = (since.max(lease.contended_since), self.others_wait_for(id, lease));
        let Some(lease) = self.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut()) else { return };
        lease.stuck = true;
        for device in std::mem::take(&mut lease.held) {
            if let Some(device) = self.devices.get_mut(&device) {
                device.holders.remove(&id);
                device.beside.insert(id);
                device.haste.end(id, self.now);
            }
        }
        let lease = lease.id;
        if let Some(tenant) = self.tenants.get_mut(&id) {
            // Nothing comes in that it was told to bring.
            tenant.fetching.clear();
        }
        self.let_stay(id);
        if waited_for {
            self.charge(id, self.now.saturating_sub(since), why != Stuck::CannotDrain);
        }
        self.actions.push(Action::Stuck { tenant: id, lease, why });
    }

    /// The tenant neither holds nor waits any more.
    pub(crate) fn end_stage(&mut self, id: TenantId, released: Option<&Released>) {
        self.end_use(id);
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        tenant.fetching.clear();
        match std::mem::take(&mut tenant.stage) {
            Stage::Idle => {}
            Stage::Waiting(request) => {
                self.give_round_back(id, &request);
                let Some(tenant) = self.tenants.get_mut(&id) else { return };
                tenant.waited = tenant.waited.saturating_add(self.now.saturating_sub(request.since));
                self.leave_line(id, request.place);
                self.write(id, None, SpanKind::Wait, (request.since, self.now), Bytes::ZERO);
            }
            Stage::Leased(lease) => {
                self.charge_lateness(id, &lease, released.is_some());
                let Some(tenant) = self.tenants.get_mut(&id) else { return };
                let held = self.now.saturating_sub(lease.granted);
                tenant.held = tenant.held.saturating_add(held);
                let counts = lease.ready.filter(|_| lease.contended);
                let stopped =
                    self.now.saturating_sub(released.map_or(Nanos::ZERO, |released| released.evict));
                let stopped = lease.idle.unwrap_or(stopped);
                let counts = counts.map(|ready| stopped.saturating_sub(ready.max(lease.contended_since)));
                let hasty = lease.is_hasty.then(|| lease.busy(self.now));
                let tried = lease.tries && lease.ready.is_none() && released.is_some() && !lease.stuck;
                tenant.recent.add(self.now, counts.unwrap_or_default());
                tenant.slept = if lease.ready.is_some() { lease.slept } else { tenant.slept };
                let told = lease.revocation.map(|revocation| revocation.first);
                let (rest, left, asked, idle) =
                    (lease.rest, self.now, lease.asked, lease.idle.is_some() && !lease.throttled);
                let (whole, begun) =
                    lease.goes_on.map_or((lease.quantum, lease.granted), |turn| (turn.whole, turn.begun));
                tenant.broken_off =
                    told.map(|told| BrokenOff { rest, whole, begun, told, left, asked, idle });
                for device in tenant.devices.keys() {
                    if let Some(device) = self.devices.get_mut(device) {
                        device.holders.remove(&id);
                        device.beside.remove(&id);
                        device.haste.end(id, self.now);
                    }
                }
                tenant.keeps.clear();
                if let Some(held) = hasty {
                    self.note_haste(id, held);
                }
                if tried {
                    self.tried(id, false);
                }
                self.write_end(id, &lease, released);
            }
        }
        self.changed(id);
    }

    /// What it was asked to move out does not count any more.
    pub(crate) fn let_stay(&mut self, id: TenantId) {
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.keeps.clear();
        }
        self.changed(id);
    }

    /// The lease's present phase ends, with what was moved in it, and another begins.
    pub(crate) fn enter(&mut self, id: TenantId, kind: SpanKind, bytes: Bytes) {
        let next = Phase { kind, start: self.now };
        let Some(lease) = self.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut()) else { return };
        let past = std::mem::replace(&mut lease.phase, next);
        let lease = lease.id;
        self.write(id, Some(lease), past.kind, (past.start, next.start), bytes);
    }

    /// The last phase of a lease, split into drain and eviction as the tenant measured them.
    fn write_end(&mut self, id: TenantId, lease: &Lease, released: Option<&Released>) {
        let (phase, now) = (lease.phase, self.now);
        let (drain, evict) = released.map_or((Nanos::ZERO, Nanos::ZERO), |r| (r.drain, r.evict));
        let bytes = released.map_or(Bytes::ZERO, |r| total(&r.evicted));
        let evicts = Nanos(now.0.saturating_sub(evict.0).max(phase.start.0));
        let drains = match phase.kind {
            SpanKind::Drain => phase.start,
            _ => Nanos(evicts.0.saturating_sub(drain.0).max(phase.start.0)),
        };
        if phase.kind != SpanKind::Drain {
            self.write(id, Some(lease.id), phase.kind, (phase.start, drains), Bytes::ZERO);
        }
        if phase.kind == SpanKind::Drain || drains < evicts {
            self.write(id, Some(lease.id), SpanKind::Drain, (drains, evicts), Bytes::ZERO);
        }
        if evicts < now || bytes > Bytes::ZERO {
            self.write(id, Some(lease.id), SpanKind::Evict, (evicts, now), bytes);
        }
    }

    fn write(
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
        self.record.push(Span { tenant, lease, devices, kind, start, end: Some(end), bytes });
    }
}
