//! Backfill: a tenant that needs several devices and waits for one of them keeps the others free only for the last turns
//! that fit. Until then those behind it have turns there that end before it could begin.
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::plan::Plan;
use crate::model::queue_key::QueueKey;
use crate::model::tenant::Tenant;
use crate::policy::{admission, quantum};
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeMap;

/// When they could begin is planned for so many tenants with several devices at each of these. Those behind them are in
/// nobody's way.
const PLANNED_HEADS: usize = 8;

/// So many of those that use a device alone are looked at for one whose turn fits into a gap.
const CANDIDATES: usize = 8;

/// The times of a device that are kept for tenants with several.
#[derive(Clone, Debug, Default)]
struct Timeline {
    reserved: Vec<(Nanos, Nanos)>,
    next: Option<(Nanos, TenantId)>,
}

/// Who is to have the device next.
pub(crate) fn next_at(model: &Model, device: DeviceId) -> Option<TenantId> {
    let single = || Some(model.devices.get(&device)?.queue().single.first()?.1);
    let Some(&(_, planned)) = model.plan.0.get(&device) else { return single() };
    Some(backfill_candidate(model, device).map_or(planned, |(id, _)| id))
}

/// The first of those that use the device alone whose turn is over before the next one of those that use several begins,
/// and until when it could begin itself.
fn backfill_candidate(model: &Model, device: DeviceId) -> Option<(TenantId, Nanos)> {
    let (start, _) = model.plan.0.get(&device)?;
    let singles = model.devices.get(&device)?.queue().single.iter().take(CANDIDATES);
    let mut until = singles.filter_map(|(_, id)| {
        Some((*id, start.saturating_sub(turn_duration(model, model.tenants.get(id)?))))
    });
    until.find(|(id, until)| earliest_start(model, *id) < *until)
}

/// From when on the turn of the one that goes first does not fit any more.
pub(crate) fn backfill_until(model: &Model, device: DeviceId) -> Option<Nanos> {
    backfill_candidate(model, device).map(|(_, until)| until)
}

/// How long a turn of the tenant's takes, hand-overs included.
fn turn_duration(model: &Model, tenant: &Tenant) -> Nanos {
    let cost = tenant.devices.keys().filter_map(|device| Some(model.devices.get(device)?.cost()));
    quantum::tenant_quantum(model, tenant).saturating_add(cost.max().unwrap_or_default())
}

/// Those who are among the first at each of their devices, in their order.
fn planned_heads(model: &Model) -> Vec<TenantId> {
    let mut places: BTreeMap<(QueueKey, TenantId), usize> = BTreeMap::new();
    let waited_for = model.devices.values().filter(|at| !at.queue().heads.is_empty());
    for entry in waited_for.flat_map(|at| at.queue().heads.iter().take(PLANNED_HEADS)) {
        *places.entry(*entry).or_default() += 1;
    }
    let is_first = |id: &TenantId, at: usize| model.tenants.get(id).is_some_and(|of| of.devices.len() == at);
    places.into_iter().filter(|((_, id), at)| is_first(id, *at)).map(|((_, id), _)| id).collect()
}

pub(crate) fn compute_plan(model: &Model) -> Plan {
    let mut kept: BTreeMap<DeviceId, Timeline> = BTreeMap::new();
    for id in planned_heads(model) {
        let Some(tenant) = model.tenants.get(&id) else { continue };
        let lasts = turn_duration(model, tenant);
        let mut start = earliest_start(model, id);
        let taken = |start: Nanos| {
            let turns =
                tenant.devices.keys().filter_map(|device| kept.get(device)).flat_map(|at| &at.reserved);
            let overlap = turns.filter(|turn| start < turn.1 && turn.0 <= start.saturating_add(lasts));
            overlap.map(|turn| turn.1).min()
        };
        while let Some(end) = taken(start) {
            start = end;
        }
        for device in tenant.devices.keys() {
            let at = kept.entry(*device).or_default();
            at.reserved.push((start, start.saturating_add(lasts)));
            at.next = at.next.filter(|(first, _)| *first <= start).or(Some((start, id)));
        }
    }
    Plan(kept.into_iter().filter_map(|(device, at)| Some((device, at.next?))).collect())
}

/// When all who are in the tenant's way have had their turns. While one of them still waits for its memory nobody knows.
fn earliest_start(model: &Model, id: TenantId) -> Nanos {
    let way = admission::conflicting_holders(model, id);
    let runs = |other: &TenantId| model.lease(*other).is_some_and(|lease| lease.ready_at.is_some());
    let clear_at = admission::earliest_preemption(model, id, &way).filter(|_| way.iter().all(runs));
    clear_at.map_or(model.now, |at| at.max(model.now))
}
