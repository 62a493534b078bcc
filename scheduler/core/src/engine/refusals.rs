//! The driver refuses memory that should be free: something took it that nobody told of.
use crate::Core;
use crate::engine::growth;
use crate::memory::{budget, headroom};
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

/// The driver refused memory of at least so many bytes: less than that is free.
pub(crate) fn on_memory_refused(core: &mut Core, id: TenantId, device: DeviceId, bytes: Bytes) {
    if bytes == Bytes::ZERO || !core.model.tenants.get(&id).is_some_and(|t| t.devices.contains_key(&device)) {
        return;
    }
    // Ahead of its turn it may have met memory that is only on its way out. It is told again when there is more room.
    let leaves = core.model.devices[&device].index.evicting.iter().any(|other| *other != id);
    if leaves && core.model.lease(id).is_none() {
        return;
    }
    record_refusal(core, id, device, bytes);
    // What it was told to bring in beyond that has not come. It is told again when there is room.
    let most =
        core.model.memory_of(id, device).resident.saturating_add(headroom::free_for(&core.model, id, device));
    if let Some(told) = core.model.tenants.get_mut(&id).and_then(|tenant| tenant.prefetch.get_mut(&device)) {
        *told = most.min(*told);
        core.model.reindex(id);
    }
}

fn record_refusal(core: &mut Core, id: TenantId, device: DeviceId, bytes: Bytes) {
    let (now, free) = (core.model.now, headroom::free_for(&core.model, id, device));
    let capacity = core.model.devices.get(&device).map_or(Bytes::ZERO, |at| at.capacity);
    let Some(tenant) = core.model.tenants.get_mut(&id).filter(|_| free >= bytes) else { return };
    let Some(unseen) = tenant.reports.get_mut(&device).map(|words| &mut words.unaccounted) else {
        return;
    };
    let more = free.saturating_sub(bytes).saturating_add(GRANULE);
    let Unaccounted { until, lasts: span, .. } = *unseen;
    let again = span > Nanos::ZERO && now < until.saturating_add(span);
    let span = match again {
        _ if now < until => span,
        true => Nanos(span.0.saturating_mul(2)).min(UNACCOUNTED_FOR.1),
        false => UNACCOUNTED_FOR.0,
    };
    let bytes = unseen.bytes.saturating_add(more).min(capacity);
    *unseen = Unaccounted { bytes, until: now.saturating_add(span), lasts: span };
    core.model.reindex(id);
    growth::resolve_growth(core, id, device);
}

/// What is there of the tenant itself is taken by nobody else.
pub(crate) fn cap_unaccounted(model: &mut Model, id: TenantId, device: DeviceId) {
    let most = budget::usable_on(model, device).saturating_sub(model.memory_of(id, device).resident);
    let words = model.tenants.get_mut(&id).and_then(|tenant| tenant.reports.get_mut(&device));
    if let Some(unseen) = words.map(|words| &mut words.unaccounted).filter(|unseen| unseen.bytes > most) {
        unseen.bytes = most;
    }
}

/// What was believed for long enough is not any more.
pub(crate) fn expire_unaccounted(model: &mut Model, devices: &BTreeSet<DeviceId>) {
    for &device in devices {
        while let Some(&(at, id)) =
            model.devices.get(&device).and_then(|at| at.index.unaccounted_timers.first())
            && at <= model.now
        {
            forget_unaccounted(model, id, device);
        }
    }
}

/// A tenant that has used the device is gone, and its context with it: there may be room for all.
pub(crate) fn forget_unaccounted_on(model: &mut Model, device: DeviceId) {
    let believers = model.devices.get(&device).into_iter().flat_map(|at| &at.index.unaccounted_timers);
    let believers: Vec<TenantId> = believers.map(|(_, id)| *id).collect();
    believers.into_iter().for_each(|id| forget_unaccounted(model, id, device));
}

fn forget_unaccounted(model: &mut Model, id: TenantId, device: DeviceId) {
    if let Some(words) = model.tenants.get_mut(&id).and_then(|tenant| tenant.reports.get_mut(&device)) {
        words.unaccounted.bytes = Bytes::ZERO;
    }
    model.reindex(id);
}
