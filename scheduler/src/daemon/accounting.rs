//! What happens is counted, for the metrics.
use super::Daemon;
use super::members::Member;
use crate::metrics::counts::{Counts, Moved};
use crate::metrics::exposition::Picture;
use nvshare_core::event::TenantId;
use nvshare_protocol::tenant::{Memory, Ready, Released, Share};
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::sync::Arc;

/// Questions within this time get the same answer: whoever asks without pause does not keep the loop busy.
const FRESH: Nanos = Nanos::from_millis(100);

impl Daemon {
    pub(super) fn count_fetch(&mut self, tenant: TenantId, ready: &Ready) {
        self.count_moved(tenant, &ready.fetched, |bytes| Moved { into: bytes, out: Bytes::ZERO });
        self.count_durations(tenant, |counts| counts.fetch.add(ready.took));
    }

    pub(super) fn count_release(&mut self, tenant: TenantId, released: &Released) {
        self.count_out(tenant, &released.evicted);
        self.count_durations(tenant, |counts| {
            counts.drain.add(released.drain);
            if released.evict > Nanos::ZERO {
                counts.evict.add(released.evict);
            }
        });
    }

    pub(super) fn count_out(&mut self, tenant: TenantId, shares: &[Share]) {
        self.count_moved(tenant, shares, |bytes| Moved { into: Bytes::ZERO, out: bytes });
    }

    /// What a tenant brings in ahead of its grant is told only as memory that has become resident, and was not
    /// allocated meanwhile: its gate is shut, so that nothing else can make it so.
    pub(super) fn count_ahead(&mut self, tenant: TenantId, told: &Memory) {
        let enabled = self.core.enabled();
        let Some(member) = self.members.get_mut(tenant) else { return };
        let holds = member.holds();
        let Some(seen) = member.devices.get_mut(&told.device) else { return };
        let before = seen.tells(told);
        let allocated = told.allocated.saturating_sub(before.allocated);
        let bytes = told.resident.saturating_sub(before.resident).saturating_sub(allocated);
        if enabled && !holds && bytes > Bytes::ZERO {
            let share = Share { device: told.device, bytes };
            self.count_moved(tenant, &[share], |bytes| Moved { into: bytes, out: Bytes::ZERO });
        }
    }

    fn count_moved(&mut self, tenant: TenantId, shares: &[Share], way: impl Fn(Bytes) -> Moved) {
        let Some(member) = self.members.get_mut(tenant) else { return };
        for share in shares.iter().filter(|share| member.devices.contains_key(&share.device)) {
            // A word of the tenant's: it is taken for true as far as it is possible.
            let capacity = self.devices.get(share.device).map_or(Bytes::ZERO, |known| known.capacity);
            let moved = way(share.bytes.min(capacity));
            member.moved.add(moved);
            if let Some(counts) = self.devices.counts(share.device) {
                counts.moved.add(moved);
            }
        }
    }

    fn count_durations(&mut self, tenant: TenantId, add: impl Fn(&mut Counts)) {
        let devices: Vec<DeviceId> =
            self.members.get(tenant).map_or_else(Vec::new, |member| member.devices.keys().copied().collect());
        for device in devices {
            if let Some(counts) = self.devices.counts(device) {
                add(counts);
            }
        }
    }

    /// What a client of the metrics gets.
    pub(super) fn exposition(&mut self) -> Arc<str> {
        let now = self.clock.now();
        if let Some((at, text)) = &self.exposition
            && now.saturating_sub(*at) < FRESH
        {
            return Arc::clone(text);
        }
        let (status, ids) = self.status_and_devices();
        let tenants = status.tenants.iter().map(|row| {
            self.members.get(TenantId(row.id)).map(|member: &Member| member.moved).unwrap_or_default()
        });
        let counts =
            |id: DeviceId| self.devices.get(id).map(|known| known.counts.clone()).unwrap_or_default();
        let picture = Picture {
            swap_budget: self.ledger.total().0,
            swap_used: self.ledger.used().0,
            devices: ids.into_iter().map(|id| (id.to_string(), counts(id))).collect(),
            tenants: tenants.collect(),
            status,
        };
        let text: Arc<str> = picture.text().into();
        self.exposition = Some((now, Arc::clone(&text)));
        text
    }
}
