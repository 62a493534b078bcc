//! Who is there, and what it has named.
use crate::Core;
use crate::engine::{leases, migration, queueing, refusals, rounds, turns, usage};
use crate::event::Action;
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::lease::Lease;
use crate::model::memory_use::MemoryUse;
use crate::model::report::DeviceReport;
use crate::model::span::SpanKind;
use crate::model::tenant::{MAX_DEVICES, Stage, Tenant};
use crate::policy::admission;
use nvshare_protocol::{Bytes, DeviceId, LeaseId};

/// Devices that nobody names any more are forgotten once more than this many are known.
const REMEMBERED_DEVICES: usize = 64;

/// Nobody can ask it for anything any more, and what it has stays until its process ends.
pub(crate) fn on_disconnected(core: &mut Core, id: TenantId) {
    leases::end_stage(core, id, None);
    usage::leave_group(&mut core.model, id);
    migration::end_eviction(&mut core.model, id);
    core.deferred_evictions.remove(&id);
    let Some(tenant) = core.model.tenants.get_mut(&id) else { return };
    (tenant.claims_hold, tenant.keeps_memory, tenant.is_disconnected) = (false, true, true);
    core.model.reindex(id);
}

/// It can do nothing that it is asked for, or can again. Who waits stands in no line meanwhile; who holds has had its
/// turn as soon as somebody waits; and what is on its devices stays there.
pub(crate) fn on_stopped(model: &mut Model, id: TenantId, stopped: bool) {
    if model.tenants.get(&id).is_none_or(|tenant| tenant.is_stopped == stopped) {
        return;
    }
    if stopped {
        migration::end_eviction(model, id);
    }
    let Some(tenant) = model.tenants.get_mut(&id) else { return };
    tenant.is_stopped = stopped;
    tenant.keeps_memory = stopped && tenant.lease().is_none() || tenant.is_disconnected;
    let mut line = None;
    if let Stage::Waiting(request) = &mut tenant.stage {
        request.stopped = stopped;
        line = Some((request.key, request.is_queued()));
    }
    match line {
        Some((place, _)) if stopped => queueing::dequeue(model, id, place),
        Some((_, true)) => queueing::requeue(model, id),
        _ => {}
    }
    model.reindex(id);
}

pub(crate) fn on_joined(model: &mut Model, id: TenantId, holds: bool) {
    let resumes = holds && model.enabled;
    if model.tenants.get(&id).is_some() {
        return;
    }
    model.tenants.add(id, Tenant { claims_hold: resumes, ..Tenant::default() });
    rounds::open_account(model, id);
}

pub(crate) fn on_left(core: &mut Core, id: TenantId) {
    leases::end_stage(core, id, None);
    usage::leave_group(&mut core.model, id);
    migration::end_eviction(&mut core.model, id);
    core.deferred_evictions.remove(&id);
    let owner = core.model.owner_of(id);
    let Some(tenant) = core.model.tenants.remove(&id) else { return };
    rounds::close_account(&mut core.model, owner);
    for (&device_id, memory) in &tenant.devices {
        core.model.unindex(id, &tenant, device_id);
        core.model.dirty.insert(device_id);
        let Some(device) = core.model.devices.get_mut(&device_id) else { continue };
        device.remove(memory);
        device.users -= 1;
        if tenant.grants > 0 {
            refusals::forget_unaccounted_on(&mut core.model, device_id);
        }
        let Some(device) = core.model.devices.get_mut(&device_id) else { continue };
        if device.users == 0 && core.model.devices.len() > REMEMBERED_DEVICES {
            core.model.set_timer(device_id, None);
            core.model.devices.remove(&device_id);
            rounds::drop_rounds(&mut core.model, device_id);
        }
    }
}

/// The tenant uses this device from now on.
pub(crate) fn on_device(core: &mut Core, id: TenantId, device_id: DeviceId, capacity: Bytes) {
    let Some(tenant) = core.model.tenants.get_mut(&id) else { return };
    if tenant.devices.contains_key(&device_id) || tenant.devices.len() >= MAX_DEVICES {
        return;
    }
    tenant.devices.insert(device_id, MemoryUse::default());
    tenant.reports.insert(device_id, Box::new(DeviceReport { capacity, ..DeviceReport::default() }));
    if std::mem::take(&mut tenant.claims_hold) {
        tenant.stage = Stage::Leased(Box::new(Lease::new(
            LeaseId(0),
            core.model.now,
            core.model.settings.fetch_bound,
            SpanKind::Run,
        )));
        let (priority, limited) = (tenant.priority, tenant.quota.is_some());
        if let Some(lease) = tenant.lease_mut() {
            (lease.priority, lease.has_quota) = (priority, limited);
            lease.ready_at = Some(core.model.now);
        }
    }
    let device = core.model.devices.entry(device_id).or_default();
    if device.capacity == Bytes::ZERO {
        device.capacity = capacity;
    }
    device.users += 1;
    let joins = admission::may_join(&core.model, id, device_id);
    let waited_for = core.model.lease(id).is_some_and(|lease| admission::is_waited_for(&core.model, lease));
    let Some(tenant) = core.model.tenants.get_mut(&id) else { return };
    let Some(device) = core.model.devices.get_mut(&device_id) else { return };
    match &mut tenant.stage {
        Stage::Idle => {}
        Stage::Waiting(request) => {
            let priority = request.priority;
            queueing::add_device(&mut core.model, id, device_id, priority);
        }
        Stage::Leased(lease) if lease.revocation.is_none() && joins => {
            lease.devices.insert(device_id);
            if !waited_for {
                lease.quantum_devices.insert(device_id);
            }
            device.holder_returned |= lease.id == LeaseId(0);
            device.grant(id);
            if (!device.queue.is_empty() || lease.has_quota) && !lease.contended {
                (lease.contended, lease.contended_since) = (true, core.model.now);
                core.actions.push(Action::Contended { tenant: id, contended: true });
            }
        }
        Stage::Leased(lease) => {
            lease.rerequested = true;
            device.beside.insert(id);
            if lease.revocation.is_none() {
                leases::revoke(core, id);
            }
        }
    }
    usage::start_charging(&mut core.model, id);
    turns::update_turn(&mut core.model, id);
    core.model.reindex(id);
}

/// Nobody but the tenant itself can move its memory, and its kernels run only where all of it is there.
pub(crate) fn on_swaps(model: &mut Model, id: TenantId) {
    if let Some(tenant) = model.tenants.get_mut(&id) {
        tenant.swaps = true;
    }
    model.reindex(id);
}
