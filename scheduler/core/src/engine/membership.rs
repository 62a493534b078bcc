//! Who is there, and what it has named.
use crate::Core;
use crate::event::{Action, TenantId};
use crate::model::lease::Lease;
use crate::model::span::SpanKind;
use crate::model::tenant::{MAX_DEVICES, MemoryUse, Request, Stage, Tenant};
use crate::policy::claims::DeviceReport;
use crate::policy::priority::Class;
use nvshare_protocol::{Bytes, DeviceId, LeaseId};

/// Devices that nobody names any more are forgotten once more than this many are known.
const REMEMBERED_DEVICES: usize = 64;

impl Core {
    pub(crate) fn on_joined(&mut self, id: TenantId, holds: bool) {
        let resumes = holds && self.enabled;
        if self.tenants.get(&id).is_some() {
            return;
        }
        self.tenants.add(id, Tenant { claims_hold: resumes, ..Tenant::default() });
        self.open_account(id);
    }

    pub(crate) fn on_left(&mut self, id: TenantId) {
        self.end_stage(id, None);
        self.leave_group(id);
        self.end_eviction(id);
        self.deferred_evictions.remove(&id);
        let owner = self.owner_of(id);
        let Some(tenant) = self.tenants.remove(&id) else { return };
        self.close_account(owner);
        for (&device_id, memory) in &tenant.devices {
            self.unindex(id, &tenant, device_id);
            self.dirty.insert(device_id);
            let Some(device) = self.devices.get_mut(&device_id) else { continue };
            device.remove(memory);
            device.users -= 1;
            if tenant.grants > 0 {
                self.forget_unaccounted_on(device_id);
            }
            let Some(device) = self.devices.get_mut(&device_id) else { continue };
            if device.users == 0 && self.devices.len() > REMEMBERED_DEVICES {
                self.set_timer(device_id, None);
                self.devices.remove(&device_id);
                self.drop_rounds(device_id);
            }
        }
    }

    /// The tenant uses this device from now on.
    pub(crate) fn on_device(&mut self, id: TenantId, device_id: DeviceId, capacity: Bytes) {
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        if tenant.devices.contains_key(&device_id) || tenant.devices.len() >= MAX_DEVICES {
            return;
        }
        tenant.devices.insert(device_id, MemoryUse::default());
        tenant.reports.insert(device_id, Box::new(DeviceReport { capacity, ..DeviceReport::default() }));
        if std::mem::take(&mut tenant.claims_hold) {
            tenant.stage = Stage::Leased(Box::new(Lease::new(
                LeaseId(0),
                self.now,
                self.settings.fetch_bound,
                SpanKind::Run,
            )));
            let (priority, limited) = (tenant.priority, tenant.quota.is_some());
            if let Some(lease) = tenant.lease_mut() {
                (lease.priority, lease.has_quota) = (priority, limited);
                lease.ready_at = Some(self.now);
            }
        }
        let device = self.devices.entry(device_id).or_default();
        if device.capacity == Bytes::ZERO {
            device.capacity = capacity;
        }
        device.users += 1;
        let joins = self.may_join(id, device_id);
        let waited_for = self.lease(id).is_some_and(|lease| self.is_waited_for(lease));
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let Some(device) = self.devices.get_mut(&device_id) else { return };
        match &mut tenant.stage {
            Stage::Idle => {}
            Stage::Waiting(request) => {
                let priority = request.priority;
                self.add_device(id, device_id, priority);
            }
            Stage::Leased(lease) if lease.revocation.is_none() && joins => {
                lease.devices.insert(device_id);
                if !waited_for {
                    lease.quantum_devices.insert(device_id);
                }
                device.holder_returned |= lease.id == LeaseId(0);
                device.grant(id);
                if (!device.queue.is_empty() || lease.has_quota) && !lease.contended {
                    (lease.contended, lease.contended_since) = (true, self.now);
                    self.actions.push(Action::Contended { tenant: id, contended: true });
                }
            }
            Stage::Leased(lease) => {
                lease.rerequested = true;
                device.beside.insert(id);
                if lease.revocation.is_none() {
                    self.revoke(id);
                }
            }
        }
        self.start_charging(id);
        self.update_turn(id);
        self.reindex(id);
    }

    /// Nobody but the tenant itself can move its memory, and its kernels run only where all of it is there.
    pub(crate) fn on_swaps(&mut self, id: TenantId) {
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.swaps = true;
        }
        self.reindex(id);
    }

    pub(crate) fn on_memory(
        &mut self,
        id: TenantId,
        device_id: DeviceId,
        allocated: Bytes,
        resident: Bytes,
        immovable: Bytes,
    ) {
        let Some(device) = self.devices.get_mut(&device_id) else { return };
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let Some(memory) = tenant.devices.get_mut(&device_id) else { return };
        let before = *memory;
        device.remove(memory);
        *memory = MemoryUse::plausible(allocated, resident, immovable, device.capacity);
        device.add(memory);
        let now = *memory;
        if let Some(words) = tenant.reports.get_mut(&device_id) {
            words.memory = MemoryUse { allocated, resident, immovable };
        }
        tenant.note_freed(device_id, &before);
        self.note_progress(id, device_id);
        self.cap_unaccounted(id, device_id);
        self.reindex(id);
        if now.allocated > before.allocated {
            self.resolve_growth(id, device_id);
        }
    }

    /// How large the device is. What tenants have told counts as far as it is possible on such a device.
    pub(crate) fn on_capacity(&mut self, device_id: DeviceId, capacity: Bytes) {
        // It may be told before the first tenant names the device.
        let device = self.devices.entry(device_id).or_default();
        if device.capacity == capacity {
            return;
        }
        device.capacity = capacity;
        device.external = device.external.min(capacity);
        let ids: Vec<TenantId> = self.tenants.iter().map(|(id, _)| *id).collect();
        for id in ids {
            let Some(tenant) = self.tenants.get_mut(&id) else { continue };
            let (Some(memory), Some(words)) =
                (tenant.devices.get_mut(&device_id), tenant.reports.get(&device_id))
            else {
                continue;
            };
            let Some(device) = self.devices.get_mut(&device_id) else { continue };
            let told = words.memory;
            device.remove(memory);
            *memory = MemoryUse::plausible(told.allocated, told.resident, told.immovable, capacity);
            device.add(memory);
            self.reindex(id);
        }
        self.dirty.insert(device_id);
        self.resolve_shrink(device_id);
    }

    pub(crate) fn on_requested(&mut self, id: TenantId) {
        let Some(tenant) = self.tenants.get_mut(&id).filter(|_| self.enabled) else { return };
        match &mut tenant.stage {
            Stage::Idle => {
                tenant.claims_hold = false;
                self.request_turn(id);
            }
            Stage::Leased(lease) if lease.revocation.is_some() => lease.rerequested = true,
            Stage::Leased(lease) if lease.hold_until > self.now => {
                lease.idle_since = None;
                self.reindex(id);
            }
            Stage::Waiting(_) | Stage::Leased(_) => {}
        }
    }

    /// At the end of the line for each of its devices.
    pub(crate) fn request_turn(&mut self, id: TenantId) {
        if let Some(turn) = self.tenants.get(&id).and_then(|tenant| tenant.preempted) {
            self.note_early_return(id, turn);
        }
        let (now, eager) = (self.now, self.is_interactive(id));
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let broken_off = tenant.preempted.take().filter(|turn| turn.may_resume(now));
        let goes_on = broken_off.filter(|_| !eager);
        let class = match goes_on {
            _ if eager => Class::Interactive,
            Some(_) => Class::Continuing,
            None => Class::Regular,
        };
        let (priority, stopped) = (tenant.priority, tenant.is_stopped);
        let place = self.next_key(id, priority, class);
        let request = Request {
            key: place,
            since: now,
            requested_at: broken_off.map_or(now, |turn| turn.requested_at),
            priority,
            starved: false,
            unblocked_since: None,
            parked: false,
            throttled_until: None,
            throttled_since: now,
            in_debt: false,
            stopped,
            interactive: eager,
            continues: goes_on,
        };
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.stage = Stage::Waiting(request);
        }
        if request.is_queued() {
            self.enqueue(id);
        } else {
            self.reindex(id);
        }
    }

    pub(crate) fn on_enabled(&mut self, enabled: bool) {
        if std::mem::replace(&mut self.enabled, enabled) == enabled {
            return;
        }
        let ids: Vec<TenantId> = self.tenants.iter().map(|(id, _)| *id).collect();
        for tenant in ids {
            self.end_stage(tenant, None);
            if let Some(tenant) = self.tenants.get_mut(&tenant) {
                tenant.claims_hold = false;
            }
            self.actions.push(Action::Enabled { tenant, enabled });
        }
    }
}
