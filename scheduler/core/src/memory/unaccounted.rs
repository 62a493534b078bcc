//! Memory that nobody has told of: each process's context takes some, and so do programs outside of nvshare where NVML is
//! silent. It shows when the driver refuses a tenant what should fit. That is believed of this tenant alone: whoever says so
//! needs more room itself, and takes none from others by it.
use crate::Core;
use crate::event::TenantId;
use crate::model::tenant::Tenant;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::BTreeSet;

/// For how long a refusal is believed, the first time and at most: each time that it comes again soon after that, for
/// twice as long. The first may have met memory that was only on its way out, or tenants that had not come back yet.
pub const UNACCOUNTED_FOR: (Nanos, Nanos) = (Nanos::from_millis(5_000), Nanos::from_millis(320_000));
/// The driver gives physical memory in multiples of this (every device so far).
const GRANULE: Bytes = Bytes(2 << 20);

/// What is taken of a device that neither a tenant nor NVML has told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unaccounted {
    pub bytes: Bytes,
    /// Until when that is believed, and for how long it was.
    until: Nanos,
    lasts: Nanos,
}

impl Unaccounted {
    /// When it is believed no more.
    pub fn expires_at(&self) -> Option<Nanos> {
        (self.bytes > Bytes::ZERO).then_some(self.until)
    }
}

impl Tenant {
    /// How much less there is for it than others and NVML tell.
    pub(crate) fn unseen(&self, device: DeviceId) -> Bytes {
        self.reports.get(&device).map_or(Bytes::ZERO, |words| words.unaccounted.bytes)
    }
}

impl Core {
    /// How much of the device is taken, for this tenant, though neither a tenant nor NVML has told of it.
    #[must_use]
    pub fn unseen(&self, id: TenantId, device: DeviceId) -> Bytes {
        self.tenants.get(&id).map_or(Bytes::ZERO, |tenant| tenant.unseen(device))
    }

    /// The driver refused memory of at least so many bytes: less than that is free.
    pub(crate) fn on_memory_refused(&mut self, id: TenantId, device: DeviceId, bytes: Bytes) {
        if bytes == Bytes::ZERO || !self.tenants.get(&id).is_some_and(|t| t.devices.contains_key(&device)) {
            return;
        }
        // Ahead of its turn it may have met memory that is only on its way out. It is told again when there is more room.
        let leaves = self.devices[&device].index.evicting.iter().any(|other| *other != id);
        if leaves && self.lease(id).is_none() {
            return;
        }
        self.record_refusal(id, device, bytes);
        // What it was told to bring in beyond that has not come. It is told again when there is room.
        let most = self.memory_of(id, device).resident.saturating_add(self.free_for(id, device));
        if let Some(told) = self.tenants.get_mut(&id).and_then(|tenant| tenant.prefetch.get_mut(&device)) {
            *told = most.min(*told);
            self.reindex(id);
        }
    }

    fn record_refusal(&mut self, id: TenantId, device: DeviceId, bytes: Bytes) {
        let (now, free) = (self.now, self.free_for(id, device));
        let capacity = self.devices.get(&device).map_or(Bytes::ZERO, |at| at.capacity);
        let Some(tenant) = self.tenants.get_mut(&id).filter(|_| free >= bytes) else { return };
        let Some(unseen) = tenant.reports.get_mut(&device).map(|words| &mut words.unaccounted) else {
            return;
        };
        let more = free.saturating_sub(bytes).saturating_add(GRANULE);
        let Unaccounted { until, lasts: span, .. } = *unseen;
        let again = span > Nanos::ZERO && now < until.saturating_add(span);
        let span = match again {
            _ if now < until => span,
            true => Nanos(span.0.saturating_mul(2)).min(UNACCOUNTED_FOR.1),
            false => UNACCOUNTED_FOR.0,
        };
        let bytes = unseen.bytes.saturating_add(more).min(capacity);
        *unseen = Unaccounted { bytes, until: now.saturating_add(span), lasts: span };
        self.reindex(id);
        self.resolve_growth(id, device);
    }

    /// What is there of the tenant itself is taken by nobody else.
    pub(crate) fn cap_unaccounted(&mut self, id: TenantId, device: DeviceId) {
        let most = self.usable(device).saturating_sub(self.memory_of(id, device).resident);
        let words = self.tenants.get_mut(&id).and_then(|tenant| tenant.reports.get_mut(&device));
        if let Some(unseen) = words.map(|words| &mut words.unaccounted).filter(|unseen| unseen.bytes > most) {
            unseen.bytes = most;
        }
    }

    /// What was believed for long enough is not any more.
    pub(crate) fn expire_unaccounted(&mut self, devices: &BTreeSet<DeviceId>) {
        for &device in devices {
            while let Some(&(at, id)) =
                self.devices.get(&device).and_then(|at| at.index.unaccounted_timers.first())
                && at <= self.now
            {
                self.forget_unaccounted(id, device);
            }
        }
    }

    /// A tenant that has used the device is gone, and its context with it: there may be room for all.
    pub(crate) fn forget_unaccounted_on(&mut self, device: DeviceId) {
        let believers = self.devices.get(&device).into_iter().flat_map(|at| &at.index.unaccounted_timers);
        let believers: Vec<TenantId> = believers.map(|(_, id)| *id).collect();
        believers.into_iter().for_each(|id| self.forget_unaccounted(id, device));
    }

    fn forget_unaccounted(&mut self, id: TenantId, device: DeviceId) {
        if let Some(words) = self.tenants.get_mut(&id).and_then(|tenant| tenant.reports.get_mut(&device)) {
            words.unaccounted.bytes = Bytes::ZERO;
        }
        self.reindex(id);
    }
}
