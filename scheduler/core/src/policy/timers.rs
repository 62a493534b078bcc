//! When a device has to be looked at again without anything happening.
use crate::memory::prefetch;
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::policy::{admission, backfill, bandwidth, families, priority, run_queue};
use nvshare_protocol::{DeviceId, Nanos};

/// A tenant that ignores claims waits this many times less long for the evictions of others, whatever these report.
const TRIAL_WAIT_DIVISOR: u64 = 25;

/// When the device has to be looked at without anything happening.
pub(crate) fn next_timer(model: &Model, id: DeviceId) -> Option<Nanos> {
    let device = model.devices.get(&id)?;
    let leases =
        device.index().revoked.iter().filter_map(|&id| model.lease(id)?.next_timer(model.settings()));
    let evictions =
        device.index().evicting.iter().filter_map(|id| Some(model.tenants.get(id)?.eviction?.expires_at()));
    let next = backfill::next_at(model, id).filter(|id| run_queue::is_next(model, *id)).into_iter();
    let turns = next.flat_map(|id| {
        let preemptible_at =
            admission::earliest_preemption(model, id, &admission::conflicting_holders(model, id));
        let fetch = prefetch::prefetch_starts_at(model, id, preemptible_at).filter(|at| *at > model.now);
        let room = room_deadline(model, id).filter(|at| *at > model.now);
        let begins = admission::grace_until(model, id).max(families::stalled_until(model, id));
        preemptible_at.into_iter().chain(fetch).chain(room).chain(begins)
    });
    let refusals = device.index().unaccounted_timers.first().map(|(at, _)| *at);
    let trust = device.index().trust_timers.first().map(|(at, _)| *at);
    // A holder that nobody waits for may take its time.
    let liveness = device
        .index()
        .liveness_timers
        .first()
        .filter(|(at, _)| !device.queue().is_empty() && *at > model.now);
    let liveness = liveness.map(|(at, _)| *at);
    let starvation = priority::starves_at(model, id);
    let unthrottled = device.index().throttled.first().map(|(at, _)| *at);
    let used_up = device.index().with_quota.iter().filter_map(|id| bandwidth::quota_used_up_at(model, *id));
    let rules = starvation.into_iter().chain(unthrottled).chain(used_up);
    let turns = turns.chain(backfill::backfill_until(model, id));
    leases.chain(evictions).chain(turns).chain(refusals).chain(trust).chain(liveness).chain(rules).min()
}

/// Until when the tenant waits for the evictions of others, with no holder in its way: as long as memory leaves, within
/// a bound. A tenant that ignores claims has learned that evictions are announced that do not happen.
pub(crate) fn room_deadline(model: &Model, id: TenantId) -> Option<Nanos> {
    let tenant = model.tenants.get(&id)?;
    let clear = tenant.request()?.unblocked_since?;
    if tenant.trust.ignores_claims {
        return Some(clear.saturating_add(Nanos(model.settings().silence.0 / TRIAL_WAIT_DIVISOR)));
    }
    let last_evicted =
        tenant.devices.keys().map(|device| model.devices[device].last_evicted).max().unwrap_or_default();
    let liveness = clear.max(last_evicted).saturating_add(model.settings().silence);
    Some(liveness.min(clear.saturating_add(model.settings().evict_bound)))
}
