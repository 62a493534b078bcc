//! Leases are granted, revoked and ended, and the record says so.
use crate::engine::state::Engine;
use crate::engine::{migration, rounds, trust, turns, usage};
use crate::event::{Action, Stuck};
use crate::memory::budget;
use crate::model::ids::TenantId;
use crate::model::lease::{Lease, Phase, Revocation, Step, TurnState};
use crate::model::preempted::PreemptedTurn;
use crate::model::request::Request;
use crate::model::span::{Span, SpanKind};
use crate::model::tenant::Stage;
use crate::policy::{admission, fairness, liveness};
use nvshare_protocol::tenant::{Grant, Released, Revoke, total};
use nvshare_protocol::{Bytes, LeaseId, Nanos};

/// All its devices are the tenant's. The caller has made sure that nobody is in its way.
pub(crate) fn grant(engine: &mut Engine, id: TenantId) {
    let Some(request) = engine.model.request(id).cloned() else { return };
    record_span(engine, id, None, SpanKind::Wait, (request.since, engine.model.now), Bytes::ZERO);
    let model = &mut engine.model;
    let now = model.now;
    rounds::mark_served(model, id);
    model.leases += 1;
    let number = model.leases;
    let mut lease = Lease::new(LeaseId(number), now, model.settings().fetch_bound, SpanKind::Fetch);
    lease.alive_until = liveness::alive_until(model, id);
    (lease.continues, lease.is_boosted) = (request.continues, request.interactive);
    (lease.non_preemptible, lease.requested_at) = (request.starved, request.requested_at);
    model.update(id, |tenant| {
        (lease.resident_at_grant, lease.peak_resident) = (tenant.resident(), tenant.resident());
        lease.devices = tenant.devices.keys().copied().collect();
        lease.quantum_devices = lease.devices.clone();
        (lease.priority, lease.is_trial) = (tenant.priority, tenant.trust.ignores_claims);
        tenant.grants += 1;
        tenant.last_grant = number;
        tenant.time_waited = tenant.time_waited.saturating_add(now.saturating_sub(request.since));
        tenant.keeps_memory = false;
        // If this is a trial, an operator has been told why.
        tenant.no_room_reported &= tenant.trust.ignores_claims;
        tenant.prefetch.clear();
        tenant.stage = Stage::Leased(Box::new(lease));
    });
    let mut is_switch = false;
    for device in model.devices_of(id) {
        model.update_device(device, |device| {
            is_switch |= device.grant(id);
            if request.interactive {
                device.boost.begin(id, now);
            }
        });
    }
    let holder = model.tenants.get(&id).zip(model.lease(id));
    let contended = holder.is_some_and(|(tenant, lease)| admission::is_contended(model, tenant, lease));
    model.update_lease(id, |lease| (lease.is_switch, lease.contended) = (is_switch, contended));
    turns::update_turn(model, id);
    let grant = Grant { lease: LeaseId(number), budget: budget::budget(model, id), contended };
    engine.actions.push(Action::Grant { tenant: id, grant });
}

/// Asks for the devices back, for the first time in this turn or once more.
pub(crate) fn revoke(engine: &mut Engine, id: TenantId) {
    let evict = budget::shares_to_evict(&engine.model, id);
    enter_phase(engine, id, SpanKind::Drain, Bytes::ZERO);
    let model = &mut engine.model;
    let now = model.now;
    let revoked = model.update(id, |tenant| {
        let resident = tenant.resident();
        let lease = tenant.lease_mut()?;
        match lease.revocation_mut() {
            Some(revocation) => (revocation.step, revocation.last_sign) = (Step::Asked(now), now),
            None => lease.state = TurnState::Revoked(Revocation::new(now, resident)),
        }
        Some(lease.id)
    });
    let Some(lease) = revoked.flatten() else { return };
    migration::begin_eviction(model, id, &evict);
    // If it has one silence to answer, it has to be able to report in time that its work does not end.
    let (drain_bound, silence) = (model.settings().drain_bound, model.settings().silence);
    let drain_within = match lease {
        LeaseId(0) => drain_bound.min(Nanos(silence.0 / 5 * 4)),
        _ => drain_bound,
    };
    let revoke = Revoke { lease, evict, drain_within };
    engine.actions.push(Action::Revoke { tenant: id, revoke });
}

/// The tenant loses its turn: from now on its devices are free for others.
pub(crate) fn quarantine(engine: &mut Engine, id: TenantId, why: Stuck) {
    let model = &mut engine.model;
    let now = model.now;
    let Some(lease) = model.lease(id) else { return };
    let since = match lease.ready_at {
        None => lease.granted_at,
        Some(_) => lease.revocation().map_or(now, |revocation| revocation.first_at),
    };
    // Where nobody waited, nobody lost anything.
    let lost = now.saturating_sub(since.max(lease.contended_since));
    let waited_for = fairness::others_wait_for(model, id, lease);
    let (number, devices) = (lease.id, lease.devices.clone());
    for device in devices {
        model.update_device(device, |device| device.boost.end(id, now));
    }
    model.update(id, |tenant| {
        // It prefetches nothing any more.
        tenant.prefetch.clear();
        tenant.evict_down_to.clear();
        let Some(lease) = tenant.lease_mut() else { return };
        lease.devices.clear();
        if let Some(revocation) = lease.revocation() {
            lease.state = TurnState::Unresponsive(revocation);
        }
    });
    if waited_for {
        rounds::charge(model, id, lost, why != Stuck::CannotDrain);
    }
    engine.actions.push(Action::Stuck { tenant: id, lease: number, why });
}

/// The tenant neither holds nor waits any more.
pub(crate) fn end_stage(engine: &mut Engine, id: TenantId, released: Option<&Released>) {
    usage::stop_charging(&mut engine.model, id);
    let stage = engine.model.update(id, |tenant| {
        tenant.prefetch.clear();
        std::mem::take(&mut tenant.stage)
    });
    match stage {
        None | Some(Stage::Idle) => {}
        Some(Stage::Waiting(request)) => end_request(engine, id, &request),
        Some(Stage::Leased(lease)) => end_lease(engine, id, &lease, released),
    }
}

fn end_request(engine: &mut Engine, id: TenantId, request: &Request) {
    let model = &mut engine.model;
    let now = model.now;
    rounds::refund_round(model, id, request);
    model.update(id, |tenant| {
        tenant.time_waited = tenant.time_waited.saturating_add(now.saturating_sub(request.since));
    });
    record_span(engine, id, None, SpanKind::Wait, (request.since, now), Bytes::ZERO);
}

fn end_lease(engine: &mut Engine, id: TenantId, lease: &Lease, released: Option<&Released>) {
    let model = &mut engine.model;
    let now = model.now;
    rounds::charge_lateness(model, id, lease, released.is_some());
    let stopped = now.saturating_sub(released.map_or(Nanos::ZERO, |released| released.evict));
    let stopped = lease.idle_since.unwrap_or(stopped);
    // What it used while others waited.
    let used = lease.ready_at.filter(|_| lease.contended);
    let used = used.map(|ready| stopped.saturating_sub(ready.max(lease.contended_since)));
    let (whole, began_at) =
        lease.continues.map_or((lease.quantum, lease.granted_at), |turn| (turn.whole, turn.began_at));
    let preempted = lease.revocation().map(|revocation| PreemptedTurn {
        remaining: lease.remaining,
        whole,
        began_at,
        revoked_at: revocation.first_at,
        ended_at: now,
        requested_at: lease.requested_at,
        was_idle: lease.idle_since.is_some() && !lease.over_quota,
    });
    model.update(id, |tenant| {
        tenant.time_held = tenant.time_held.saturating_add(now.saturating_sub(lease.granted_at));
        tenant.recent_use.add(now, used.unwrap_or_default());
        if lease.ready_at.is_some() {
            tenant.was_mostly_idle = lease.went_idle;
        }
        tenant.preempted = preempted;
        tenant.evict_down_to.clear();
    });
    for device in model.devices_of(id) {
        model.update_device(device, |device| device.boost.end(id, now));
    }
    if lease.is_boosted {
        rounds::charge_boost(model, id, lease.busy(now));
    }
    if lease.is_trial && lease.ready_at.is_none() && released.is_some() && !lease.is_unresponsive() {
        trust::conclude_trial(model, id, false);
    }
    record_end(engine, id, lease, released);
}

/// The lease's present phase ends, with what was moved in it, and another begins.
pub(crate) fn enter_phase(engine: &mut Engine, id: TenantId, kind: SpanKind, bytes: Bytes) {
    let next = Phase { kind, start: engine.model.now };
    let past = engine.model.update_lease(id, |lease| (std::mem::replace(&mut lease.phase, next), lease.id));
    let Some((past, lease)) = past else { return };
    record_span(engine, id, Some(lease), past.kind, (past.start, next.start), bytes);
}

/// The last phase of a lease, split into drain and eviction as the tenant measured them.
fn record_end(engine: &mut Engine, id: TenantId, lease: &Lease, released: Option<&Released>) {
    let (phase, now) = (lease.phase, engine.model.now);
    let (drain, evict) = released.map_or((Nanos::ZERO, Nanos::ZERO), |r| (r.drain, r.evict));
    let bytes = released.map_or(Bytes::ZERO, |r| total(&r.evicted));
    let evicts = Nanos(now.0.saturating_sub(evict.0).max(phase.start.0));
    let drains = match phase.kind {
        SpanKind::Drain => phase.start,
        _ => Nanos(evicts.0.saturating_sub(drain.0).max(phase.start.0)),
    };
    if phase.kind != SpanKind::Drain {
        record_span(engine, id, Some(lease.id), phase.kind, (phase.start, drains), Bytes::ZERO);
    }
    if phase.kind == SpanKind::Drain || drains < evicts {
        record_span(engine, id, Some(lease.id), SpanKind::Drain, (drains, evicts), Bytes::ZERO);
    }
    if evicts < now || bytes > Bytes::ZERO {
        record_span(engine, id, Some(lease.id), SpanKind::Evict, (evicts, now), bytes);
    }
}

fn record_span(
    engine: &mut Engine,
    tenant: TenantId,
    lease: Option<LeaseId>,
    kind: SpanKind,
    (start, end): (Nanos, Nanos),
    bytes: Bytes,
) {
    let devices = engine.model.devices_of(tenant);
    engine.spans.push(Span { tenant, lease, devices, kind, start, end: Some(end), bytes });
}
