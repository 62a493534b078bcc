//! Decides about all devices that are dirty: revocations that are overdue, grants, preemption, and memory beside the
//! turns.
use crate::engine::state::Engine;
use crate::engine::{
    contention, leases, migration, quarantine, queueing, refusals, rounds, starvation, throttle, trust,
};
use crate::event::Stuck;
use crate::memory::{budget, headroom, prefetch};
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::lease::{Lease, TurnState};
use crate::model::plan::Plan;
use crate::policy::{admission, backfill, families, grants, revocations, run_queue, timers};
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

/// Makes the backfill plan anew if something has changed at one of these devices: when each tenant with several devices
/// could begin, in their order, as early as possible without delaying one before it. Devices for which the plan has
/// changed are added to these.
fn replan(model: &mut Model, devices: &mut BTreeSet<DeviceId>) {
    let waits = |device: &DeviceId| model.devices.get(device).is_some_and(|at| !at.queue().heads.is_empty());
    if !devices.iter().any(|device| waits(device) || model.plan.0.contains_key(device)) {
        return;
    }
    let plan = backfill::compute_plan(model);
    let before = std::mem::replace(&mut model.plan, plan);
    let both = || model.plan.0.keys().chain(before.0.keys());
    let entry = |plan: &Plan, device| plan.0.get(device).copied();
    let changed = both().filter(|device| entry(&model.plan, device) != entry(&before, device));
    devices.extend(changed.copied().collect::<Vec<_>>());
    // Whether one of them is next depends on all of its devices.
    let planned = devices.iter().flat_map(|device| [entry(&model.plan, device), entry(&before, device)]);
    let planned: BTreeSet<TenantId> = planned.flatten().map(|(_, id)| id).collect();
    let theirs = planned.iter().filter_map(|id| model.tenants.get(id));
    devices.extend(theirs.flat_map(|tenant| tenant.devices.keys()));
}

/// Time has passed: what fell due is decided after every event.
pub(crate) fn on_tick(_: &mut Model) {}

/// Decides everything that can be decided at this time.
pub(crate) fn schedule(engine: &mut Engine) {
    while let Some(mut devices) = engine.model.take_dirty() {
        for id in engine.model.collect_at(&devices, |index| &index.revoked) {
            check_revocation(engine, id);
        }
        let doubtful = devices.iter().filter_map(|device| engine.model.devices.get(device));
        let news = doubtful.into_iter().any(|device| device.index().have_due(engine.model.now));
        if news {
            refusals::expire_unaccounted(&mut engine.model, &devices);
            trust::expire_trust(&mut engine.model, &devices);
        }
        migration::expire_evictions(&mut engine.model, &devices);
        queueing::unpark_fitting(&mut engine.model, &devices);
        throttle::unthrottle_due(&mut engine.model, &devices);
        throttle::release_idle_debtors(&mut engine.model, &devices);
        starvation::promote_starved(&mut engine.model, &devices);
        for id in engine.model.collect_at(&devices, |index| &index.with_quota) {
            throttle::enforce_quota(engine, id);
        }
        replan(&mut engine.model, &mut devices);
        while run_queue::next_tenants(&engine.model, &devices).into_iter().any(|id| try_grant(engine, id)) {
            replan(&mut engine.model, &mut devices);
        }
        if news {
            quarantine::quarantine_lifeless(engine, &devices);
        }
        contention::notify_contention(engine, &devices);
        migration::run_deferred_evictions(engine);
        for id in run_queue::next_tenants(&engine.model, &devices) {
            preempt_for(engine, id);
        }
        let lacking = engine.model.collect_at(&devices, |index| &index.lacking);
        lacking.into_iter().for_each(|id| migration::serve_growth(engine, id));
        for device in devices {
            engine.model.set_timer(device, timers::next_timer(&engine.model, device));
        }
    }
}

/// Does with the request of the tenant, which is next, what [`grants::verdict`] says. True: it was granted, parked or
/// throttled, and others may be next.
fn try_grant(engine: &mut Engine, id: TenantId) -> bool {
    let verdict = grants::verdict(&engine.model, id);
    match verdict {
        grants::Verdict::Wait => return false,
        grants::Verdict::Throttle { until, why } => {
            throttle::throttle(&mut engine.model, id, until, why);
            return true;
        }
        _ => trust::note_blocked_by_claims(&mut engine.model, id),
    }
    if verdict == grants::Verdict::Park {
        queueing::park(engine, id);
        return true;
    }
    let is_clear = verdict == grants::Verdict::Clear;
    note_unblocked(&mut engine.model, id, is_clear);
    if !is_clear {
        return false;
    }
    migration::reclaim_for(engine, id);
    let model = &mut engine.model;
    let swaps = model.tenants[&id].swaps;
    if headroom::awaits_evictions(model, id) || swaps && budget::lacks_room(model, id) {
        if timers::room_deadline(model, id).is_some_and(|at| at > model.now) {
            return false;
        }
        if swaps {
            trust::ignore_claims(model, id);
        }
    }
    leases::grant(engine, id);
    true
}

/// Since when nobody is in the tenant's way is remembered, as long as nobody is.
fn note_unblocked(model: &mut Model, id: TenantId, is_clear: bool) {
    let now = model.now;
    if model.request(id).is_some_and(|request| request.unblocked_since.is_some() != is_clear) {
        model.set_unblocked(id, is_clear.then_some(now));
    }
}

/// Does with a revoked lease what [`revocations::verdict`] says.
fn check_revocation(engine: &mut Engine, id: TenantId) {
    match revocations::verdict(&engine.model, id) {
        revocations::Verdict::Wait => {}
        revocations::Verdict::GoOn => {
            engine.model.update_lease(id, |lease| lease.state = TurnState::Running);
        }
        revocations::Verdict::Due { quarantine, retry } => {
            if let Some(why) = quarantine {
                if why == Stuck::CannotDrain && families::has_waiting_kin(&engine.model, id) {
                    families::stall(&mut engine.model, id);
                }
                leases::quarantine(engine, id, why);
            }
            if retry {
                leases::revoke(engine, id);
            }
        }
    }
}

/// Revokes the holders in this tenant's way as soon as all of them have had their turns, and lets the tenant prefetch
/// meanwhile.
fn preempt_for(engine: &mut Engine, id: TenantId) {
    let conflicting = admission::conflicting_holders(&engine.model, id);
    if conflicting.is_empty() && admission::grace_until(&engine.model, id).is_some() {
        return;
    }
    let preemptible_at = admission::earliest_preemption(&engine.model, id, &conflicting);
    if engine.model.settings().overlap {
        migration::reclaim_for(engine, id);
    }
    let now = engine.model.now;
    if prefetch::prefetch_starts_at(&engine.model, id, preemptible_at).is_some_and(|at| at <= now) {
        migration::prefetch(engine, id);
    }
    if preemptible_at.is_none_or(|at| at > now) {
        return;
    }
    // The holders that leave for it stand behind it when they ask again.
    rounds::mark_served(&mut engine.model, id);
    for holder in conflicting {
        if engine.model.lease(holder).is_none_or(Lease::is_revoked) {
            continue;
        }
        leases::preempt(engine, holder);
    }
}
