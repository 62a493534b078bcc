//! Who may hold at the same time, and until when. Everything else asks here.
use crate::Core;
use crate::device::Device;
use crate::event::{Evict, TenantId};
use crate::lease::Lease;
use crate::settings::{AUTO_FACTOR, AUTO_RANGE, Quantum, seconds};
use crate::tenant::{Stage, Tenant};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};
use std::collections::BTreeSet;

impl Core {
    /// Whether tenants that fit on a device together run together at present.
    pub(crate) fn shares(&self) -> bool {
        self.settings.share && self.settings.evict != Evict::Always
    }

    /// Until when the tenant waits for those who may hold its devices since before this run. Where tenants share devices
    /// there may be more of them than have said so.
    pub(crate) fn grace(&self, tenant: TenantId) -> Option<Nanos> {
        if self.settings.grace <= self.now {
            return None;
        }
        let mut devices = self.tenants.get(&tenant)?.devices.keys();
        let known = !self.shares() && devices.all(|device| self.devices[device].regained);
        (!known).then_some(self.settings.grace)
    }

    /// The holders that must be gone before the tenant can be granted its devices.
    pub(crate) fn in_the_way(&self, tenant: TenantId) -> BTreeSet<TenantId> {
        let devices = self.tenants.get(&tenant).into_iter().flat_map(|tenant| tenant.devices.keys());
        devices.flat_map(|device| self.too_many(*device, tenant)).collect()
    }

    /// The holders that must leave the device so that the tenant fits beside the rest: those of the least priority, and
    /// among them those whose turns end first.
    pub(crate) fn too_many(&self, device: DeviceId, tenant: TenantId) -> Vec<TenantId> {
        let at = &self.devices[&device];
        if !self.shares() {
            return at.holders.iter().copied().filter(|&id| id != tenant).collect();
        }
        let own = self.standing(tenant, device);
        let more = if own.holds() { Bytes::ZERO } else { own.allocated };
        let usable = u128::from(self.usable_by(own, device).0).saturating_sub(self.believed(own, device));
        let mut sum = at.standings.allocated + u128::from(more.0);
        let mut leaving = Vec::new();
        for &(.., other) in at.standings.turns.iter().filter(|(.., other)| *other != tenant) {
            if sum <= usable {
                break;
            }
            sum -= u128::from(self.standing(other, device).allocated.0);
            leaving.push(other);
        }
        leaving
    }

    /// Whether a tenant that is running already may have the device too: nobody waits, and it fits. Who comes back after
    /// a restart comes before those who wait.
    pub(crate) fn may_join(&self, tenant: TenantId, device: DeviceId) -> bool {
        let back = self.now < self.settings.grace && self.lease(tenant).is_some_and(|l| l.id == LeaseId(0));
        (back || self.devices[&device].queue.is_empty()) && self.too_many(device, tenant).is_empty()
    }

    /// Whether the holders together are larger than the device.
    pub(crate) fn is_outgrown(&self, device: DeviceId) -> bool {
        let at = &self.devices[&device];
        let kept = at.standings.fixed.saturating_sub(at.standings.immovable);
        self.shares()
            && at.holders.len() > 1
            && at.standings.allocated > u128::from(self.usable(device).0).saturating_sub(kept)
    }

    /// When every turn is over that stands between the tenant and its devices. None: nobody is left
    /// to be revoked.
    pub(crate) fn way_is_clear_at(&self, tenant: TenantId, way: &BTreeSet<TenantId>) -> Option<Nanos> {
        let request = match self.tenants.get(&tenant).map(|tenant| &tenant.stage) {
            Some(Stage::Waiting(request)) => Some(request),
            _ => None,
        };
        let eager = request.filter(|request| request.eager).map(|request| request.since);
        let holders = way.iter().filter_map(|id| self.tenants.get(id));
        let staying = holders.filter_map(Tenant::lease).filter(|lease| lease.revocation.is_none());
        let ends = staying.map(|lease| {
            let by_priority = request.and_then(|request| self.by_priority(lease, tenant, request));
            let end = lease.turn_end();
            let by_haste = || eager.map_or(end, |since| end.min(lease.slice_end.max(since)));
            by_priority.unwrap_or_else(by_haste)
        });
        ends.max()
    }

    /// The tenant's turn, should it have one, lasts as long as the settings, its weight and what hand-overs cost say now.
    pub(crate) fn measure_turn(&mut self, id: TenantId) {
        let Some(tenant) = self.tenants.get(&id) else { return };
        let Some(lease) = tenant.lease() else { return };
        let whole = || self.longest(lease.timed_by.iter(), tenant);
        let quantum = lease.goes_on.map_or_else(whole, |turn| turn.rest);
        let slice_end = self.slice_end(lease);
        if let Some(lease) = self.tenants.get_mut(&id).and_then(Tenant::lease_mut) {
            (lease.quantum, lease.slice_end) = (quantum, slice_end);
        }
        self.changed(id);
    }

    /// The same of all tenants.
    pub(crate) fn measure_turns(&mut self) {
        let ids: Vec<TenantId> = self.tenants.iter().map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.measure_turn(id));
    }

    /// How long a turn of weight 1 lasts on the device, or on one of which nothing is known.
    pub(crate) fn turn(&self, device: Option<DeviceId>) -> Nanos {
        match self.settings.quantum_of(device) {
            Quantum::Fixed(length) => length,
            Quantum::Auto => match device.and_then(|id| self.devices.get(&id)).map(Device::cost) {
                None | Some(Nanos::ZERO) => seconds(2),
                Some(cost) => Nanos(cost.0.saturating_mul(AUTO_FACTOR)).clamp(AUTO_RANGE.0, AUTO_RANGE.1),
            },
        }
    }

    /// How long the tenant's turns last: as long as the longest of its devices' turns, times its weight, within bounds.
    pub(crate) fn quantum(&self, tenant: &Tenant) -> Nanos {
        self.longest(tenant.devices.keys(), tenant)
    }

    fn longest<'a>(&self, devices: impl Iterator<Item = &'a DeviceId>, tenant: &Tenant) -> Nanos {
        let longest = devices.map(|device| self.turn(Some(*device))).max();
        let quantum = longest.unwrap_or_else(|| self.turn(None));
        self.settings.weighted(quantum, tenant.weight())
    }

    /// Whether this lease may have to end at any time.
    pub(crate) fn is_contended(&self, lease: &Lease) -> bool {
        lease.limited || self.is_waited_for(lease)
    }

    /// Whether anybody waits for a device that this lease keeps.
    pub(crate) fn is_waited_for(&self, lease: &Lease) -> bool {
        lease.held.iter().any(|device| !self.devices[device].queue.is_empty())
    }

    pub(crate) fn lease(&self, tenant: TenantId) -> Option<&Lease> {
        match &self.tenants.get(&tenant)?.stage {
            Stage::Leased(lease) => Some(lease),
            _ => None,
        }
    }
}
