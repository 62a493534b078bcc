//! Why a tenant that asks for a turn does not have it, for people.
use crate::memory::{budget, capacity, headroom};
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::request::{Request, Throttle, Wait};
use crate::model::tenant::Tenant;
use crate::policy::{admission, quantum, run_queue};
use nvshare_protocol::{Bytes, DeviceId, Nanos};

/// Why a request is not granted now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// An operator has paused the tenant.
    Paused,
    /// Its process is stopped.
    Stopped,
    /// It has named no device yet.
    NoDevice,
    /// Its quota of time is used up, until then.
    Quota { until: Nanos },
    /// Its owner's tenants have kept a device from others for too long; at the latest until then.
    Debt { until: Nanos },
    /// It cannot fit on the device, whoever leaves. `usable`: what tenants may have there; `kept`: by whom how much
    /// cannot be moved out, the most first, at most three; `outside`: what external processes use.
    NoRoom { device: DeviceId, wants: Bytes, usable: Bytes, kept: Vec<(TenantId, Bytes)>, outside: Bytes },
    /// The scheduler has started, and those that held before come first, until then.
    Restart { until: Nanos },
    /// Others are before it in the queue of this device.
    Queue { device: DeviceId, ahead: usize },
    /// It is next: these hold what it needs.
    Turns { holders: Vec<TenantId> },
    /// It is next, nobody holds what it needs, and others are moving their memory out.
    Room,
}

/// The wait of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitView {
    pub since: Nanos,
    pub reason: WaitReason,
    /// When its turn can be expected, if all keep to their turns; none: nothing says so.
    pub expected: Option<Nanos>,
    /// When it comes before tenants of higher priority, which are before it now.
    pub promoted: Option<Nanos>,
}

/// Where each tenant stands in the queues of the devices, counted from 0.
pub(crate) type Positions = std::collections::BTreeMap<(DeviceId, TenantId), usize>;

pub(crate) fn positions(model: &Model) -> Positions {
    let queues = model.devices.iter();
    let entries = queues.flat_map(|(device, at)| {
        at.queue().in_order().enumerate().map(|(position, (_, tenant))| ((*device, tenant), position))
    });
    entries.collect()
}

/// None: the tenant does not wait.
pub(crate) fn view(model: &Model, id: TenantId, positions: &Positions) -> Option<WaitView> {
    let tenant = model.tenants.get(&id)?;
    let request = tenant.request()?;
    let (reason, expected) = reason(model, id, (tenant, request), positions);
    let promoted = promoted_at(model, tenant, request);
    Some(WaitView { since: request.since, reason, expected, promoted })
}

fn reason(
    model: &Model,
    id: TenantId,
    (tenant, request): (&Tenant, &Request),
    positions: &Positions,
) -> (WaitReason, Option<Nanos>) {
    match request.wait {
        Wait::Paused { .. } => return (WaitReason::Paused, None),
        _ if tenant.is_stopped => return (WaitReason::Stopped, None),
        Wait::Throttled { until, why: Throttle::Quota, .. } => {
            return (WaitReason::Quota { until }, Some(until));
        }
        Wait::Throttled { until, why: Throttle::Debt, .. } => {
            return (WaitReason::Debt { until }, Some(until));
        }
        Wait::Parked => return (no_room(model, id, tenant), None),
        Wait::Queued => {}
    }
    if tenant.devices.is_empty() {
        return (WaitReason::NoDevice, None);
    }
    let ahead = tenant.devices.keys().filter_map(|device| Some((*device, *positions.get(&(*device, id))?)));
    if !run_queue::is_next(model, id)
        && let Some((device, ahead)) = ahead.max_by_key(|(_, ahead)| *ahead)
    {
        return (WaitReason::Queue { device, ahead }, queue_ends(model, id, device, ahead));
    }
    if let Some(until) = admission::grace_until(model, id) {
        return (WaitReason::Restart { until }, Some(until));
    }
    let holders = admission::conflicting_holders(model, id);
    if !holders.is_empty() {
        let end = admission::earliest_preemption(model, id, &holders).unwrap_or(model.now);
        return (WaitReason::Turns { holders: holders.into_iter().collect() }, Some(model.now.max(end)));
    }
    if headroom::awaits_evictions(model, id) || budget::lacks_room(model, id) {
        return (WaitReason::Room, Some(model.now));
    }
    (
        WaitReason::Queue { device: *tenant.devices.keys().next().unwrap_or(&DeviceId::default()), ahead: 0 },
        None,
    )
}

/// What is in the way of a tenant that is parked: on the first device where it cannot fit.
fn no_room(model: &Model, id: TenantId, tenant: &Tenant) -> WaitReason {
    let lacks_room = |device: &&DeviceId| !headroom::can_ever_fit_on(model, id, **device);
    let device = tenant.devices.keys().find(lacks_room).or_else(|| tenant.devices.keys().next());
    let Some(&device) = device else { return WaitReason::NoDevice };
    let (wants, usable, kept) = shortage(model, id, device);
    WaitReason::NoRoom { device, wants, usable, kept, outside: model.devices[&device].external }
}

/// What the tenant wants on the device, what tenants may have there, and who keeps how much of it, the most first, at
/// most three.
pub(crate) fn shortage(
    model: &Model,
    id: TenantId,
    device: DeviceId,
) -> (Bytes, Bytes, Vec<(TenantId, Bytes)>) {
    let others = model.devices[&device].index().by_unevictable.iter().rev().filter(|(_, other)| *other != id);
    let kept = others.take(3).map(|(bytes, other)| (*other, *bytes)).collect();
    let wants = model.memory_of(id, device).allocated;
    (wants, capacity::usable_for(model, model.facts(id, device), device), kept)
}

/// When the turns of the holders and of those ahead are over, if each lasts as long as it may.
fn queue_ends(model: &Model, id: TenantId, device: DeviceId, ahead: usize) -> Option<Nanos> {
    let at = model.devices.get(&device)?;
    let holders = admission::conflicting_holders(model, id);
    let holds_until = admission::earliest_preemption(model, id, &holders).unwrap_or(model.now);
    let turn = quantum::device_quantum(model, Some(device)).saturating_add(at.cost());
    let ahead = u64::try_from(ahead).unwrap_or(u64::MAX);
    Some(holds_until.max(model.now).saturating_add(Nanos(turn.0.saturating_mul(ahead))))
}

/// When it will have starved, if tenants of higher priority are before it at one of its devices.
fn promoted_at(model: &Model, tenant: &Tenant, request: &Request) -> Option<Nanos> {
    let outranked = |device: &DeviceId| {
        model.devices.get(device).is_some_and(|at| {
            let waits = at.queue().first_key().map(|key| key.priority());
            let holds = at.index().preemption_order.last().filter(|turn| turn.0).map(|turn| turn.1);
            waits.max(holds) > Some(request.priority)
        })
    };
    let is_queued = request.wait == Wait::Queued && !request.starved;
    (is_queued && tenant.devices.keys().any(outranked))
        .then(|| request.requested_at.saturating_add(model.settings().starvation))
}
