//! Who is there, and what it has named.
use crate::engine::state::Engine;
use crate::engine::{growth, leases, migration, queueing, refusals, rounds, throttle, turns, usage};
use crate::event::Action;
use crate::model::Model;
use crate::model::gang_state::GangState;
use crate::model::ids::TenantId;
use crate::model::lease::Lease;
use crate::model::memory_use::MemoryUse;
use crate::model::report::DeviceReport;
use crate::model::request::Wait;
use crate::model::span::SpanKind;
use crate::model::tenant::{MAX_DEVICES, Stage};
use crate::policy::{admission, families};
use nvshare_protocol::{Bytes, DeviceId, LeaseId};

/// Devices that nobody names any more are forgotten once more than this many are known.
const REMEMBERED_DEVICES: usize = 64;

/// A connection said hello. If it says that it holds, it does so from the moment in which it names a device.
pub(crate) fn on_joined(model: &mut Model, id: TenantId, holds: bool) {
    if model.tenants.get(&id).is_some() {
        return;
    }
    let claims_hold = holds && model.enabled;
    model.add_tenant(id);
    model.update(id, |tenant| tenant.claims_hold = claims_hold);
    rounds::open_account(model, id);
}

/// The engine knows gangs as tenants: [`crate::gang`] has taken the word.
pub(crate) fn on_gang(_: &mut Model, _: TenantId, _: u64, _: Option<u32>) {}

/// Tenants of one family may belong together.
pub(crate) fn on_family(model: &mut Model, id: TenantId, family: u64) {
    model.join_family(id, family);
}

/// The tenant is a gang. As a holder, it may not be beside others any more.
pub(crate) fn on_gang_state(engine: &mut Engine, id: TenantId, state: GangState) {
    let goes_first = state == GangState::Aside && rounds::may_go_first(&engine.model, id);
    engine.model.update(id, |tenant| (tenant.gang, tenant.goes_first) = (Some(state), goes_first));
    for device in engine.model.devices_of(id) {
        growth::resolve_growth(engine, id, device);
    }
}

/// The process has ended, and what it had is gone.
pub(crate) fn on_left(engine: &mut Engine, id: TenantId) {
    retire(engine, id);
    let model = &mut engine.model;
    let owner = model.owner_of(id);
    let Some(tenant) = model.remove_tenant(id) else { return };
    rounds::close_account(model, owner);
    for &device in tenant.devices.keys() {
        if tenant.grants > 0 {
            refusals::forget_unaccounted_on(model, device);
        }
        let is_unused = model.devices.get(&device).is_some_and(|at| at.index().users == 0);
        if is_unused && model.devices.len() > REMEMBERED_DEVICES {
            model.remove_device(device);
            rounds::drop_rounds(model, device);
        }
    }
}

/// Nobody can ask it for anything any more, and what it has stays until its process ends.
pub(crate) fn on_disconnected(engine: &mut Engine, id: TenantId) {
    retire(engine, id);
    engine.model.update(id, |tenant| {
        (tenant.claims_hold, tenant.keeps_memory, tenant.is_disconnected) = (false, true, true);
    });
}

/// The tenant neither holds nor waits any more, is of no group, and moves nothing out.
fn retire(engine: &mut Engine, id: TenantId) {
    leases::end_stage(engine, id, None);
    throttle::leave_group(&mut engine.model, id);
    migration::end_eviction(&mut engine.model, id);
    engine.deferred_evictions.remove(&id);
}

/// It can do nothing that it is asked for, or can again. Who waits stands in no queue meanwhile; who holds has had its
/// turn as soon as somebody waits; and what is on its devices stays there.
pub(crate) fn on_stopped(model: &mut Model, id: TenantId, stopped: bool) {
    if model.tenants.get(&id).is_none_or(|tenant| tenant.is_stopped == stopped) {
        return;
    }
    if stopped {
        migration::end_eviction(model, id);
    }
    let returns = !stopped && model.request(id).is_some_and(|request| request.wait == Wait::Queued);
    let place = if returns { queueing::place_to_return(model, id) } else { None };
    model.update(id, |tenant| {
        tenant.is_stopped = stopped;
        tenant.keeps_memory = stopped && tenant.lease().is_none() || tenant.is_disconnected;
        if let Some((request, place)) = tenant.request_mut().zip(place) {
            request.place = place;
        }
    });
}

/// The tenant uses this device from now on.
pub(crate) fn on_device(engine: &mut Engine, id: TenantId, device: DeviceId, capacity: Bytes) {
    let model = &mut engine.model;
    let now = model.now;
    let Some(tenant) = model.tenants.get(&id) else { return };
    if tenant.devices.contains_key(&device) || tenant.devices.len() >= MAX_DEVICES {
        return;
    }
    if tenant.claims_hold {
        let fetch_bound = model.settings().fetch_bound;
        model.update(id, |tenant| {
            tenant.claims_hold = false;
            let mut lease = Lease::new(LeaseId(0), now, fetch_bound, SpanKind::Run);
            (lease.priority, lease.ready_at) = (tenant.priority, Some(now));
            tenant.stage = Stage::Leased(Box::new(lease));
        });
    }
    model.add_device(device, capacity);
    let joins = admission::may_join(model, id, device);
    let waited_for = model.lease(id).is_some_and(|lease| admission::is_waited_for(model, lease));
    let place = queueing::place_with(model, id, device);
    model.update(id, |tenant| {
        tenant.devices.insert(device, MemoryUse::default());
        tenant.reports.insert(device, Box::new(DeviceReport { capacity, ..DeviceReport::default() }));
        if let Some((request, place)) = tenant.request_mut().zip(place) {
            request.place = place;
        }
        let Some(lease) = tenant.lease_mut() else { return };
        if lease.is_revoked() || !joins {
            lease.rerequested = true;
            return;
        }
        lease.devices.insert(device);
        if !waited_for {
            lease.quantum_devices.insert(device);
        }
    });
    if model.lease(id).is_some_and(|lease| lease.devices.contains(&device)) {
        on_extended(engine, id, device);
    } else if model.lease(id).is_some_and(|lease| !lease.is_revoked()) {
        leases::revoke(engine, id);
    }
    usage::start_charging(&mut engine.model, id);
    turns::update_turn(&mut engine.model, id);
    for kin in families::come_upon_others(&engine.model, id) {
        if engine.model.lease(kin).is_some_and(|lease| !lease.is_revoked()) {
            engine.model.update_lease(kin, |lease| (lease.rerequested, lease.leaves_alone) = (true, true));
            leases::revoke(engine, kin);
        }
    }
}

/// A holder has another device too.
fn on_extended(engine: &mut Engine, id: TenantId, device: DeviceId) {
    let model = &mut engine.model;
    let Some((tenant, lease)) = model.tenants.get(&id).zip(model.lease(id)) else { return };
    let (is_old, is_paused, was_contended) = (lease.id == LeaseId(0), tenant.is_paused, lease.contended);
    let must_leave = is_paused || tenant.quota.is_some();
    model.update_device(device, |at| {
        at.holder_returned |= is_old;
        at.grant(id);
    });
    if (must_leave || !model.devices[&device].queue().is_empty()) && !was_contended {
        let now = model.now;
        model.update_lease(id, |lease| (lease.contended, lease.contended_since) = (true, now));
        engine.actions.push(Action::Contended { tenant: id, contended: true });
    }
    if is_paused {
        leases::dismiss(engine, id);
    }
}

/// Nobody but the tenant itself can move its memory, and its kernels run only where all of it is there.
pub(crate) fn on_swaps(model: &mut Model, id: TenantId) {
    model.update(id, |tenant| tenant.swaps = true);
}
