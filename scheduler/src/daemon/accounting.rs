//! Counts what happens, for the metrics.
use super::content::{Bounds, Content};
use super::tenant_table::Members;
use crate::devices::Devices;
use crate::metrics::counts::{Counts, Moved, Skipped};
use crate::metrics::exposition::Picture;
use crate::swap::ledger::Ledger;
use crate::usage::Totals;
use nvshare_core::MemoryUse;
use nvshare_core::event::TenantId;
use nvshare_protocol::control::Status;
use nvshare_protocol::tenant::{Moves, Ready, Released, Share};
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

    /// Counts what has moved by the tenant's own counters; what is believed of them. None: it is not its device.
    pub fn moves(&mut self, tenant: TenantId, said: Moves, now: Nanos) -> Option<Moves> {
        let device = said.device;
        let member = self.members.get_mut(tenant).filter(|member| member.devices.contains_key(&device))?;
        let capacity = self.devices.get(device).map_or(Bytes::ZERO, |known| known.capacity);
        let bounds = Bounds { capacity, time: now.saturating_sub(member.since) };
        // It has swap space from a scheduler before this one, or from an earlier connection.
        let goes_on = member.hello.swap.is_some_and(|held| held > Bytes::ZERO);
        let begin = || if goes_on { Content::since(said) } else { Content::default() };
        let content = member.content.entry(device).or_insert_with(begin);
        let (moved, skipped) = content.take(said, bounds);
        let believed = content.believed();
        member.moved.add(moved);
        member.counted.moved.entry(device).or_default().add(moved);
        if let Some(counts) = self.devices.counts(device) {
            counts.moved.add(moved);
            counts.skipped.add(skipped);
        }
        Some(believed)
    }

    /// Counts what a tenant says that it has brought in or moved out. One that tells what of it was copied is counted by
    /// that instead.
    fn moved(&mut self, tenant: TenantId, shares: &[Share], way: impl Fn(Bytes) -> Moved) {
        let Some(member) = self.members.get_mut(tenant) else { return };
        let counts = |device| member.devices.contains_key(&device) && !member.content.contains_key(&device);
        let shares: Vec<Share> = shares.iter().copied().filter(|share| counts(share.device)).collect();
        for share in shares {
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
    let skipped = |id: u64| {
        let member = members.get(TenantId(id));
        let of = member.into_iter().flat_map(|member| &member.content);
        of.map(|(device, content)| (device.to_string(), content.skipped)).collect::<Vec<(String, Skipped)>>()
    };
    let counts = |id: DeviceId| devices.get(id).map(|known| known.counts.clone()).unwrap_or_default();
    Picture {
        swap_budget: ledger.total().0,
        swap_used: ledger.used().0,
        totals: totals.clone(),
        gangs,
        devices: ids.into_iter().map(|id| (id.to_string(), counts(id))).collect(),
        tenants: status.tenants.iter().map(|row| moved(row.id)).collect(),
        skipped: status.tenants.iter().map(|row| skipped(row.id)).collect(),
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
