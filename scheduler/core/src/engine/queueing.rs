//! Requests take their places in the queues, or wait in none.
use crate::engine::rounds;
use crate::engine::state::Engine;
use crate::event::Action;
use crate::memory::headroom;
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::queue_key::Class;
use crate::model::request::{QueuePosition, Wait};
use crate::policy::waits;
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

/// Where a request that comes back to the queues stands, if not where it stood: behind those of the round that is being
/// served, if its own has gone by.
pub(crate) fn place_to_return(model: &mut Model, id: TenantId) -> Option<QueuePosition> {
    let request = model.request(id)?;
    let devices = model.devices_of(id);
    let is_past = |device: &DeviceId| {
        let key = request.place.key_at(*device);
        model.devices.get(device).is_some_and(|at| key.round() < at.served_round)
    };
    let priority = request.priority;
    devices.iter().any(is_past).then(|| rounds::next_place(model, id, &devices, priority, Class::Regular))
}

/// Where the tenant's request stands, if it waits, once it uses this device too.
pub(crate) fn place_with(model: &mut Model, id: TenantId, device: DeviceId) -> Option<QueuePosition> {
    let request = model.request(id)?;
    let (priority, mut place) = (request.priority, request.place.clone());
    let used = model.devices_of(id);
    match used[..] {
        // It has stood in no queue so far, and must not come before those who have.
        [] => place = rounds::next_place(model, id, &[device], priority, Class::Regular),
        // Its place at the first device is its place there.
        [first] => {
            model.arrivals += 1;
            place.at = [(first, place.key)].into();
            place.key = rounds::new_key(model, id, None, priority, Class::Regular);
            place.at.insert(device, rounds::new_key(model, id, Some(device), priority, Class::Regular));
        }
        _ => {
            model.arrivals += 1;
            place.at.insert(device, rounds::new_key(model, id, Some(device), priority, Class::Regular));
        }
    }
    Some(place)
}

/// The tenant's request, if it waits, stands in no queue.
pub(crate) fn pause(model: &mut Model, id: TenantId) {
    let now = model.now;
    model.update_request(id, |request| {
        // The time of a throttling that the pause ends does not count as waiting either.
        let since = match request.wait {
            Wait::Throttled { since, .. } => since,
            _ => now,
        };
        request.wait = Wait::Paused { since };
    });
}

/// It has its place in the queues again.
pub(crate) fn resume(model: &mut Model, id: TenantId) {
    let now = model.now;
    let Some(Wait::Paused { since }) = model.request(id).map(|request| request.wait) else { return };
    let place = if model.tenants[&id].is_stopped { None } else { place_to_return(model, id) };
    model.update_request(id, |request| {
        request.requested_at = request.requested_at.saturating_add(now.saturating_sub(since));
        request.wait = Wait::Queued;
        place.into_iter().for_each(|place| request.place = place);
    });
}

/// There cannot be room for the tenant: it stands in no queue until there can, and an operator is told who is in the
/// way.
pub(crate) fn park(engine: &mut Engine, id: TenantId) {
    let was_reported = engine.model.update(id, |tenant| {
        let request = tenant.request_mut()?;
        request.wait = Wait::Parked;
        Some(std::mem::replace(&mut tenant.no_room_reported, true))
    });
    let Some(was_reported) = was_reported.flatten() else { return };
    if was_reported {
        return;
    }
    let Some(tenant) = engine.model.tenants.get(&id) else { return };
    let lacks_room = |device: &&DeviceId| !headroom::can_ever_fit_on(&engine.model, id, **device);
    let Some(&device) = tenant.devices.keys().find(lacks_room) else { return };
    let (wants, usable, kept) = waits::shortage(&engine.model, id, device);
    engine.actions.push(Action::NoRoom { tenant: id, device, wants, usable, kept });
}

/// Those that are parked and for which there can be room now have their places back.
pub(crate) fn unpark_fitting(model: &mut Model, devices: &BTreeSet<DeviceId>) {
    for &device in devices {
        let Some(at) = model.devices.get(&device) else { continue };
        // Those that need the least are first: none behind one that does not fit beside verified memory can fit.
        let parked = at.index().parked.iter();
        let fitting = parked.take_while(|(needs, _)| headroom::can_ever_hold(model, device, *needs));
        let fit: Vec<TenantId> =
            fitting.map(|(_, id)| *id).filter(|id| headroom::can_ever_fit(model, *id)).collect();
        for id in fit {
            let place = if model.tenants[&id].is_stopped { None } else { place_to_return(model, id) };
            model.update_request(id, |request| {
                request.wait = Wait::Queued;
                place.into_iter().for_each(|place| request.place = place);
            });
        }
    }
}
