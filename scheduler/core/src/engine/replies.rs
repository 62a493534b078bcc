//! What tenants answer to grants and revocations.
use crate::engine::state::Engine;
use crate::engine::{leases, migration, requests, trust, turns, usage};
use crate::event::EvictMode;
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::lease::{Lease, Step};
use crate::model::moved::growth;
use crate::model::span::SpanKind;
use crate::model::tenant::Tenant;
use crate::policy::{admission, thrash};
use nvshare_protocol::tenant::{Ready, Released, total};
use nvshare_protocol::{Bytes, LeaseId, Nanos};

/// No link is faster, bytes a second.
const MAX_LINK_RATE: u64 = 1_000_000_000_000;

/// What moves less than this, in bytes, says nothing of the rate.
const MEASURABLE: Bytes = Bytes(256 << 20);

/// Three parts of the average so far and one of the new value; the first value as it is.
fn average(was: Nanos, new: Nanos) -> Nanos {
    if was == Nanos::ZERO { new } else { Nanos(was.0 / 4 * 3 + new.0 / 4) }
}

/// How much of what a turn has brought in was copied. Of a tenant that tells what it copies only since the grant, nobody
/// knows.
fn copied_of(tenant: &Tenant, lease: &Lease, moved: Bytes) -> Bytes {
    match (lease.phase.moved, tenant.moved()) {
        (_, None) => moved,
        (None, Some(_)) => Bytes::ZERO,
        (Some(before), Some(now)) => growth(before.copied_in, now.copied_in, moved),
    }
}

/// Its memory is there: the turn begins.
pub(crate) fn on_ready(engine: &mut Engine, id: TenantId, ready: Ready) {
    let model = &mut engine.model;
    let now = model.now;
    let Some(lease) = model.answered_lease(id, ready.lease).filter(|lease| lease.ready_at.is_none()) else {
        return;
    };
    // What it costs is measured here. A rate is taken from the tenant, as far as it is possible.
    let took = now.saturating_sub(lease.granted_at);
    let (held, is_trial, is_switch) = (lease.devices.clone(), lease.is_trial, lease.is_switch);
    let (moved, within) = (total(&ready.fetched), ready.took.min(took));
    let copied = copied_of(&model.tenants[&id], lease, moved);
    // One with a quota comes back again and again, with all its memory there.
    let has_quota = model.tenants[&id].quota.is_some();
    let is_handover = is_switch && !(has_quota && moved == Bytes::ZERO);
    for device in held {
        model.update_device(device, |device| {
            if is_handover {
                device.cost.0 = average(device.cost.0, took);
            }
            if copied >= MEASURABLE && within > Nanos::ZERO {
                let copied = u128::from(copied.min(device.capacity).0);
                let rate = copied * 1_000_000_000 / u128::from(within.0);
                device.fetch_rate = u64::try_from(rate).unwrap_or(u64::MAX).min(MAX_LINK_RATE);
            }
        });
    }
    if is_trial {
        trust::conclude_trial(model, id, true);
    }
    let Some((tenant, lease)) = model.tenants.get(&id).zip(model.lease(id)) else { return };
    let length = turns::length(model, tenant, lease, Some(now));
    model.update_lease(id, |lease| {
        (lease.idle_since, lease.ready_at) = (None, Some(now));
        (lease.quantum, lease.preemptible_at) = length;
    });
    usage::start_charging(model, id);
    if model.lease(id).is_some_and(|lease| lease.phase.kind == SpanKind::Fetch) {
        leases::enter_phase(engine, id, SpanKind::Run, total(&ready.fetched));
    }
}

/// The turn is over as long as somebody waits, or will be soon. A cancelled drain is tried again at once.
pub(crate) fn on_idle(model: &mut Model, id: TenantId, lease: LeaseId) {
    let now = model.now;
    let Some((tenant, lease)) = model.tenants.get(&id).zip(model.answered_lease(id, lease)) else { return };
    let contended = admission::is_contended(model, tenant, lease);
    let hold_until = thrash::hold_idle_until(model, lease);
    let held = lease.devices.clone();
    model.update_lease(id, |lease| match lease.revocation_mut().map(|revocation| &mut revocation.step) {
        None => {
            lease.idle_since = lease.idle_since.or(Some(now)).filter(|_| contended);
            lease.hold_until = hold_until;
            lease.went_idle |= contended && hold_until <= now;
        }
        Some(Step::Cancelled(retry)) => *retry = now.min(*retry),
        Some(Step::Asked(_)) => {}
    });
    for device in held.into_iter().filter(|_| hold_until <= now) {
        model.update_device(device, |device| device.boost.end(id, now));
    }
}

/// The tenant has given its devices back.
pub(crate) fn on_released(engine: &mut Engine, id: TenantId, released: Released) {
    let model = &mut engine.model;
    let now = model.now;
    if model.tenants.get(&id).is_some_and(|tenant| tenant.claims_hold) {
        model.update(id, |tenant| tenant.claims_hold = false);
    }
    let Some(lease) = model.answered_lease(id, released.lease) else { return };
    let (rerequested, leaves_alone) = (lease.rerequested, lease.leaves_alone);
    // A tenant that leaves for its quota hands nothing over if nothing moves.
    let is_handover = !leaves_alone || total(&released.evicted).0 > 0;
    if let Some(revocation) = lease.revocation().filter(|_| is_handover) {
        let reported = released.drain.saturating_add(released.evict);
        let took = reported.min(now.saturating_sub(revocation.first_at));
        for device in lease.devices.clone() {
            model.update_device(device, |device| device.cost.1 = average(device.cost.1, took));
        }
    }
    let settings = model.settings();
    if !leaves_alone && settings.overlap && settings.evict == EvictMode::Always {
        engine.deferred_evictions.insert(id);
    }
    if engine.model.tenants.get(&id).is_some_and(|tenant| tenant.evicts_all) {
        // It may have been told to leave before it was told to evict everything.
        engine.deferred_evictions.insert(id);
    }
    leases::end_stage(engine, id, Some(&released));
    if rerequested {
        requests::request_turn(&mut engine.model, id);
    }
}

/// The tenant keeps its lease; it is revoked again after a while, unless by then nobody waits.
pub(crate) fn on_drain_cancelled(engine: &mut Engine, id: TenantId, lease: LeaseId) {
    let model = &mut engine.model;
    let now = model.now;
    if model.answered_lease(id, lease).is_none_or(|lease| !lease.is_revoked()) {
        return;
    }
    let is_news = model.update_lease(id, |lease| {
        lease.idle_since = None;
        let revocation = lease.revocation_mut()?;
        let Step::Asked(_) = revocation.step else { return None };
        revocation.cancelled_drains = revocation.cancelled_drains.saturating_add(1);
        revocation.step = Step::Cancelled(now.saturating_add(revocation.backoff()));
        Some(())
    });
    if is_news.flatten().is_some() {
        migration::cancel_eviction(model, id);
        leases::enter_phase(engine, id, SpanKind::Run, Bytes::ZERO);
    }
}
