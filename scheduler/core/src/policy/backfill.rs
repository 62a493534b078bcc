//! Backfill: while a tenant with several devices waits for one of them, those behind it have turns at the others, as
//! long as these turns end before it could begin.
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::plan::Plan;
use crate::model::queue_key::QueueKey;
use crate::model::tenant::Tenant;
use crate::policy::{admission, quantum};
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeMap;

/// At each device, the plan has at most this many tenants with several devices. Those behind them keep nobody waiting.
const PLANNED_HEADS: usize = 8;

/// At most this many single-device tenants are tried for one whose turn fits into a gap.
const CANDIDATES: usize = 8;

/// Times of a device that are reserved for tenants with several.
#[derive(Clone, Debug, Default)]
struct Timeline {
    reserved: Vec<(Nanos, Nanos)>,
    next: Option<(Nanos, TenantId)>,
}

/// Which tenant is next at the device.
pub(crate) fn next_at(model: &Model, device: DeviceId) -> Option<TenantId> {
    let single = || Some(model.devices.get(&device)?.queue().single.first()?.1);
    let Some(&(_, planned)) = model.plan.0.get(&device) else { return single() };
    Some(backfill_candidate(model, device).map_or(planned, |(id, _)| id))
}

/// The first single-device tenant whose turn is over before the reservation begins, and until when it could begin.
fn backfill_candidate(model: &Model, device: DeviceId) -> Option<(TenantId, Nanos)> {
    let (start, planned) = model.plan.0.get(&device)?;
    if model.tenants.get(planned).is_some_and(|tenant| tenant.goes_first) {
        // One that could not end its work either would be in its way for good.
        return None;
    }
    let singles = model.devices.get(&device)?.queue().single.iter().take(CANDIDATES);
    let mut until = singles.filter_map(|(_, id)| {
        Some((*id, start.saturating_sub(turn_duration(model, model.tenants.get(id)?))))
    });
    until.find(|(id, until)| earliest_start(model, *id) < *until)
}

/// From when on the candidate's turn does not fit any more.
pub(crate) fn backfill_until(model: &Model, device: DeviceId) -> Option<Nanos> {
    backfill_candidate(model, device).map(|(_, until)| until)
}

/// How long a turn of the tenant takes, hand-overs included.
fn turn_duration(model: &Model, tenant: &Tenant) -> Nanos {
    let cost = tenant.devices.keys().filter_map(|device| Some(model.devices.get(device)?.cost()));
    quantum::tenant_quantum(model, tenant).saturating_add(cost.max().unwrap_or_default())
}

/// The tenants with several devices that are among the first at each of these, in their order.
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
    let mut timelines: BTreeMap<DeviceId, Timeline> = BTreeMap::new();
    for id in planned_heads(model) {
        let Some(tenant) = model.tenants.get(&id) else { continue };
        let duration = turn_duration(model, tenant);
        let mut start = earliest_start(model, id);
        let taken = |start: Nanos| {
            let turns =
                tenant.devices.keys().filter_map(|device| timelines.get(device)).flat_map(|at| &at.reserved);
            let overlap = turns.filter(|turn| start < turn.1 && turn.0 <= start.saturating_add(duration));
            overlap.map(|turn| turn.1).min()
        };
        while let Some(end) = taken(start) {
            start = end;
        }
        for device in tenant.devices.keys() {
            let at = timelines.entry(*device).or_default();
            at.reserved.push((start, start.saturating_add(duration)));
            at.next = at.next.filter(|(first, _)| *first <= start).or(Some((start, id)));
        }
    }
    Plan(timelines.into_iter().filter_map(|(device, at)| Some((device, at.next?))).collect())
}

/// When all holders in the tenant's way have had their turns. Now, if that is not known: one of them still waits for
/// memory.
fn earliest_start(model: &Model, id: TenantId) -> Nanos {
    let conflicting = admission::conflicting_holders(model, id);
    let runs = |other: &TenantId| model.lease(*other).is_some_and(|lease| lease.ready_at.is_some());
    let preemptible_at =
        admission::earliest_preemption(model, id, &conflicting).filter(|_| conflicting.iter().all(runs));
    preemptible_at.map_or(model.now, |at| at.max(model.now))
}
