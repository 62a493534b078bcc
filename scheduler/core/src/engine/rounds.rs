//! Keeps the owners' rounds and debts.
use crate::engine::usage;
use crate::model::Model;
use crate::model::ids::{Owner, TenantId};
use crate::model::priority::Priority;
use crate::model::queue_key::{Class, QueueKey};
use crate::model::request::{QueuePosition, Request};
use crate::policy::families;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeMap;

/// A debt is this many times the time that others lost, if the tenant gave no sign of life: in the long run these have
/// four fifths of the time. If the tenant reported that its work does not end, it is less.
const SILENCE_FACTOR: u64 = 4;

const OVERRUN_FACTOR: u64 = 2;

/// The longest debt.
const MAX_DEBT: Nanos = Nanos(600 * Nanos::SECOND.0);

/// The tenant belongs to its owner's account from now on.
pub(crate) fn open_account(model: &mut Model, id: TenantId) {
    let owner = model.owner_of(id);
    model.accounts.entry(owner).or_default().tenants += 1;
}

/// One of the owner's tenants is gone.
pub(crate) fn close_account(model: &mut Model, owner: Owner) {
    let Some(account) = model.accounts.get_mut(&owner) else { return };
    account.tenants = account.tenants.saturating_sub(1);
    if account.tenants == 0 {
        model.accounts.remove(&owner);
    }
}

/// It is this owner's from now on.
pub(crate) fn on_owner(model: &mut Model, id: TenantId, owner: u64) {
    if model.tenants.get(&id).is_none() {
        return;
    }
    close_account(model, model.owner_of(id));
    model.update(id, |tenant| tenant.owner = Some(Owner::Named(owner)));
    open_account(model, id);
}

/// A place for the tenant's next turn with these devices: behind all requests of its owner's, and behind the first ones
/// of others.
pub(crate) fn next_place(
    model: &mut Model,
    id: TenantId,
    devices: &[DeviceId],
    priority: Priority,
    class: Class,
) -> QueuePosition {
    model.arrivals += 1;
    let mut at = BTreeMap::new();
    let key = match *devices {
        // It stands in no queue yet.
        [] => QueueKey::new(priority, class, model.served_round, model.arrivals),
        [device] => new_key(model, id, Some(device), priority, class),
        _ => {
            for &device in devices {
                at.insert(device, new_key(model, id, Some(device), priority, class));
            }
            new_key(model, id, None, priority, class)
        }
    };
    QueuePosition { key, at }
}

/// One of the tenant's owner cannot end its work from now on.
pub(crate) fn note_stall(model: &mut Model, id: TenantId) {
    let (now, owner) = (model.now, model.owner_of(id));
    if model.debts.get(&owner).is_none_or(|until| *until <= now) {
        model.accounts.entry(owner).or_default().clean_stall_at = Some(now);
    }
}

/// Whether a gang that cannot leave a device comes before all others: it has just been found out who belongs to it, or
/// families wait, of which one might come to be unable to leave too. Only if its owner owed nobody anything before.
pub(crate) fn may_go_first(model: &Model, id: TenantId) -> bool {
    let owner = model.owner_of(id);
    let stalled_at = model.accounts.get(&owner).and_then(|account| account.clean_stall_at);
    let has_just = stalled_at.is_some_and(|at| at.saturating_add(families::ANSWER) >= model.now);
    let is_clean = model.debts.get(&owner).is_none_or(|until| *until <= model.now);
    has_just || is_clean && families::wait_for(model, id)
}

/// A place in the tenant's next round at the device, or among tenants that use several.
pub(crate) fn new_key(
    model: &mut Model,
    id: TenantId,
    device: Option<DeviceId>,
    priority: Priority,
    class: Class,
) -> QueueKey {
    let at = device.and_then(|device| model.devices.get(&device));
    let served = at.map_or(model.served_round, |at| at.served_round);
    if model.tenants.get(&id).is_some_and(|tenant| tenant.goes_first) {
        return QueueKey::first(priority, model.arrivals);
    }
    let account = model.accounts.entry(model.owner_of(id)).or_default();
    // The round that is being served is closed to newcomers: those who come under new names do not prolong it.
    let next = account.next_rounds.entry((device, priority)).or_insert(served + 1);
    let round = served.max(*next);
    // The rest of a turn is no new one.
    if class != Class::Continuing {
        *next = round + 1;
    }
    QueueKey::new(priority, class, round, model.arrivals)
}

/// The tenant's request is served: its rounds have come.
pub(crate) fn mark_served(model: &mut Model, id: TenantId) {
    let Some(place) = model.request(id).map(|request| request.place.clone()) else { return };
    let devices = model.devices_of(id);
    if devices.len() > 1 {
        model.served_round = model.served_round.max(place.key.round());
    }
    for device in devices {
        let round = place.key_at(device).round();
        if model.devices.get(&device).is_some_and(|at| at.served_round < round) {
            model.update_device(device, |at| at.served_round = round);
        }
    }
}

/// The request was not served: its round is given back to its owner.
pub(crate) fn refund_round(model: &mut Model, id: TenantId, request: &Request) {
    let Some(tenant) = model.tenants.get(&id).filter(|_| request.continues.is_none()) else { return };
    let several = tenant.devices.len() > 1;
    let at = tenant.devices.keys().map(|device| Some(*device)).chain(several.then_some(None));
    let owner = model.owner_of(id);
    let Some(account) = model.accounts.get_mut(&owner) else { return };
    for device in at {
        if let Some(next) = account.next_rounds.get_mut(&(device, request.priority)) {
            *next = next.saturating_sub(1);
        }
    }
}

/// Nobody uses the device any more: its rounds are forgotten.
pub(crate) fn drop_rounds(model: &mut Model, device: DeviceId) {
    for account in model.accounts.values_mut() {
        account.next_rounds.retain(|(at, _), _| *at != Some(device));
    }
}

/// Others have lost time because the tenant kept its devices beyond its turn: its owner's requests are throttled for
/// twice as long, or four times if it gave no sign of life. The caller knows that others waited.
pub(crate) fn charge(model: &mut Model, id: TenantId, lost: Nanos, silent: bool) {
    if lost == Nanos::ZERO {
        return;
    }
    let times = if silent { SILENCE_FACTOR } else { OVERRUN_FACTOR };
    let (now, owner) = (model.now, model.owner_of(id));
    // Debts of those who have gone are remembered until they are over.
    model.debts.retain(|_, until| *until > now);
    let until = model.debts.entry(owner).or_insert(now);
    *until = until.saturating_add(Nanos(lost.0.saturating_mul(times))).min(now.saturating_add(MAX_DEBT));
}

/// Members of a gang went on beside the turns of others for so long. They had about half of the GPU, and the gang may
/// have gone before others.
pub(crate) fn on_overrun(model: &mut Model, id: TenantId, lost: Nanos) {
    usage::charge(model, id, lost);
    let owner = model.owner_of(id);
    let is_other = |other: &TenantId| model.owner_of(*other) != owner;
    let competes = |device: &DeviceId| {
        let at = &model.devices[device];
        at.index().holders.iter().any(is_other) || at.queue().waiting().any(|other| is_other(&other))
    };
    if model.devices_of(id).iter().any(competes) {
        let lent = model.lease(id).map_or(Nanos::ZERO, |lease| lease.quantum);
        charge(model, id, Nanos(lost.0 / 2).saturating_add(lent), false);
    }
}

pub(crate) fn charge_boost(model: &mut Model, id: TenantId, held: Nanos) {
    let (now, owner) = (model.now, model.owner_of(id));
    if let Some(account) = model.accounts.get_mut(&owner) {
        account.boosted.add(now, held);
    }
}
