//! The driver refuses memory that should be free: something took it that nobody told of.
use crate::engine::growth;
use crate::engine::state::Engine;
use crate::memory::{capacity, headroom};
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::report::Unaccounted;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::BTreeSet;

/// For how long a refusal is believed, the first time and at most: each time that it comes again soon after that, for
/// twice as long. The first may have met memory that was only on its way out, or tenants that had not come back yet.
pub const UNACCOUNTED_FOR: (Nanos, Nanos) = (Nanos::from_millis(5_000), Nanos::from_millis(320_000));

/// The driver gives physical memory in multiples of this (every device so far).
const GRANULE: Bytes = Bytes(2 << 20);

/// The driver refused at least this many bytes: less than that is free.
pub(crate) fn on_memory_refused(engine: &mut Engine, id: TenantId, device: DeviceId, bytes: Bytes) {
    if bytes == Bytes::ZERO || !engine.model.tenants.get(&id).is_some_and(|t| t.devices.contains_key(&device))
    {
        return;
    }
    // Ahead of its turn it may have met memory that others are evicting. It is told to prefetch again when there is
    // more room.
    let others_evict = engine.model.devices[&device].index().evicting.iter().any(|other| *other != id);
    if others_evict && engine.model.lease(id).is_none() {
        return;
    }
    record_refusal(engine, id, device, bytes);
    // What it was told to prefetch beyond that has not come. It is told again when there is room.
    let most = engine.model.memory_of(id, device).resident.saturating_add(headroom::free_for(
        &engine.model,
        id,
        device,
    ));
    if engine.model.tenants[&id].prefetch.contains_key(&device) {
        engine.model.update(id, |tenant| {
            tenant.prefetch.entry(device).and_modify(|told| *told = most.min(*told));
        });
    }
}

/// What was believed to be free beyond that counts as taken, for this tenant and for a while.
fn record_refusal(engine: &mut Engine, id: TenantId, device: DeviceId, bytes: Bytes) {
    let model = &mut engine.model;
    let (now, free) = (model.now, headroom::free_for(model, id, device));
    let capacity = model.devices.get(&device).map_or(Bytes::ZERO, |at| at.capacity);
    let known = unaccounted_of(model, id, device).filter(|_| free >= bytes);
    let Some(Unaccounted { bytes: before, until, lasts }) = known else {
        return;
    };
    let more = free.saturating_sub(bytes).saturating_add(GRANULE);
    let lasts = if now < until {
        lasts
    } else if lasts > Nanos::ZERO && now < until.saturating_add(lasts) {
        Nanos(lasts.0.saturating_mul(2)).min(UNACCOUNTED_FOR.1)
    } else {
        UNACCOUNTED_FOR.0
    };
    let bytes = before.saturating_add(more).min(capacity);
    set_unaccounted(model, id, device, Unaccounted { bytes, until: now.saturating_add(lasts), lasts });
    growth::resolve_growth(engine, id, device);
}

fn unaccounted_of(model: &Model, id: TenantId, device: DeviceId) -> Option<Unaccounted> {
    Some(model.tenants.get(&id)?.reports.get(&device)?.unaccounted)
}

fn set_unaccounted(model: &mut Model, id: TenantId, device: DeviceId, unaccounted: Unaccounted) {
    model.update(id, |tenant| {
        tenant.reports.entry(device).and_modify(|report| report.unaccounted = unaccounted);
    });
}

/// What is there of the tenant itself is taken by nobody else.
pub(crate) fn cap_unaccounted(model: &mut Model, id: TenantId, device: DeviceId) {
    let most = capacity::usable_on(model, device).saturating_sub(model.memory_of(id, device).resident);
    let unaccounted = unaccounted_of(model, id, device).filter(|unaccounted| unaccounted.bytes > most);
    if let Some(unaccounted) = unaccounted {
        set_unaccounted(model, id, device, Unaccounted { bytes: most, ..unaccounted });
    }
}

/// Refusals that were believed for long enough are forgotten.
pub(crate) fn expire_unaccounted(model: &mut Model, devices: &BTreeSet<DeviceId>) {
    for &device in devices {
        while let Some(&(at, id)) =
            model.devices.get(&device).and_then(|at| at.index().unaccounted_timers.first())
            && at <= model.now
        {
            forget_unaccounted(model, id, device);
        }
    }
}

/// A tenant that has used the device is gone, and its context with it: all refusals there are forgotten.
pub(crate) fn forget_unaccounted_on(model: &mut Model, device: DeviceId) {
    let believers = model.devices.get(&device).into_iter().flat_map(|at| &at.index().unaccounted_timers);
    let believers: Vec<TenantId> = believers.map(|(_, id)| *id).collect();
    believers.into_iter().for_each(|id| forget_unaccounted(model, id, device));
}

fn forget_unaccounted(model: &mut Model, id: TenantId, device: DeviceId) {
    if let Some(unaccounted) = unaccounted_of(model, id, device) {
        set_unaccounted(model, id, device, Unaccounted { bytes: Bytes::ZERO, ..unaccounted });
    }
}
