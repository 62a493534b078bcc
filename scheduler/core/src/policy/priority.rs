//! Priorities: when holders give way to a waiting tenant, and when a tenant has starved.
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::lease::Lease;
use crate::model::priority::Priority;
use crate::model::queue_key::QueueKey;
use crate::model::request::Request;
use nvshare_protocol::{DeviceId, Nanos};

/// Until when the holder goes on while this tenant waits, if their priorities decide that. It gives way to a higher one
/// at once, or when its memory is resident, and to a lower one when that has starved.
pub(crate) fn preempted_by_priority_at(
    model: &Model,
    holder: &Lease,
    waiter: TenantId,
    request: &Request,
) -> Option<Nanos> {
    let own = model.tenants.get(&waiter)?.priority;
    if own > holder.priority {
        // Otherwise memory that is still coming in could not be told from what the next tenant may bring in.
        let back = holder.ready_at.unwrap_or(holder.ready_deadline);
        let whole = holder.turn_end();
        return Some(if holder.non_preemptible { whole } else { whole.min(request.since.max(back)) });
    }
    let end = request.requested_at.saturating_add(model.settings().starvation);
    (request.priority < holder.priority && holder.idle_since.is_none()).then(|| holder.turn_end().max(end))
}

/// The highest priority among the holders of the device and those who wait for it.
fn highest_at(model: &Model, id: DeviceId) -> Option<Priority> {
    let device = model.devices.get(&id)?;
    let waits = device.queue().first_key().map(QueueKey::priority);
    let holds = device.index().preemption_order.last().filter(|turn| turn.0).map(|turn| turn.1);
    waits.max(holds)
}

/// For each priority with higher ones before it: the tenant that will starve first at the device, and when.
pub(crate) fn starving_at(model: &Model, id: DeviceId) -> impl Iterator<Item = (Nanos, TenantId)> {
    let highest = highest_at(model, id).unwrap_or_default();
    let lower = Priority::ALL.into_iter().filter(move |priority| *priority < highest);
    let first = move |priority| {
        let of_it = (priority, Nanos::ZERO, TenantId(0))..=(priority, Nanos::MAX, TenantId(u64::MAX));
        model.devices.get(&id)?.index().starvable.range(of_it).next()
    };
    let at = |asked: Nanos| asked.saturating_add(model.settings().starvation);
    lower.filter_map(first).map(move |(_, asked, id)| (at(*asked), *id))
}

/// When the next tenant at the device will have starved.
pub(crate) fn starves_at(model: &Model, id: DeviceId) -> Option<Nanos> {
    starving_at(model, id).map(|(at, _)| at).min()
}
