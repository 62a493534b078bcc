//! What time brings: turns that end, answers that do not come, and who goes on then.
use crate::Core;
use crate::engine::{
    contention, leases, migration, quarantine, queueing, refusals, rounds, starvation, throttle, trust,
};
use crate::event::Stuck;
use crate::memory::{budget, headroom, prefetch};
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::lease::Step;
use crate::model::plan::Plan;
use crate::model::tenant::Stage;
use crate::policy::{admission, backfill, bandwidth, fairness, run_queue, timers};
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

/// When those with several devices that nobody with one stands before could begin, in their order: each as early as it
/// can without putting off one before it. To be made anew when something has changed at one of the devices; those about
/// which something else is to be decided then are added to these.
fn replan(model: &mut Model, devices: &mut BTreeSet<DeviceId>) {
    let waits = |device: &DeviceId| model.devices.get(device).is_some_and(|at| !at.queue.heads.is_empty());
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

/// Decides all that can be decided at this time.
pub(crate) fn schedule(core: &mut Core) {
    while let Some(mut devices) = core.model.take_dirty() {
        for id in core.model.collect_at(&devices, |standings| &standings.revoked) {
            check_revocation(core, id);
        }
        let doubtful = devices.iter().filter_map(|device| core.model.devices.get(device));
        let news = doubtful.into_iter().any(|device| device.index.have_due(core.model.now));
        if news {
            refusals::expire_unaccounted(&mut core.model, &devices);
            trust::expire_trust(&mut core.model, &devices);
        }
        migration::expire_evictions(&mut core.model, &devices);
        queueing::unpark_fitting(&mut core.model, &devices);
        throttle::unthrottle_due(&mut core.model, &devices);
        throttle::release_idle_debtors(&mut core.model, &devices);
        starvation::promote_starved(&mut core.model, &devices);
        for id in core.model.collect_at(&devices, |standings| &standings.with_quota) {
            throttle::enforce_quota(core, id);
        }
        replan(&mut core.model, &mut devices);
        while run_queue::next_tenants(&core.model, &devices).into_iter().any(|id| try_grant(core, id)) {
            replan(&mut core.model, &mut devices);
        }
        if news {
            quarantine::quarantine_lifeless(core, &devices);
        }
        contention::notify_contention(core, &devices);
        migration::run_deferred_evictions(core);
        for id in run_queue::next_tenants(&core.model, &devices) {
            preempt_for(core, id);
        }
        let lacking = core.model.collect_at(&devices, |standings| &standings.lacking);
        lacking.into_iter().for_each(|id| migration::serve_growth(core, id));
        for device in devices {
            core.model.set_timer(device, timers::next_timer(&core.model, device));
        }
    }
}

/// Whether the tenant that is next could be granted its devices, and has been.
fn try_grant(core: &mut Core, id: TenantId) -> bool {
    if admission::grace_until(&core.model, id).is_some() {
        return false;
    }
    let (quota, debt) =
        (bandwidth::quota_blocks_until(&core.model, id), fairness::debt_blocks_until(&core.model, id));
    if let Some(until) = quota.max(debt) {
        throttle::throttle(&mut core.model, id, until, debt > quota);
        return true;
    }
    trust::note_blocked_by_claims(&mut core.model, id);
    let swaps = core.model.tenants.get(&id).is_some_and(|tenant| tenant.swaps);
    if swaps && !headroom::can_ever_fit(&core.model, id) {
        queueing::park(core, id);
        return true;
    }
    let (now, clear) = (core.model.now, admission::conflicting_holders(&core.model, id).is_empty());
    let Some(Stage::Waiting(request)) = core.model.tenants.get_mut(&id).map(|t| &mut t.stage) else {
        return false;
    };
    request.unblocked_since = request.unblocked_since.or(Some(now)).filter(|_| clear);
    if !clear {
        return false;
    }
    migration::reclaim_for(core, id);
    if headroom::awaits_evictions(&core.model, id) || swaps && budget::lacks_room(&core.model, id) {
        if timers::room_deadline(&core.model, id).is_some_and(|at| at > now) {
            return false;
        }
        if swaps {
            trust::ignore_claims(&mut core.model, id);
        }
    }
    leases::grant(core, id);
    true
}

/// A lease whose revocation waits for an answer, or for another attempt.
fn check_revocation(core: &mut Core, id: TenantId) {
    let Some(lease) = core.model.lease(id) else { return };
    let Some(revocation) = lease.revocation else { return };
    let stuck = lease.unresponsive;
    let must_leave = lease.devices.len() < core.model.tenants[&id].devices.len();
    let outgrown = lease.devices.iter().any(|device| admission::is_overcommitted(&core.model, *device));
    let nobody_waits = !must_leave && !outgrown && !admission::is_contended(&core.model, lease);
    let due = lease.next_timer(&core.model.settings).is_some_and(|due| due <= core.model.now);
    match revocation.step {
        Step::Cancelled(_) if nobody_waits => {
            if let Some(lease) = core.model.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut()) {
                lease.revocation = None;
            }
            core.model.reindex(id);
            return;
        }
        _ if !due => return,
        _ if stuck => {}
        Step::Asked(_) if revocation.cancelled_drains == 0 => leases::quarantine(core, id, Stuck::NoAnswer),
        _ if revocation.first_at.saturating_add(core.model.settings.patience) <= core.model.now => {
            leases::quarantine(core, id, Stuck::CannotDrain);
        }
        Step::Asked(_) => leases::quarantine(core, id, Stuck::NoAnswer),
        Step::Cancelled(_) => {}
    }
    if matches!(revocation.step, Step::Cancelled(retry) if retry <= core.model.now) {
        leases::revoke(core, id);
    }
}

/// Revokes the holders in this tenant's way as soon as all of them have had their turn, and lets it bring in what
/// it can meanwhile.
fn preempt_for(core: &mut Core, id: TenantId) {
    let way = admission::conflicting_holders(&core.model, id);
    if way.is_empty() && admission::grace_until(&core.model, id).is_some() {
        return;
    }
    let clear_at = admission::earliest_preemption(&core.model, id, &way);
    if core.model.settings.overlap {
        migration::reclaim_for(core, id);
    }
    if prefetch::prefetch_starts_at(&core.model, id, clear_at).is_some_and(|at| at <= core.model.now) {
        migration::prefetch(core, id);
    }
    if clear_at.is_none_or(|at| at > core.model.now) {
        return;
    }
    // Those that leave for it stand behind it when they ask again.
    if let Some(Stage::Waiting(request)) = core.model.tenants.get(&id).map(|tenant| &tenant.stage) {
        let place = request.key;
        rounds::mark_served(&mut core.model, id, place);
    }
    for holder in way {
        let now = core.model.now;
        let lease = core.model.tenants.get_mut(&holder).and_then(|tenant| tenant.lease_mut());
        let Some(lease) = lease.filter(|lease| lease.revocation.is_none()) else { continue };
        lease.remaining = lease.turn_end().saturating_sub(now);
        lease.went_idle |= lease.idle_since.is_some();
        leases::revoke(core, holder);
    }
}
