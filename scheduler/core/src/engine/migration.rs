//! Memory that moves beside the turns: leftovers that make room, and what is fetched ahead.
use crate::Core;
use crate::event::{Action, TenantId};
use crate::model::tenant::Eviction;
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::{BTreeMap, BTreeSet};

/// Fetching ahead is told again when so much more can come.
const PREFETCH_STEP: Bytes = Bytes(128 << 20);
/// How fast memory comes in where that has not been measured, bytes a second.
const DEFAULT_FETCH_RATE: u64 = 20_000_000_000;
/// Fetching ahead begins so much earlier than it must, for messages and other delays.
const PREFETCH_MARGIN: Nanos = Nanos::from_millis(30);

impl Core {
    /// Asks those who do not hold to move out what is in the tenant's way, longest ago granted first.
    pub(crate) fn reclaim_for(&mut self, id: TenantId) {
        let devices = self.devices_of(id);
        let mut asked: BTreeMap<TenantId, Vec<Share>> = BTreeMap::new();
        for device in devices {
            let outgoing = u64::try_from(self.outgoing_of_others(id, device)).unwrap_or(u64::MAX);
            let mut short = self.deficit(id, device).saturating_sub(Bytes(outgoing));
            for &(_, other) in self.devices[&device].index.leftovers.iter().filter(|(_, other)| *other != id)
            {
                if short == Bytes::ZERO {
                    break;
                }
                if !self.evicts_itself(other) {
                    continue;
                }
                let bytes = self.tenants[&other].evictable_soon(device).min(short);
                short = short.saturating_sub(bytes);
                asked.entry(other).or_default().push(Share { device, bytes });
            }
        }
        asked.into_iter().for_each(|(other, shares)| self.evict(other, shares));
    }

    fn evict(&mut self, id: TenantId, shares: Vec<Share>) {
        let (until, alive_by) = (
            self.now.saturating_add(self.settings.evict_bound),
            self.now.saturating_add(self.settings.silence),
        );
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let (had, least) = (tenant.resident_soon(), tenant.resident());
        tenant.eviction = Some(Eviction {
            deadline: until,
            alive_until: alive_by,
            resident_at_start: had,
            least_resident: least,
        });
        self.begin_eviction(id, &shares);
        self.actions.push(Action::Evict { tenant: id, shares });
    }

    /// The tenant has moved out what it could, or is gone.
    pub(crate) fn end_eviction(&mut self, id: TenantId) {
        if let Some(tenant) = self.tenants.get_mut(&id)
            && let Some(leaving) = tenant.eviction.take()
        {
            tenant.keeps_memory = tenant.lease().is_none() && tenant.resident() >= leaving.resident_at_start;
            tenant.prefetch.clear();
            if tenant.lease().is_none_or(|lease| lease.revocation.is_none()) {
                tenant.evict_down_to.clear();
            }
            self.reindex(id);
        }
    }

    /// Those that do not say that they have moved out are not waited for any longer.
    pub(crate) fn expire_evictions(&mut self, devices: &BTreeSet<DeviceId>) {
        let asked = devices.iter().filter_map(|device| self.devices.get(device));
        let slow =
            |id: &TenantId| self.tenants[id].eviction.is_some_and(|leaving| leaving.expires_at() <= self.now);
        let slow: BTreeSet<TenantId> =
            asked.flat_map(|device| &device.index.evicting).copied().filter(slow).collect();
        slow.into_iter().for_each(|id| self.end_eviction(id));
    }

    /// Under `evict=always`, what a turn left behind goes when the next one has begun.
    pub(crate) fn run_deferred_evictions(&mut self) {
        for id in std::mem::take(&mut self.deferred_evictions) {
            let Some(tenant) = self.tenants.get(&id) else { continue };
            let there = tenant.devices.iter().filter(|(_, memory)| memory.movable() > Bytes::ZERO);
            let shares: Vec<Share> = there.map(|(&device, _)| Share { device, bytes: Bytes::MAX }).collect();
            if !shares.is_empty() && tenant.may_be_asked_to_evict() {
                self.evict(id, shares);
            }
        }
    }

    /// When the tenant's fetching ahead has to begin so that it ends with the turns in its way; none if there is nothing
    /// to fetch yet.
    pub(crate) fn prefetch_starts_at(&self, id: TenantId, clear_at: Option<Nanos>) -> Option<Nanos> {
        self.prefetch_shares(id)?;
        // Holders that are on their way out: at once.
        let Some(clear_at) = clear_at else { return Some(self.now) };
        let tenant = self.tenants.get(&id)?;
        let time = tenant.devices.iter().map(|(device, memory)| {
            let rate =
                Some(self.devices[device].fetch_rate).filter(|rate| *rate > 0).unwrap_or(DEFAULT_FETCH_RATE);
            let lacks = memory.lacks().0;
            // Half as much again as it takes by itself, for the holder computes and others may move too.
            u64::try_from(u128::from(lacks) * 1_500_000_000 / u128::from(rate)).unwrap_or(u64::MAX)
        });
        Some(clear_at.saturating_sub(Nanos(time.max().unwrap_or(0))).saturating_sub(PREFETCH_MARGIN))
    }

    /// What the tenant could bring in ahead of its grant, if that is news to it.
    fn prefetch_shares(&self, id: TenantId) -> Option<Vec<Share>> {
        let tenant = self.tenants.get(&id)?;
        let may = self.settings.overlap || tenant.lease().is_some();
        if !may || !self.evicts_itself(id) || tenant.eviction.is_some() {
            return None;
        }
        let mut news = false;
        let shares = tenant.devices.iter().map(|(&device, memory)| {
            let most = memory.resident.0.saturating_add(self.free_for(id, device).0).min(memory.allocated.0);
            let told = tenant.prefetch.get(&device).copied().unwrap_or(memory.resident);
            let more = most.saturating_sub(told.max(memory.resident).0);
            news |= more >= PREFETCH_STEP.0 || more > 0 && most == memory.allocated.0;
            Share { device, bytes: Bytes(most) }
        });
        let shares: Vec<Share> = shares.collect();
        news.then_some(shares)
    }

    /// Lets the tenant bring in what there is room for.
    pub(crate) fn prefetch(&mut self, id: TenantId) {
        let Some(shares) = self.prefetch_shares(id) else { return };
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.prefetch = shares.iter().map(|share| (share.device, share.bytes)).collect();
        }
        self.reindex(id);
        self.actions.push(Action::Fetch { tenant: id, shares });
    }

    /// A holder that has allocated more than is there: room is made for it.
    pub(crate) fn serve_growth(&mut self, id: TenantId) {
        let running =
            self.lease(id).is_some_and(|lease| lease.ready_at.is_some() && lease.revocation.is_none());
        let lacks =
            |(_, memory): (&DeviceId, &crate::model::tenant::MemoryUse)| memory.allocated > memory.resident;
        if running && self.tenants[&id].devices.iter().any(lacks) {
            self.reclaim_for(id);
            self.prefetch(id);
        }
    }
}
