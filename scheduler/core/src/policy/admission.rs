//! Who may hold at the same time, and until when. Everything else asks here.
use crate::Core;
use crate::event::{EvictMode, TenantId};
use crate::model::device::Device;
use crate::model::lease::Lease;
use crate::model::settings::{AUTO_FACTOR, AUTO_RANGE, Quantum, seconds};
use crate::model::tenant::{Stage, Tenant};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};
use std::collections::BTreeSet;

impl Core {
    /// Whether tenants that fit on a device together run together at present.
    pub(crate) fn shares_devices(&self) -> bool {
        self.settings.share && self.settings.evict != EvictMode::Always
    }

    /// Until when the tenant waits for those who may hold its devices since before this run. Where tenants share devices
    /// there may be more of them than have said so.
    pub(crate) fn grace_until(&self, tenant: TenantId) -> Option<Nanos> {
        if self.settings.grace <= self.now {
            return None;
        }
        let mut devices = self.tenants.get(&tenant)?.devices.keys();
        let known = !self.shares_devices() && devices.all(|device| self.devices[device].holder_returned);
        (!known).then_some(self.settings.grace)
    }

    /// The holders that must be gone before the tenant can be granted its devices.
    pub(crate) fn conflicting_holders(&self, tenant: TenantId) -> BTreeSet<TenantId> {
        let devices = self.tenants.get(&tenant).into_iter().flat_map(|tenant| tenant.devices.keys());
        devices.flat_map(|device| self.victims_on(*device, tenant)).collect()
    }

    /// The holders that must leave the device so that the tenant fits beside the rest: those of the least priority, and
    /// among them those whose turns end first.
    pub(crate) fn victims_on(&self, device: DeviceId, tenant: TenantId) -> Vec<TenantId> {
        let at = &self.devices[&device];
        if !self.shares_devices() {
            return at.holders.iter().copied().filter(|&id| id != tenant).collect();
        }
        let own = self.facts(tenant, device);
        let more = if own.holds() { Bytes::ZERO } else { own.allocated };
        let usable =
            u128::from(self.usable_for(own, device).0).saturating_sub(self.credited_unevictable(own, device));
        let mut sum = at.index.held_allocated + u128::from(more.0);
        let mut leaving = Vec::new();
        for &(.., other) in at.index.preemption_order.iter().filter(|(.., other)| *other != tenant) {
            if sum <= usable {
                break;
            }
            sum -= u128::from(self.facts(other, device).allocated.0);
            leaving.push(other);
        }
        leaving
    }

    /// Whether a tenant that is running already may have the device too: nobody waits, and it fits. Who comes back after
    /// a restart comes before those who wait.
    pub(crate) fn may_join(&self, tenant: TenantId, device: DeviceId) -> bool {
        let back = self.now < self.settings.grace && self.lease(tenant).is_some_and(|l| l.id == LeaseId(0));
        (back || self.devices[&device].queue.is_empty()) && self.victims_on(device, tenant).is_empty()
    }

    /// Whether the holders together are larger than the device.
    pub(crate) fn is_overcommitted(&self, device: DeviceId) -> bool {
        let at = &self.devices[&device];
        let kept = at.index.unevictable.saturating_sub(at.index.held_unevictable);
        self.shares_devices()
            && at.holders.len() > 1
            && at.index.held_allocated > u128::from(self.usable(device).0).saturating_sub(kept)
    }

    /// When every turn is over that stands between the tenant and its devices. None: nobody is left
    /// to be revoked.
    pub(crate) fn earliest_preemption(&self, tenant: TenantId, way: &BTreeSet<TenantId>) -> Option<Nanos> {
        let request = match self.tenants.get(&tenant).map(|tenant| &tenant.stage) {
            Some(Stage::Waiting(request)) => Some(request),
            _ => None,
        };
        let eager = request.filter(|request| request.interactive).map(|request| request.since);
        let holders = way.iter().filter_map(|id| self.tenants.get(id));
        let staying = holders.filter_map(Tenant::lease).filter(|lease| lease.revocation.is_none());
        let ends = staying.map(|lease| {
            let by_priority =
                request.and_then(|request| self.preempted_by_priority_at(lease, tenant, request));
            let end = lease.turn_end();
            let by_haste = || eager.map_or(end, |since| end.min(lease.preemptible_at.max(since)));
            by_priority.unwrap_or_else(by_haste)
        });
        ends.max()
    }

    /// The tenant's turn, should it have one, lasts as long as the settings, its weight and what hand-overs cost say now.
    pub(crate) fn update_turn(&mut self, id: TenantId) {
        let Some(tenant) = self.tenants.get(&id) else { return };
        let Some(lease) = tenant.lease() else { return };
        let whole = || self.longest_quantum(lease.quantum_devices.iter(), tenant);
        let quantum = lease.continues.map_or_else(whole, |turn| turn.remaining);
        let slice_end = self.preemptible_at(lease);
        if let Some(lease) = self.tenants.get_mut(&id).and_then(Tenant::lease_mut) {
            (lease.quantum, lease.preemptible_at) = (quantum, slice_end);
        }
        self.reindex(id);
    }

    /// The same of all tenants.
    pub(crate) fn update_turns(&mut self) {
        let ids: Vec<TenantId> = self.tenants.iter().map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.update_turn(id));
    }

    /// How long a turn of weight 1 lasts on the device, or on one of which nothing is known.
    pub(crate) fn device_quantum(&self, device: Option<DeviceId>) -> Nanos {
        match self.settings.quantum_of(device) {
            Quantum::Fixed(length) => length,
            Quantum::Auto => match device.and_then(|id| self.devices.get(&id)).map(Device::cost) {
                None | Some(Nanos::ZERO) => seconds(2),
                Some(cost) => Nanos(cost.0.saturating_mul(AUTO_FACTOR)).clamp(AUTO_RANGE.0, AUTO_RANGE.1),
            },
        }
    }

    /// How long the tenant's turns last: as long as the longest of its devices' turns, times its weight, within bounds.
    pub(crate) fn tenant_quantum(&self, tenant: &Tenant) -> Nanos {
        self.longest_quantum(tenant.devices.keys(), tenant)
    }

    fn longest_quantum<'a>(&self, devices: impl Iterator<Item = &'a DeviceId>, tenant: &Tenant) -> Nanos {
        let longest = devices.map(|device| self.device_quantum(Some(*device))).max();
        let quantum = longest.unwrap_or_else(|| self.device_quantum(None));
        self.settings.weighted(quantum, tenant.weight())
    }

    /// Whether this lease may have to end at any time.
    pub(crate) fn is_contended(&self, lease: &Lease) -> bool {
        lease.has_quota || self.is_waited_for(lease)
    }

    /// Whether anybody waits for a device that this lease keeps.
    pub(crate) fn is_waited_for(&self, lease: &Lease) -> bool {
        lease.devices.iter().any(|device| !self.devices[device].queue.is_empty())
    }

    pub(crate) fn lease(&self, tenant: TenantId) -> Option<&Lease> {
        match &self.tenants.get(&tenant)?.stage {
            Stage::Leased(lease) => Some(lease),
            _ => None,
        }
    }
}
