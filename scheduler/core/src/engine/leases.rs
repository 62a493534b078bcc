//! Leases are granted, revoked and ended, and the record says so.
use crate::engine::state::Engine;
use crate::engine::{rounds, trust, usage};
use crate::event::{Action, Stuck};
use crate::memory::budget;
use crate::model::ids::TenantId;
use crate::model::lease::{Lease, Phase, Revocation, Step, TurnState};
use crate::model::moved::{Moved, growth};
use crate::model::span::{Span, SpanKind};
use crate::model::tenant::{Stage, Tenant};
use crate::policy::{fairness, liveness, quantum};
use nvshare_protocol::tenant::{Grant, Released, Revoke, total};
use nvshare_protocol::{Bytes, LeaseId, Nanos};

/// What was moved in a span, and the parts of it that were not copied.
#[derive(Clone, Copy, Default)]
struct Parts {
    bytes: Bytes,
    unchanged: Bytes,
    zero: Bytes,
}

/// All its devices are the tenant's. The caller has made sure that nobody is in its way.
pub(crate) fn grant(engine: &mut Engine, id: TenantId) {
    let Some(request) = engine.model.request(id).cloned() else { return };
    record_span(engine, id, None, SpanKind::Wait, (request.since, engine.model.now), Parts::default());
    let model = &mut engine.model;
    let now = model.now;
    rounds::mark_served(model, id);
    model.leases += 1;
    let number = model.leases;
    let mut lease = Lease::new(LeaseId(number), now, model.settings().fetch_bound, SpanKind::Fetch);
    lease.alive_until = liveness::alive_until(model, id);
    (lease.continues, lease.is_boosted) = (request.continues, request.interactive);
    (lease.non_preemptible, lease.requested_at) = (request.starved, request.requested_at);
    let devices = model.devices_of(id);
    let at = || devices.iter().filter_map(|device| model.devices.get(device));
    lease.is_switch = at().any(|at| at.is_switch_to(id));
    // The tenant itself is still in the queues.
    let others_wait = at().any(|at| at.queue().len() > 1);
    lease.quantum = match (request.continues, model.tenants.get(&id)) {
        (None, Some(tenant)) => quantum::tenant_quantum(model, tenant),
        (turn, _) => turn.map(|turn| turn.remaining).unwrap_or_default(),
    };
    let contended = model.update(id, |tenant| {
        let contended = others_wait || tenant.quota.is_some();
        (lease.resident_at_grant, lease.peak_resident) = (tenant.resident(), tenant.resident());
        lease.phase.moved = tenant.moved();
        lease.devices = tenant.devices.keys().copied().collect();
        lease.quantum_devices = lease.devices.clone();
        (lease.priority, lease.is_trial) = (tenant.priority, tenant.trust.ignores_claims);
        lease.contended = contended;
        tenant.grants += 1;
        tenant.last_grant = number;
        tenant.time_waited = tenant.time_waited.saturating_add(now.saturating_sub(request.since));
        tenant.keeps_memory = false;
        // If this is a trial, an operator has been told why.
        tenant.no_room_reported &= tenant.trust.ignores_claims;
        tenant.prefetch.clear();
        tenant.stage = Stage::Leased(Box::new(lease));
        contended
    });
    for device in devices {
        model.update_device(device, |device| {
            device.grant(id);
            if request.interactive {
                device.boost.begin(id, now);
            }
        });
    }
    let (budget, contended) = (budget::budget(model, id), contended.unwrap_or_default());
    let grant = Grant { lease: LeaseId(number), budget, contended };
    engine.actions.push(Action::Grant { tenant: id, grant });
}

/// Asks for the devices back, for the first time in this turn or once more.
pub(crate) fn revoke(engine: &mut Engine, id: TenantId) {
    revoke_after(engine, id, |_| {});
}

/// A holder leaves, whether or not anybody waits.
pub(crate) fn dismiss(engine: &mut Engine, id: TenantId) {
    if engine.model.lease(id).is_none_or(Lease::is_revoked) {
        return;
    }
    engine.model.update_lease(id, |lease| lease.leaves_alone = true);
    revoke(engine, id);
}

/// Ends the turn for another tenant: what is left of it may be resumed.
pub(crate) fn preempt(engine: &mut Engine, id: TenantId) {
    let now = engine.model.now;
    revoke_after(engine, id, |lease| {
        // A turn that has not begun has its whole length left.
        lease.remaining = lease.turn_end().saturating_sub(now).min(lease.quantum);
        lease.went_idle |= lease.idle_since.is_some();
    });
}

fn revoke_after(engine: &mut Engine, id: TenantId, prepare: impl FnOnce(&mut Lease)) {
    let evict = budget::shares_to_evict(&engine.model, id);
    enter_phase(engine, id, SpanKind::Drain, Bytes::ZERO);
    let model = &mut engine.model;
    let now = model.now;
    let revoked = model.update(id, |tenant| {
        let resident = tenant.resident();
        let lease = tenant.lease_mut()?;
        prepare(lease);
        match lease.revocation_mut() {
            Some(revocation) => (revocation.step, revocation.last_sign) = (Step::Asked(now), now),
            None => lease.state = TurnState::Revoked(Revocation::new(now, resident)),
        }
        let number = lease.id;
        tenant.begin_eviction(&evict);
        Some(number)
    });
    let Some(lease) = revoked.flatten() else { return };
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
    if why == Stuck::CannotDrain {
        rounds::note_stall(model, id);
    }
    if waited_for {
        rounds::charge(model, id, lost, why != Stuck::CannotDrain);
    }
    engine.actions.push(Action::Stuck { tenant: id, lease: number, why });
}

/// The tenant neither holds nor waits any more.
pub(crate) fn end_stage(engine: &mut Engine, id: TenantId, released: Option<&Released>) {
    let model = &mut engine.model;
    usage::stop_charging(model, id);
    match model.tenants.get(&id).map(|tenant| &tenant.stage) {
        None => {}
        Some(Stage::Idle) => drop(model.update(id, |tenant| tenant.prefetch.clear())),
        Some(Stage::Waiting(_)) => end_request(engine, id),
        Some(Stage::Leased(_)) => end_lease(engine, id, released),
    }
}

fn end_request(engine: &mut Engine, id: TenantId) {
    let model = &mut engine.model;
    let now = model.now;
    let request = model.update(id, |tenant| {
        let Stage::Waiting(request) = std::mem::take(&mut tenant.stage) else { return None };
        tenant.prefetch.clear();
        tenant.time_waited = tenant.time_waited.saturating_add(now.saturating_sub(request.since));
        Some(request)
    });
    let Some(request) = request.flatten() else { return };
    rounds::refund_round(model, id, &request);
    record_span(engine, id, None, SpanKind::Wait, (request.since, now), Parts::default());
}

fn end_lease(engine: &mut Engine, id: TenantId, released: Option<&Released>) {
    let model = &mut engine.model;
    let now = model.now;
    let Some(lease) = model.lease(id) else { return };
    if let Some((lost, silent)) = fairness::lateness(model, id, lease, released.is_some()) {
        rounds::charge(model, id, lost, silent);
    }
    let stopped = now.saturating_sub(released.map_or(Nanos::ZERO, |released| released.evict));
    let lease = model.update(id, |tenant| {
        let Stage::Leased(lease) = std::mem::take(&mut tenant.stage) else { return None };
        tenant.time_held = tenant.time_held.saturating_add(now.saturating_sub(lease.granted_at));
        tenant.recent_use.add(now, used_while_contended(&lease, stopped));
        if lease.ready_at.is_some() {
            tenant.was_mostly_idle = lease.went_idle;
        }
        tenant.preempted = lease.preempted(now);
        tenant.prefetch.clear();
        tenant.evict_down_to.clear();
        tenant.evicts_all = false;
        Some(lease)
    });
    let Some(lease) = lease.flatten() else { return };
    for device in model.devices_of(id) {
        model.update_device(device, |device| device.boost.end(id, now));
    }
    if lease.is_boosted {
        rounds::charge_boost(model, id, lease.busy(now));
    }
    if lease.is_trial && lease.ready_at.is_none() && released.is_some() && !lease.is_unresponsive() {
        trust::conclude_trial(model, id, false);
    }
    record_end(engine, id, &lease, released);
}

/// What the tenant used of its turn while others waited, until it stopped or became idle.
fn used_while_contended(lease: &Lease, stopped: Nanos) -> Nanos {
    let until = lease.idle_since.unwrap_or(stopped);
    let since = lease.ready_at.filter(|_| lease.contended).map(|ready| ready.max(lease.contended_since));
    since.map_or(Nanos::ZERO, |since| until.saturating_sub(since))
}

/// The lease's present phase ends, with what was moved in it, and another begins.
pub(crate) fn enter_phase(engine: &mut Engine, id: TenantId, kind: SpanKind, bytes: Bytes) {
    let moved = engine.model.tenants.get(&id).and_then(Tenant::moved);
    let next = Phase { kind, start: engine.model.now, moved };
    let Some((past, lease)) = engine.model.set_phase(id, next) else { return };
    let parts = parts(past.moved, moved, bytes);
    record_span(engine, id, Some(lease), past.kind, (past.start, next.start), parts);
}

/// What was moved: all of it, and the parts that were unchanged and zero by what the tenant has told since.
fn parts(before: Option<Moved>, now: Option<Moved>, bytes: Bytes) -> Parts {
    let Some((before, now)) = before.zip(now) else { return Parts { bytes, ..Parts::default() } };
    let zero = growth(before.zero, now.zero, bytes);
    let unchanged = growth(before.unchanged, now.unchanged, bytes.saturating_sub(zero));
    Parts { bytes, unchanged, zero }
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
        record_span(engine, id, Some(lease.id), phase.kind, (phase.start, drains), Parts::default());
    }
    if phase.kind == SpanKind::Drain || drains < evicts {
        record_span(engine, id, Some(lease.id), SpanKind::Drain, (drains, evicts), Parts::default());
    }
    if evicts < now || bytes > Bytes::ZERO {
        let moved = engine.model.tenants.get(&id).and_then(Tenant::moved);
        let parts = parts(phase.moved, moved, bytes);
        record_span(engine, id, Some(lease.id), SpanKind::Evict, (evicts, now), parts);
    }
}

fn record_span(
    engine: &mut Engine,
    tenant: TenantId,
    lease: Option<LeaseId>,
    kind: SpanKind,
    (start, end): (Nanos, Nanos),
    Parts { bytes, unchanged, zero }: Parts,
) {
    let devices = engine.model.devices_of(tenant);
    engine.spans.push(Span { tenant, lease, devices, kind, start, end: Some(end), bytes, unchanged, zero });
}
