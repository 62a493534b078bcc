//! Who is there, and what it has named.
use crate::Core;
use crate::event::{Action, TenantId};
use crate::record::SpanKind;
use crate::tenant::{Lease, MAX_DEVICES, Memory, Request, Stage, Tenant};
use nvshare_protocol::{Bytes, DeviceId, LeaseId};

/// Devices that nobody names any more are forgotten once more than this many are known.
const REMEMBERED_DEVICES: usize = 64;

impl Core {
    pub(crate) fn joined(&mut self, id: TenantId, holds: bool) {
        let resumes = holds && self.enabled;
        self.tenants.entry(id).or_insert_with(|| Tenant { resumes, ..Tenant::default() });
    }

    pub(crate) fn left(&mut self, id: TenantId) {
        self.end_stage(id, None);
        let Some(tenant) = self.tenants.remove(&id) else { return };
        for (device_id, memory) in tenant.devices {
            let Some(device) = self.devices.get_mut(&device_id) else { continue };
            device.remove(&memory);
            device.named -= 1;
            if device.named == 0 && self.devices.len() > REMEMBERED_DEVICES {
                self.devices.remove(&device_id);
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
        if std::mem::take(&mut tenant.resumes) {
            tenant.stage = Stage::Leased(Box::new(Lease::new(LeaseId(0), self.now, SpanKind::Run)));
            if let Some(lease) = tenant.lease_mut() {
                lease.ready = Some(self.now);
            }
            self.leased.insert(id);
        }
        let device = self.devices.entry(device_id).or_default();
        if device.capacity == Bytes::ZERO {
            device.capacity = capacity;
        }
        device.named += 1;
        match &mut tenant.stage {
            Stage::Idle => {}
            Stage::Waiting(request) => {
                if tenant.devices.len() == 1 {
                    // It has stood in no line so far, and must not come before those who have.
                    self.arrivals += 1;
                    request.place = self.arrivals;
                }
                let entry = (request.place, id);
                self.line_up(device_id, entry);
            }
            Stage::Leased(lease) if lease.revocation.is_none() && device.is_free() => {
                lease.held.insert(device_id);
                device.grant(id);
            }
            Stage::Leased(lease) => {
                lease.again = true;
                device.beside.insert(id);
                if lease.revocation.is_none() {
                    self.revoke(id);
                }
            }
        }
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
        let Some(memory) = self.tenants.get_mut(&id).and_then(|tenant| tenant.devices.get_mut(&device_id))
        else {
            return;
        };
        device.remove(memory);
        *memory = Memory::plausible(allocated, resident, immovable, device.capacity);
        device.add(memory);
    }

    pub(crate) fn requested(&mut self, id: TenantId) {
        let Some(tenant) = self.tenants.get_mut(&id).filter(|_| self.enabled) else { return };
        match &mut tenant.stage {
            Stage::Idle => {
                tenant.resumes = false;
                self.enqueue(id);
            }
            Stage::Leased(lease) if lease.revocation.is_some() => lease.again = true,
            Stage::Waiting(_) | Stage::Leased(_) => {}
        }
    }

    /// At the end of the line for each of its devices.
    pub(crate) fn enqueue(&mut self, id: TenantId) {
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        self.arrivals += 1;
        let request = Request { place: self.arrivals, since: self.now };
        tenant.stage = Stage::Waiting(request);
        let devices: Vec<DeviceId> = tenant.devices.keys().copied().collect();
        for device in devices {
            self.line_up(device, (request.place, id));
        }
    }

    pub(crate) fn set_enabled(&mut self, enabled: bool) {
        if std::mem::replace(&mut self.enabled, enabled) == enabled {
            return;
        }
        let ids: Vec<TenantId> = self.tenants.keys().copied().collect();
        for tenant in ids {
            self.end_stage(tenant, None);
            if let Some(tenant) = self.tenants.get_mut(&tenant) {
                tenant.resumes = false;
            }
            self.actions.push(Action::Enabled { tenant, enabled });
        }
    }
}
