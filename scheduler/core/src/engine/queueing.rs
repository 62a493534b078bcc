//! Requests enter and leave the queues.
use crate::Core;
use crate::engine::rounds;
use crate::event::Action;
use crate::memory::{budget, headroom};
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::priority::Priority;
use crate::model::queue_key::{Class, QueueKey};
use crate::model::tenant::Stage;
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

/// Of a device's queue.
#[derive(Clone, Copy)]
pub(crate) enum QueuePart {
    /// Those that use one device alone.
    Single,
    Several,
}

/// It stands in no line any more.
pub(crate) fn dequeue(model: &mut Model, id: TenantId, place: QueueKey) {
    for device in model.devices_of(id) {
        change_entry(model, device, (place, id), QueuePart::Single, false);
        if let Some(here) = model.tenants.get(&id).and_then(|tenant| tenant.keys.get(&device).copied()) {
            change_entry(model, device, (here, id), QueuePart::Several, false);
        }
    }
}

/// It stands in the lines of all its devices, at its places.
pub(crate) fn enqueue(model: &mut Model, id: TenantId) {
    let Some(place) = model.request(id).map(|request| request.key) else { return };
    let devices = model.devices_of(id);
    let several = devices.len() > 1;
    if let Some(tenant) = model.tenants.get_mut(&id) {
        tenant.shared_key = Some(place);
    }
    for device in devices {
        let here = model.tenants.get(&id).and_then(|tenant| tenant.keys.get(&device).copied());
        match here.filter(|_| several) {
            Some(here) => change_entry(model, device, (here, id), QueuePart::Several, true),
            None => change_entry(model, device, (place, id), QueuePart::Single, true),
        }
    }
    model.reindex(id);
}

/// It stands in line again, where it stood: behind those of the round that is being served, if its own has gone by.
pub(crate) fn requeue(model: &mut Model, id: TenantId) {
    let Some(request) = model.request(id).copied() else { return };
    let several = model.tenants.get(&id).filter(|tenant| tenant.devices.len() > 1);
    let here = |device: &DeviceId| several.and_then(|tenant| tenant.keys.get(device).copied());
    let is_past = |device: &DeviceId| {
        let place = here(device).unwrap_or(request.key);
        model.devices.get(device).is_some_and(|at| place.round() < at.served_round)
    };
    if model.devices_of(id).iter().any(is_past) {
        let place = rounds::next_key(model, id, request.priority, Class::Regular);
        set_key(model, id, place);
    }
    enqueue(model, id);
}

fn change_entry(
    model: &mut Model,
    device: DeviceId,
    entry: (QueueKey, TenantId),
    part: QueuePart,
    stands: bool,
) {
    let Some(at) = model.devices.get_mut(&device) else { return };
    let (before, was) = (at.queue.head(), at.queue.single.first().copied());
    let line = match part {
        QueuePart::Single => &mut at.queue.single,
        QueuePart::Several => &mut at.queue.several,
    };
    if !(if stands { line.insert(entry) } else { line.remove(&entry) }) {
        return;
    }
    let is = at.queue.single.first().copied();
    let (leads, toggled) = match (part, is) {
        (QueuePart::Single, _) => at.queue.toggled(was, is),
        (QueuePart::Several, Some(single)) if single < entry => (stands, Vec::new()),
        (QueuePart::Several, _) => (stands, vec![entry.1]),
    };
    for id in toggled {
        count_head(model, id, leads);
    }
    let after = model.devices.get(&device).and_then(|at| at.queue.head());
    note_new_head(model, before, after);
}

/// At one device more or less nobody stands before the tenant, which uses several, that uses one alone.
fn count_head(model: &mut Model, id: TenantId, leads: bool) {
    let Some(tenant) = model.tenants.get_mut(&id) else { return };
    tenant.heads = if leads { tenant.heads + 1 } else { tenant.heads.saturating_sub(1) };
    let is_clear = tenant.heads == tenant.devices.len();
    if std::mem::replace(&mut tenant.heads_all, is_clear) == is_clear {
        return;
    }
    let Some(shared_key) = tenant.shared_key else { return };
    let entry = (shared_key, id);
    for device in model.devices_of(id) {
        let Some(at) = model.devices.get_mut(&device) else { continue };
        let before = at.queue.head();
        if is_clear {
            at.queue.heads.insert(entry);
        } else {
            at.queue.heads.remove(&entry);
        }
        let after = at.queue.head();
        note_new_head(model, before, after);
    }
}

fn note_new_head(model: &mut Model, before: Option<TenantId>, after: Option<TenantId>) {
    if before == after {
        return;
    }
    for id in before.into_iter().chain(after) {
        if let Some(Stage::Waiting(request)) = model.tenants.get_mut(&id).map(|tenant| &mut tenant.stage) {
            request.unblocked_since = None;
        }
        model.mark_dirty(id);
    }
}

/// It waits, and has named one device more.
pub(crate) fn add_device(model: &mut Model, id: TenantId, device: DeviceId, priority: Priority) {
    let devices = model.devices_of(id);
    let Some((was, stands)) = model.request(id).map(|request| (request.key, request.is_queued())) else {
        return;
    };
    dequeue(model, id, was);
    match devices.len() {
        // It has stood in no line so far, and must not come before those who have.
        1 => {
            let place = rounds::next_key(model, id, priority, Class::Regular);
            set_key(model, id, place);
        }
        // Its place at the first device is its place there.
        2 => {
            model.arrivals += 1;
            let first = devices.into_iter().filter(|first| *first != device);
            if let Some(tenant) = model.tenants.get_mut(&id) {
                tenant.keys = first.map(|first| (first, was)).collect();
            }
            let place = rounds::new_key(model, id, None, priority, Class::Regular);
            set_key(model, id, place);
            rounds::assign_device_key(model, id, device, priority, Class::Regular);
        }
        _ => {
            model.arrivals += 1;
            rounds::assign_device_key(model, id, device, priority, Class::Regular);
        }
    }
    if stands {
        enqueue(model, id);
    }
}

/// Its places change so.
pub(crate) fn rekey(model: &mut Model, id: TenantId, place: impl Fn(QueueKey) -> QueueKey) {
    let Some((was, stands)) = model.request(id).map(|request| (request.key, request.is_queued())) else {
        return;
    };
    dequeue(model, id, was);
    set_key(model, id, place(was));
    if let Some(tenant) = model.tenants.get_mut(&id) {
        tenant.keys.values_mut().for_each(|here| *here = place(*here));
    }
    if stands {
        enqueue(model, id);
    }
}

/// There cannot be room for the tenant: it stands in no line until there can, and an operator is told who is in the way.
pub(crate) fn park(core: &mut Core, id: TenantId) {
    let Some(tenant) = core.model.tenants.get_mut(&id) else { return };
    let Stage::Waiting(request) = &mut tenant.stage else { return };
    request.parked = true;
    let place = request.key;
    let told = std::mem::replace(&mut tenant.no_room_reported, true);
    dequeue(&mut core.model, id, place);
    core.model.reindex(id);
    if told {
        return;
    }
    let Some(tenant) = core.model.tenants.get(&id) else { return };
    let lacks_room = |device: &&DeviceId| !headroom::can_ever_fit_on(&core.model, id, **device);
    let Some(&device) = tenant.devices.keys().find(lacks_room) else { return };
    let others =
        core.model.devices[&device].index.by_unevictable.iter().rev().filter(|(_, other)| *other != id);
    let kept = others.take(3).map(|(bytes, other)| (*other, *bytes)).collect();
    let wants = core.model.memory_of(id, device).allocated;
    let usable = budget::usable_for(&core.model, core.model.facts(id, device), device);
    core.actions.push(Action::NoRoom { tenant: id, device, wants, usable, kept });
}

/// Those that wait aside and for which there can be room now have their places back.
pub(crate) fn unpark_fitting(model: &mut Model, devices: &BTreeSet<DeviceId>) {
    for &device in devices {
        let Some(at) = model.devices.get(&device) else { continue };
        // Those that need least stand first; none behind one for whom there is no room beside what is shown can fit.
        let here =
            at.index.parked.iter().take_while(|(needs, _)| headroom::can_ever_hold(model, device, *needs));
        let fit: Vec<TenantId> =
            here.map(|(_, id)| *id).filter(|id| headroom::can_ever_fit(model, *id)).collect();
        for id in fit {
            let Some(tenant) = model.tenants.get_mut(&id) else { continue };
            let Stage::Waiting(request) = &mut tenant.stage else { continue };
            request.parked = false;
            if request.is_queued() {
                requeue(model, id);
            } else {
                model.reindex(id);
            }
        }
    }
}

fn set_key(model: &mut Model, id: TenantId, place: QueueKey) {
    if let Some(Stage::Waiting(request)) = model.tenants.get_mut(&id).map(|tenant| &mut tenant.stage) {
        request.key = place;
    }
}
