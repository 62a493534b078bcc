//! What tenants answer to grants and revocations.
use crate::Core;
use crate::engine::{leases, migration, requests, trust, turns, usage};
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::lease::Step;
use crate::model::span::SpanKind;
use crate::policy::{admission, thrash};
use nvshare_protocol::tenant::{Ready, Released, total};
use nvshare_protocol::{LeaseId, Nanos};
use std::collections::BTreeSet;

/// No link is faster, bytes a second.
const MAX_LINK_RATE: u64 = 1_000_000_000_000;

/// Three parts of what was, one of what is new; the first as it is.
fn average(was: Nanos, new: Nanos) -> Nanos {
    if was == Nanos::ZERO { new } else { Nanos(was.0 / 4 * 3 + new.0 / 4) }
}

pub(crate) fn on_ready(core: &mut Core, id: TenantId, ready: &Ready) {
    let now = core.model.now;
    let Some(lease) = core.model.answered_lease(id, ready.lease).filter(|lease| lease.ready_at.is_none())
    else {
        return;
    };
    lease.idle_since = None;
    lease.ready_at = Some(now);
    // What it costs is measured here. A rate is taken from the tenant, as far as it is possible.
    let took = now.saturating_sub(lease.granted_at);
    let (held, tries) = (lease.devices.clone(), lease.is_trial);
    let (moved, within) = (total(&ready.fetched).0, ready.took.min(took));
    // One with a quota comes back again and again, with all its memory there.
    let takes_over = lease.is_switch && !(lease.has_quota && moved == 0);
    for device in held {
        if let Some(device) = core.model.devices.get_mut(&device) {
            if takes_over {
                device.cost.0 = average(device.cost.0, took);
            }
            if moved >= 256 << 20 && within > Nanos::ZERO {
                let moved = u128::from(moved.min(device.capacity.0));
                let rate = moved * 1_000_000_000 / u128::from(within.0);
                device.fetch_rate = u64::try_from(rate).unwrap_or(u64::MAX).min(MAX_LINK_RATE);
            }
        }
    }
    if tries {
        trust::conclude_trial(&mut core.model, id, true);
    }
    usage::start_charging(&mut core.model, id);
    turns::update_turn(&mut core.model, id);
    let Some(lease) = core.model.answered_lease(id, ready.lease) else { return };
    if lease.phase.kind == SpanKind::Fetch {
        leases::enter_phase(core, id, SpanKind::Run, total(&ready.fetched));
    }
}

/// Its turn is over as long as somebody waits, or will be soon. A cancelled drain is tried again at once.
pub(crate) fn on_idle(model: &mut Model, id: TenantId, lease: LeaseId) {
    model.mark_dirty(id);
    let now = model.now;
    let contended = model.lease(id).is_some_and(|lease| admission::is_contended(model, lease));
    let kept = model.lease(id).map_or(Nanos::ZERO, |lease| thrash::hold_idle_until(model, lease));
    let Some(lease) = model.answered_lease(id, lease) else { return };
    match lease.revocation.as_mut().map(|revocation| &mut revocation.step) {
        None => {
            lease.idle_since = lease.idle_since.or(Some(now)).filter(|_| contended);
            lease.hold_until = kept;
            lease.went_idle |= contended && kept <= now;
        }
        Some(Step::Cancelled(retry)) => *retry = now.min(*retry),
        Some(Step::Asked(_)) => {}
    }
    for device in lease.devices.clone() {
        if let Some(device) = model.devices.get_mut(&device).filter(|_| kept <= now) {
            device.boost.end(id, now);
        }
    }
    model.reindex(id);
}

pub(crate) fn on_released(core: &mut Core, id: TenantId, released: &Released) {
    if let Some(tenant) = core.model.tenants.get_mut(&id) {
        tenant.claims_hold = false;
    }
    let now = core.model.now;
    let Some(lease) = core.model.answered_lease(id, released.lease) else { return };
    let again = lease.rerequested;
    let throttled = lease.throttled;
    // Who leaves for its quota hands nothing over where nothing moves.
    let hands_over = !throttled || total(&released.evicted).0 > 0;
    let costs = lease.revocation.is_some() && hands_over;
    let since = lease.revocation.map_or(now, |revocation| revocation.first_at);
    let told = released.drain.saturating_add(released.evict).min(now.saturating_sub(since));
    let held = if costs { lease.devices.clone() } else { BTreeSet::new() };
    for device in held {
        if let Some(device) = core.model.devices.get_mut(&device) {
            device.cost.1 = average(device.cost.1, told);
        }
    }
    if !throttled
        && core.model.settings.overlap
        && core.model.settings.evict == crate::event::EvictMode::Always
    {
        core.deferred_evictions.insert(id);
    }
    leases::end_stage(core, id, Some(released));
    if again {
        requests::request_turn(&mut core.model, id);
    }
}

/// It keeps its lease; it is asked again after a while, unless by then nobody waits.
pub(crate) fn on_drain_cancelled(core: &mut Core, id: TenantId, lease: LeaseId) {
    core.model.mark_dirty(id);
    let now = core.model.now;
    let Some(lease) = core.model.answered_lease(id, lease) else { return };
    let Some(revocation) = lease.revocation.as_mut() else { return };
    lease.idle_since = None;
    if matches!(revocation.step, Step::Cancelled(_)) {
        return;
    }
    revocation.cancelled_drains = revocation.cancelled_drains.saturating_add(1);
    revocation.step = Step::Cancelled(now.saturating_add(revocation.backoff()));
    migration::cancel_eviction(&mut core.model, id);
    leases::enter_phase(core, id, SpanKind::Run, nvshare_protocol::Bytes::ZERO);
}
