//! Counts what happens, for the metrics.
use super::tenant_table::Members;
use crate::devices::Devices;
use crate::metrics::counts::{Counts, Moved};
use crate::metrics::exposition::Picture;
use crate::swap::ledger::Ledger;
use crate::usage::Totals;
use nvshare_core::MemoryUse;
use nvshare_core::event::TenantId;
use nvshare_protocol::control::Status;
use nvshare_protocol::tenant::{Ready, Released, Share};
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::sync::Arc;

/// Scrapes within this time get the same text, so that frequent ones do not keep the loop busy.
const FRESH: Nanos = Nanos::from_millis(100);

/// The counts of tenants and of devices.
pub struct Accounts<'a> {
    pub members: &'a mut Members,
    pub devices: &'a mut Devices,
}

impl Accounts<'_> {
    pub fn fetched(&mut self, tenant: TenantId, ready: &Ready) {
        self.moved(tenant, &ready.fetched, |bytes| Moved { into: bytes, out: Bytes::ZERO });
        self.durations(tenant, |counts| counts.fetch.add(ready.took));
    }

    pub fn released(&mut self, tenant: TenantId, released: &Released) {
        self.evicted(tenant, &released.evicted);
        self.durations(tenant, |counts| {
            counts.drain.add(released.drain);
            if released.evict > Nanos::ZERO {
                counts.evict.add(released.evict);
            }
        });
    }

    pub fn evicted(&mut self, tenant: TenantId, shares: &[Share]) {
        self.moved(tenant, shares, |bytes| Moved { into: Bytes::ZERO, out: bytes });
    }

    /// Counts what a tenant prefetches, by what it had `before` its report and has `now`. It reports that only as memory
    /// that has become resident and was not allocated meanwhile; while its gate is shut, nothing else makes memory resident.
    pub fn prefetched(&mut self, tenant: TenantId, device: DeviceId, before: MemoryUse, now: MemoryUse) {
        let allocated = now.allocated.saturating_sub(before.allocated);
        let bytes = now.resident.saturating_sub(before.resident).saturating_sub(allocated);
        let holds = self.members.get(tenant).is_none_or(|member| member.holds());
        if !holds && bytes > Bytes::ZERO {
            let share = Share { device, bytes };
            self.moved(tenant, &[share], |bytes| Moved { into: bytes, out: Bytes::ZERO });
        }
    }

    fn moved(&mut self, tenant: TenantId, shares: &[Share], way: impl Fn(Bytes) -> Moved) {
        let Some(member) = self.members.get_mut(tenant) else { return };
        for share in shares.iter().filter(|share| member.devices.contains_key(&share.device)) {
            // The tenant says so: it is believed as far as it is possible.
            let capacity = self.devices.get(share.device).map_or(Bytes::ZERO, |known| known.capacity);
            let moved = way(share.bytes.min(capacity));
            member.moved.add(moved);
            member.counted.moved.entry(share.device).or_default().add(moved);
            if let Some(counts) = self.devices.counts(share.device) {
                counts.moved.add(moved);
            }
        }
    }

    fn durations(&mut self, tenant: TenantId, add: impl Fn(&mut Counts)) {
        let devices: Vec<DeviceId> =
            self.members.get(tenant).map_or_else(Vec::new, |member| member.devices.keys().copied().collect());
        for device in devices {
            if let Some(counts) = self.devices.counts(device) {
                add(counts);
            }
        }
    }
}

/// Everything of one moment; `ids` are the status's devices, in its order.
pub fn picture(
    status: Status,
    ids: Vec<DeviceId>,
    members: &Members,
    devices: &Devices,
    ledger: &Ledger,
    (totals, gangs): (&Totals, usize),
) -> Picture {
    let moved = |id: u64| members.get(TenantId(id)).map(|member| member.moved).unwrap_or_default();
    let counts = |id: DeviceId| devices.get(id).map(|known| known.counts.clone()).unwrap_or_default();
    Picture {
        swap_budget: ledger.total().0,
        swap_used: ledger.used().0,
        totals: totals.clone(),
        gangs,
        devices: ids.into_iter().map(|id| (id.to_string(), counts(id))).collect(),
        tenants: status.tenants.iter().map(|row| moved(row.id)).collect(),
        status,
    }
}

/// The last text for the metrics, and when it was made.
#[derive(Debug, Default)]
pub struct Exposition(Option<(Nanos, Arc<str>)>);

impl Exposition {
    /// The text, if it is recent.
    pub fn fresh(&self, now: Nanos) -> Option<Arc<str>> {
        let (at, text) = self.0.as_ref()?;
        (now.saturating_sub(*at) < FRESH).then(|| Arc::clone(text))
    }

    pub fn renew(&mut self, now: Nanos, text: String) -> Arc<str> {
        let text: Arc<str> = text.into();
        self.0 = Some((now, Arc::clone(&text)));
        text
    }
}
