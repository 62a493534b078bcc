//! What is true after every event, found out the long way round.
use crate::Core;
use crate::Priority;
use crate::event::TenantId;
use crate::memory::headroom;
use crate::memory::{budget, capacity};
use crate::model::device::Device;
use crate::model::lease::{Lease, Step};
use crate::model::queue_key::QueueKey;
use crate::model::request::{Throttle, Wait};
use crate::model::tenant::{Stage, Tenant};
use crate::policy::admission;
use crate::policy::backfill;
use crate::policy::bandwidth;
use crate::policy::families;
use crate::policy::run_queue;
use crate::policy::timers;
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

/// # Panics
/// If something is not as it must be.
pub fn verify_invariants(core: &Core) {
    for (&id, tenant) in core.engine.model.tenants.iter() {
        verify_tenant(core, id, tenant);
    }
    let of_groups: usize = core.engine.model.groups.values().map(BTreeSet::len).sum();
    assert_eq!(
        of_groups,
        core.engine.model.tenants.iter().filter(|(_, tenant)| tenant.quota.is_some()).count()
    );
    for ((device, group), usage) in &core.engine.model.usages {
        let counts = |id: &TenantId| {
            let tenant = &core.engine.model.tenants[id];
            let of_it = tenant.quota.is_some_and(|quota| quota.group == *group);
            of_it
                && tenant.devices.contains_key(device)
                && tenant.lease().is_some_and(|lease| lease.ready_at.is_some())
        };
        assert!(usage.holders.iter().all(counts), "{device} {group}: {:?}", usage.holders);
    }
    for (&id, device) in core.engine.model.devices.iter() {
        let stay =
            |other: &&TenantId| core.engine.model.lease(**other).is_some_and(|lease| !lease.is_revoked());
        let staying: Vec<TenantId> = device.index().holders.iter().filter(stay).copied().collect();
        let sum: u128 =
            staying.iter().map(|other| u128::from(core.engine.model.facts(*other, id).allocated.0)).sum();
        let fit = core.engine.model.settings().share
            && sum <= u128::from(capacity::usable_on(&core.engine.model, id).0);
        assert!(
            staying.len() <= 1
                || fit
                || core.engine.model.settings().share
                    && core.engine.model.settings().evict == crate::event::EvictMode::Always,
            "{id} has the holders {:?}",
            device.index().holders
        );
        let named = || core.engine.model.tenants.iter().filter_map(|(_, tenant)| tenant.devices.get(&id));
        let sum = named().fold((0, 0, 0), |sum, memory| {
            let wide = |bytes: nvshare_protocol::Bytes| u128::from(bytes.0);
            (sum.0 + wide(memory.allocated), sum.1 + wide(memory.resident), sum.2 + wide(memory.immovable))
        });
        assert_eq!(
            (device.index().allocated, device.index().resident, device.index().immovable),
            sum,
            "{id}"
        );
        assert_eq!(device.index().users, named().count(), "{id}");
        for other in device.index().holders.iter().chain(&device.index().beside) {
            assert!(core.engine.model.lease(*other).is_some(), "{other:?} is at {id} without a lease");
        }
        verify_indexes(core, id, device);
        verify_clear(core, device);
        for (place, other) in device.queue().in_order() {
            let stands = |tenant: &Tenant| place_at(tenant, id) == Some(place);
            assert!(core.engine.model.tenants.get(&other).is_some_and(stands), "{other:?} at {id}");
        }
    }
    let next: BTreeSet<TenantId> = core
        .engine
        .model
        .tenants
        .iter()
        .map(|(id, _)| *id)
        .filter(|id| run_queue::is_next(&core.engine.model, *id))
        .collect();
    assert_eq!(next, first_in_line(core));
    assert!(core.engine.model.is_clean());
    let deadline = core.next_deadline();
    assert!(
        deadline.is_none_or(|at| at > core.engine.model.now),
        "due at {deadline:?}, and it is {:?}",
        core.engine.model.now
    );
    let anybody_waits = core.engine.model.devices.values().any(|device| !device.queue().is_empty());
    assert!(!anybody_waits || deadline.is_some(), "somebody waits for something that never comes");
    assert!(core.engine.actions.is_empty());
}

/// What is kept up to date so that nobody has to look for it.
fn verify_indexes(core: &Core, id: DeviceId, device: &Device) {
    assert_eq!(*device.index(), core.engine.model.recomputed_index(id), "{id}");
    let outgoing = &device.index().evicting;
    let asked = |tenant: &Tenant| {
        let revoked = tenant.lease().and_then(Lease::revocation);
        tenant.eviction.is_some() || revoked.is_some_and(|r| matches!(r.step, Step::Asked(_)))
    };
    assert!(outgoing.iter().all(|other| asked(&core.engine.model.tenants[other])), "{id}: {outgoing:?}");
    let due = timers::next_timer(&core.engine.model, id);
    assert!(
        due.is_none_or(|at| core.next_deadline().is_some_and(|next| next <= at)),
        "{id} is due at {due:?}"
    );
}

/// Where it stands at the device, if it waits.
fn place_at(tenant: &Tenant, device: DeviceId) -> Option<QueueKey> {
    match &tenant.stage {
        Stage::Waiting(request) if tenant.devices.len() > 1 => request.place.at.get(&device).copied(),
        Stage::Waiting(request) => Some(request.place.key),
        _ => None,
    }
}

/// Those with several devices that nobody with one stands before at any of them wait in that order at all of them.
fn verify_clear(core: &Core, device: &Device) {
    for &(_, id) in &device.queue().several {
        let tenant = &core.engine.model.tenants[&id];
        let before = |device: &DeviceId| core.engine.model.devices[device].queue().single.first().copied();
        let leads =
            |(device, here): (&DeviceId, &QueueKey)| before(device).is_none_or(|single| (*here, id) < single);
        let heads = tenant.head_count();
        let place = &tenant.request().unwrap().place;
        let count = place.at.iter().filter(|(device, _)| tenant.devices.contains_key(device));
        let count = count.filter(|entry| leads(*entry)).count();
        assert_eq!((heads.at, heads.everywhere), (count, count == tenant.devices.len()), "{id:?}");
        assert_eq!(device.queue().heads.contains(&(place.key, id)), heads.everywhere, "{id:?}");
    }
    assert!(
        device.queue().heads.iter().all(|(_, id)| device
            .queue()
            .several
            .iter()
            .any(|(_, other)| other == id))
    );
}

/// The waiting tenants of whose devices every one has them first in its queue.
fn first_in_line(core: &Core) -> BTreeSet<TenantId> {
    let leads = |id: TenantId, device: &DeviceId| backfill::next_at(&core.engine.model, *device) == Some(id);
    let tenants = core.engine.model.tenants.iter().filter(|(_, tenant)| !tenant.devices.is_empty());
    tenants.filter(|(id, tenant)| tenant.devices.keys().all(|d| leads(**id, d))).map(|(&id, _)| id).collect()
}

fn verify_tenant(core: &Core, id: TenantId, tenant: &Tenant) {
    let devices = || tenant.devices.keys().map(|device| (device, &core.engine.model.devices[device]));
    match &tenant.stage {
        Stage::Idle => {
            assert!(
                devices().all(|(_, device)| !device.index().holders.contains(&id)
                    && !device.index().beside.contains(&id))
            );
        }
        Stage::Waiting(request) => {
            assert!(core.engine.model.enabled, "{id:?} waits while switched off");
            if let Wait::Throttled { until, why, .. } = request.wait {
                assert!(
                    until > core.engine.model.now && (tenant.quota.is_some() || why == Throttle::Debt),
                    "{id:?} may hold again"
                );
                let queued =
                    |(_, device): (_, &Device)| device.queue().in_order().any(|(_, other)| other == id);
                assert!(!devices().any(queued), "{id:?} is throttled and queued");
                return;
            }
            if let Wait::Paused { since } = request.wait {
                assert!(tenant.is_paused && since <= core.engine.model.now, "{id:?} is not paused");
                let queued =
                    |(_, device): (_, &Device)| device.queue().in_order().any(|(_, other)| other == id);
                assert!(!devices().any(queued), "{id:?} is paused and queued");
                return;
            }
            assert!(!tenant.is_paused, "{id:?} is paused and waits for a turn");
            let starved = request.requested_at.saturating_add(core.engine.model.settings().starvation)
                <= core.engine.model.now;
            let higher = |priority: Priority| priority > request.priority;
            let outranked = |(_, device): (_, &Device)| {
                let waits = device.queue().in_order().filter_map(|(_, other)| {
                    match &core.engine.model.tenants[&other].stage {
                        Stage::Waiting(other) => Some(other.priority),
                        _ => None,
                    }
                });
                let holds = device.index().holders.iter().filter_map(|other| core.engine.model.lease(*other));
                let stay = holds.filter(|lease| !lease.is_revoked()).map(|lease| lease.priority);
                waits.chain(stay).any(higher)
            };
            assert!(!starved || !devices().any(outranked), "{id:?} has starved and others come first");
            let queued = |(name, device): (&DeviceId, &Device)| {
                let place = place_at(tenant, *name);
                device.queue().in_order().any(|(at, other)| other == id && Some(at) == place)
            };
            if tenant.is_stopped {
                assert!(!devices().any(queued), "{id:?} is stopped and queued");
                return;
            }
            if request.wait == Wait::Parked {
                assert!(
                    tenant.swaps && !headroom::can_ever_fit(&core.engine.model, id),
                    "{id:?} is parked and could have room"
                );
                assert!(!devices().any(queued), "{id:?} is parked and queued");
                return;
            }
            assert!(devices().all(queued));
            let obstructed = |device: &DeviceId| {
                !admission::victims_on(&core.engine.model, *device, id).is_empty()
                    || backfill::next_at(&core.engine.model, *device) != Some(id)
            };
            let held_up = admission::grace_until(&core.engine.model, id).is_some()
                || families::stalled_until(&core.engine.model, id).is_some()
                || !families::in_the_way(&core.engine.model, id).is_empty()
                || tenant.devices.is_empty()
                || headroom::awaits_evictions(&core.engine.model, id)
                || tenant.swaps && budget::lacks_room(&core.engine.model, id)
                || tenant.devices.keys().any(obstructed);
            assert!(held_up, "{id:?} could be granted its devices and waits");
        }
        Stage::Leased(lease) => {
            assert!(core.engine.model.enabled, "{id:?} has a lease while switched off");
            for (name, device) in devices() {
                assert_eq!(
                    device.index().holders.contains(&id),
                    lease.devices.contains(name),
                    "{id:?} {name}"
                );
                assert_eq!(
                    device.index().beside.contains(&id),
                    !lease.devices.contains(name),
                    "{id:?} {name}"
                );
            }
            let whole = lease.devices.len() == tenant.devices.len();
            assert!(whole || lease.is_revoked(), "{id:?} is half granted");
            assert!(
                !lease.is_unresponsive() || lease.devices.is_empty(),
                "{id:?} is unresponsive and keeps others out"
            );
            let wanted =
                lease.devices.iter().any(|device| !core.engine.model.devices[device].queue().is_empty());
            let wanted = wanted || tenant.quota.is_some() || tenant.is_paused;
            assert!(lease.devices.is_empty() || lease.contended == wanted, "{id:?} was told the wrong thing");
            for (&name, _) in devices().filter(|_| tenant.quota.is_some() && lease.ready_at.is_some()) {
                let usage = &core.engine.model.usages[&(name, tenant.quota.unwrap().group)];
                assert!(usage.holders.contains(&id), "{id:?} has {name} and it does not count");
                let (used, most) = bandwidth::quota_at(&core.engine.model, tenant, lease, name).unwrap();
                let stays = !lease.is_revoked() && lease.devices.contains(&name);
                assert!(!stays || used < most, "{id:?} has used up its quota of {name} and stays");
            }
        }
    }
}
