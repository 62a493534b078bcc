//! Who is there, and what it has named.
use crate::Core;
use crate::claims::Words;
use crate::event::{Action, TenantId};
use crate::lease::Lease;
use crate::priority::Class;
use crate::record::SpanKind;
use crate::tenant::{MAX_DEVICES, Memory, Request, Stage, Tenant};
use nvshare_protocol::{Bytes, DeviceId, LeaseId};

/// Devices that nobody names any more are forgotten once more than this many are known.
const REMEMBERED_DEVICES: usize = 64;

impl Core {
    pub(crate) fn joined(&mut self, id: TenantId, holds: bool) {
        let resumes = holds && self.enabled;
        if self.tenants.get(&id).is_some() {
            return;
        }
        self.tenants.add(id, Tenant { resumes, ..Tenant::default() });
        self.open_account(id);
    }

    pub(crate) fn left(&mut self, id: TenantId) {
        self.end_stage(id, None);
        self.leave_group(id);
        self.moved_out(id);
        self.sweeps.remove(&id);
        let owner = self.owner(id);
        let Some(tenant) = self.tenants.remove(&id) else { return };
        self.close_account(owner);
        for (&device_id, memory) in &tenant.devices {
            self.forget_standing(id, &tenant, device_id);
            self.touched.insert(device_id);
            let Some(device) = self.devices.get_mut(&device_id) else { continue };
            device.remove(memory);
            device.named -= 1;
            if tenant.grants > 0 {
                self.forget_all_unseen(device_id);
            }
            let Some(device) = self.devices.get_mut(&device_id) else { continue };
            if device.named == 0 && self.devices.len() > REMEMBERED_DEVICES {
                self.wake(device_id, None);
                self.devices.remove(&device_id);
                self.forget_rounds(device_id);
            }
        }
    }

    /// The tenant uses this device from now on.
    pub(crate) fn named(&mut self, id: TenantId, device_id: DeviceId, capacity: Bytes) {
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        if tenant.devices.contains_key(&device_id) || tenant.devices.len() >= MAX_DEVICES {
            return;
        }
        tenant.devices.insert(device_id, Memory::default());
        tenant.words.insert(device_id, Box::new(Words { capacity, ..Words::default() }));
        if std::mem::take(&mut tenant.resumes) {
            tenant.stage = Stage::Leased(Box::new(Lease::new(
                LeaseId(0),
                self.now,
                self.settings.fetch_bound,
                SpanKind::Run,
            )));
            let (priority, limited) = (tenant.priority, tenant.quota.is_some());
            if let Some(lease) = tenant.lease_mut() {
                (lease.priority, lease.limited) = (priority, limited);
                lease.ready = Some(self.now);
            }
        }
        let device = self.devices.entry(device_id).or_default();
        if device.capacity == Bytes::ZERO {
            device.capacity = capacity;
        }
        device.named += 1;
        let joins = self.may_join(id, device_id);
        let waited_for = self.lease(id).is_some_and(|lease| self.is_waited_for(lease));
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let Some(device) = self.devices.get_mut(&device_id) else { return };
        match &mut tenant.stage {
            Stage::Idle => {}
            Stage::Waiting(request) => {
                let priority = request.priority;
                self.wait_for(id, device_id, priority);
            }
            Stage::Leased(lease) if lease.revocation.is_none() && joins => {
                lease.held.insert(device_id);
                if !waited_for {
                    lease.timed_by.insert(device_id);
                }
                device.regained |= lease.id == LeaseId(0);
                device.grant(id);
                if (!device.queue.is_empty() || lease.limited) && !lease.contended {
                    (lease.contended, lease.contended_since) = (true, self.now);
                    self.actions.push(Action::Contended { tenant: id, contended: true });
                }
            }
            Stage::Leased(lease) => {
                lease.again = true;
                device.beside.insert(id);
                if lease.revocation.is_none() {
                    self.revoke(id);
                }
            }
        }
        self.begin_use(id);
        self.measure_turn(id);
        self.changed(id);
    }

    /// Nobody but the tenant itself can move its memory, and its kernels run only where all of it is there.
    pub(crate) fn swaps(&mut self, id: TenantId) {
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.swaps = true;
        }
        self.changed(id);
    }

    pub(crate) fn reported(
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
        *memory = Memory::plausible(allocated, resident, immovable, device.capacity);
        device.add(memory);
        let now = *memory;
        if let Some(words) = tenant.words.get_mut(&device_id) {
            words.memory = Memory { allocated, resident, immovable };
        }
        tenant.freed(device_id, &before);
        self.note_life(id, device_id);
        self.disprove_unseen(id, device_id);
        self.changed(id);
        if now.allocated > before.allocated {
            self.outgrown(id, device_id);
        }
    }

    /// How large the device is. What tenants have told counts as far as it is possible on such a device.
    pub(crate) fn sized(&mut self, device_id: DeviceId, capacity: Bytes) {
        // It may be told before the first tenant names the device.
        let device = self.devices.entry(device_id).or_default();
        if device.capacity == capacity {
            return;
        }
        device.capacity = capacity;
        device.outside = device.outside.min(capacity);
        let ids: Vec<TenantId> = self.tenants.iter().map(|(id, _)| *id).collect();
        for id in ids {
            let Some(tenant) = self.tenants.get_mut(&id) else { continue };
            let (Some(memory), Some(words)) =
                (tenant.devices.get_mut(&device_id), tenant.words.get(&device_id))
            else {
                continue;
            };
            let Some(device) = self.devices.get_mut(&device_id) else { continue };
            let told = words.memory;
            device.remove(memory);
            *memory = Memory::plausible(told.allocated, told.resident, told.immovable, capacity);
            device.add(memory);
            self.changed(id);
        }
        self.touched.insert(device_id);
        self.shrunk(device_id);
    }

    pub(crate) fn requested(&mut self, id: TenantId) {
        let Some(tenant) = self.tenants.get_mut(&id).filter(|_| self.enabled) else { return };
        match &mut tenant.stage {
            Stage::Idle => {
                tenant.resumes = false;
                self.enqueue(id);
            }
            Stage::Leased(lease) if lease.revocation.is_some() => lease.again = true,
            Stage::Leased(lease) if lease.kept > self.now => {
                lease.idle = None;
                self.changed(id);
            }
            Stage::Waiting(_) | Stage::Leased(_) => {}
        }
    }

    /// At the end of the line for each of its devices.
    pub(crate) fn enqueue(&mut self, id: TenantId) {
        if let Some(turn) = self.tenants.get(&id).and_then(|tenant| tenant.broken_off) {
            self.regrets(id, turn);
        }
        let (now, eager) = (self.now, self.is_eager(id));
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let broken_off = tenant.broken_off.take().filter(|turn| turn.goes_on(now));
        let goes_on = broken_off.filter(|_| !eager);
        let class = match goes_on {
            _ if eager => Class::Eager,
            Some(_) => Class::GoesOn,
            None => Class::InTurn,
        };
        let (priority, stopped) = (tenant.priority, tenant.is_stopped);
        let place = self.next_place(id, priority, class);
        let request = Request {
            place,
            since: now,
            asked: broken_off.map_or(now, |turn| turn.asked),
            priority,
            starved: false,
            clear: None,
            aside: false,
            paused: None,
            paused_since: now,
            defers: false,
            stopped,
            eager,
            goes_on,
        };
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.stage = Stage::Waiting(request);
        }
        if request.stands_in_line() {
            self.stand_in_line(id);
        } else {
            self.changed(id);
        }
    }

    pub(crate) fn set_enabled(&mut self, enabled: bool) {
        if std::mem::replace(&mut self.enabled, enabled) == enabled {
            return;
        }
        let ids: Vec<TenantId> = self.tenants.iter().map(|(id, _)| *id).collect();
        for tenant in ids {
            self.end_stage(tenant, None);
            if let Some(tenant) = self.tenants.get_mut(&tenant) {
                tenant.resumes = false;
            }
            self.actions.push(Action::Enabled { tenant, enabled });
        }
    }
}
