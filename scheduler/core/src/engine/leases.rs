//! Leases given, taken back and ended, and what the record says of it.
use crate::Core;
use crate::engine::{migration, queueing, rounds, trust, turns, usage};
use crate::event::{Action, Stuck};
use crate::memory::budget;
use crate::model::ids::TenantId;
use crate::model::lease::{Lease, Phase, Revocation, Step};
use crate::model::preempted::PreemptedTurn;
use crate::model::span::{Span, SpanKind};
use crate::model::tenant::Stage;
use crate::policy::{fairness, liveness};
use nvshare_protocol::tenant::{Grant, Released, Revoke, total};
use nvshare_protocol::{Bytes, LeaseId, Nanos};

/// All its devices are the tenant's. The caller has made sure that nobody is in its way.
pub(crate) fn grant(core: &mut Core, id: TenantId) {
    let Some(Stage::Waiting(request)) = core.model.tenants.get(&id).map(|tenant| &tenant.stage) else {
        return;
    };
    let request = *request;
    record_span(core, id, None, SpanKind::Wait, (request.since, core.model.now), Bytes::ZERO);
    queueing::dequeue(&mut core.model, id, request.key);
    rounds::mark_served(&mut core.model, id, request.key);
    core.model.leases += 1;
    let mut lease = Lease::new(
        LeaseId(core.model.leases),
        core.model.now,
        core.model.settings.fetch_bound,
        SpanKind::Fetch,
    );
    lease.alive_until = liveness::alive_until(&core.model, id);
    let Some(tenant) = core.model.tenants.get_mut(&id) else { return };
    (lease.resident_at_grant, lease.peak_resident) = (tenant.resident(), tenant.resident());
    tenant.grants += 1;
    tenant.time_waited = tenant.time_waited.saturating_add(core.model.now.saturating_sub(request.since));
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
        let Some(device) = core.model.devices.get_mut(device) else { continue };
        lease.is_switch |= device.grant(id);
        if request.interactive {
            device.boost.begin(id, core.model.now);
        }
        lease.contended |= !device.queue.is_empty();
    }
    let contended = lease.contended;
    tenant.stage = Stage::Leased(Box::new(lease));
    tenant.last_grant = core.model.leases;
    turns::update_turn(&mut core.model, id);
    let grant =
        Grant { lease: LeaseId(core.model.leases), budget: budget::budget(&core.model, id), contended };
    core.actions.push(Action::Grant { tenant: id, grant });
}

/// Asks for the devices back, for the first time in this turn or once more.
pub(crate) fn revoke(core: &mut Core, id: TenantId) {
    let (now, evict) = (core.model.now, budget::shares_to_evict(&core.model, id));
    enter_phase(core, id, SpanKind::Drain, Bytes::ZERO);
    let Some(tenant) = core.model.tenants.get_mut(&id) else { return };
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
    migration::begin_eviction(&mut core.model, id, &evict);
    // One that has one silence to answer must be able to say in time that its work does not end.
    let silence = core.model.settings.silence;
    let drain_within = match lease {
        LeaseId(0) => core.model.settings.drain_bound.min(Nanos(silence.0 / 5 * 4)),
        _ => core.model.settings.drain_bound,
    };
    let revoke = Revoke { lease, evict, drain_within };
    core.actions.push(Action::Revoke { tenant: id, revoke });
}

/// The turn is lost: from now on its devices are free for others.
pub(crate) fn quarantine(core: &mut Core, id: TenantId, why: Stuck) {
    let Some(lease) = core.model.lease(id) else { return };
    let since = if lease.ready_at.is_none() {
        lease.granted_at
    } else {
        lease.revocation.map_or(core.model.now, |r| r.first_at)
    };
    // What nobody waited for is nobody's loss.
    let (since, waited_for) =
        (since.max(lease.contended_since), fairness::others_wait_for(&core.model, id, lease));
    let Some(lease) = core.model.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut()) else { return };
    lease.unresponsive = true;
    for device in std::mem::take(&mut lease.devices) {
        if let Some(device) = core.model.devices.get_mut(&device) {
            device.holders.remove(&id);
            device.beside.insert(id);
            device.boost.end(id, core.model.now);
        }
    }
    let lease = lease.id;
    if let Some(tenant) = core.model.tenants.get_mut(&id) {
        // Nothing comes in that it was told to bring.
        tenant.prefetch.clear();
    }
    migration::cancel_eviction(&mut core.model, id);
    if waited_for {
        let lost = core.model.now.saturating_sub(since);
        rounds::charge(&mut core.model, id, lost, why != Stuck::CannotDrain);
    }
    core.actions.push(Action::Stuck { tenant: id, lease, why });
}

/// The tenant neither holds nor waits any more.
pub(crate) fn end_stage(core: &mut Core, id: TenantId, released: Option<&Released>) {
    usage::stop_charging(&mut core.model, id);
    let Some(tenant) = core.model.tenants.get_mut(&id) else { return };
    tenant.prefetch.clear();
    match std::mem::take(&mut tenant.stage) {
        Stage::Idle => {}
        Stage::Waiting(request) => {
            rounds::refund_round(&mut core.model, id, &request);
            let Some(tenant) = core.model.tenants.get_mut(&id) else { return };
            tenant.time_waited =
                tenant.time_waited.saturating_add(core.model.now.saturating_sub(request.since));
            queueing::dequeue(&mut core.model, id, request.key);
            record_span(core, id, None, SpanKind::Wait, (request.since, core.model.now), Bytes::ZERO);
        }
        Stage::Leased(lease) => {
            rounds::charge_lateness(&mut core.model, id, &lease, released.is_some());
            let Some(tenant) = core.model.tenants.get_mut(&id) else { return };
            let held = core.model.now.saturating_sub(lease.granted_at);
            tenant.time_held = tenant.time_held.saturating_add(held);
            let counts = lease.ready_at.filter(|_| lease.contended);
            let stopped =
                core.model.now.saturating_sub(released.map_or(Nanos::ZERO, |released| released.evict));
            let stopped = lease.idle_since.unwrap_or(stopped);
            let counts = counts.map(|ready| stopped.saturating_sub(ready.max(lease.contended_since)));
            let hasty = lease.is_boosted.then(|| lease.busy(core.model.now));
            let tried =
                lease.is_trial && lease.ready_at.is_none() && released.is_some() && !lease.unresponsive;
            tenant.recent_use.add(core.model.now, counts.unwrap_or_default());
            tenant.was_mostly_idle =
                if lease.ready_at.is_some() { lease.went_idle } else { tenant.was_mostly_idle };
            let told = lease.revocation.map(|revocation| revocation.first_at);
            let (rest, left, asked, idle) = (
                lease.remaining,
                core.model.now,
                lease.requested_at,
                lease.idle_since.is_some() && !lease.throttled,
            );
            let (whole, begun) =
                lease.continues.map_or((lease.quantum, lease.granted_at), |turn| (turn.whole, turn.began_at));
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
                if let Some(device) = core.model.devices.get_mut(device) {
                    device.holders.remove(&id);
                    device.beside.remove(&id);
                    device.boost.end(id, core.model.now);
                }
            }
            tenant.evict_down_to.clear();
            if let Some(held) = hasty {
                rounds::charge_boost(&mut core.model, id, held);
            }
            if tried {
                trust::conclude_trial(&mut core.model, id, false);
            }
            record_end(core, id, &lease, released);
        }
    }
    core.model.reindex(id);
}

/// The lease's present phase ends, with what was moved in it, and another begins.
pub(crate) fn enter_phase(core: &mut Core, id: TenantId, kind: SpanKind, bytes: Bytes) {
    let next = Phase { kind, start: core.model.now };
    let Some(lease) = core.model.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut()) else { return };
    let past = std::mem::replace(&mut lease.phase, next);
    let lease = lease.id;
    record_span(core, id, Some(lease), past.kind, (past.start, next.start), bytes);
}

/// The last phase of a lease, split into drain and eviction as the tenant measured them.
fn record_end(core: &mut Core, id: TenantId, lease: &Lease, released: Option<&Released>) {
    let (phase, now) = (lease.phase, core.model.now);
    let (drain, evict) = released.map_or((Nanos::ZERO, Nanos::ZERO), |r| (r.drain, r.evict));
    let bytes = released.map_or(Bytes::ZERO, |r| total(&r.evicted));
    let evicts = Nanos(now.0.saturating_sub(evict.0).max(phase.start.0));
    let drains = match phase.kind {
        SpanKind::Drain => phase.start,
        _ => Nanos(evicts.0.saturating_sub(drain.0).max(phase.start.0)),
    };
    if phase.kind != SpanKind::Drain {
        record_span(core, id, Some(lease.id), phase.kind, (phase.start, drains), Bytes::ZERO);
    }
    if phase.kind == SpanKind::Drain || drains < evicts {
        record_span(core, id, Some(lease.id), SpanKind::Drain, (drains, evicts), Bytes::ZERO);
    }
    if evicts < now || bytes > Bytes::ZERO {
        record_span(core, id, Some(lease.id), SpanKind::Evict, (evicts, now), bytes);
    }
}

fn record_span(
    core: &mut Core,
    tenant: TenantId,
    lease: Option<LeaseId>,
    kind: SpanKind,
    (start, end): (Nanos, Nanos),
    bytes: Bytes,
) {
    let devices = core
        .model
        .tenants
        .get(&tenant)
        .map_or_else(Vec::new, |tenant| tenant.devices.keys().copied().collect());
    core.spans.push(Span { tenant, lease, devices, kind, start, end: Some(end), bytes });
}
