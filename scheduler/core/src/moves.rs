//! Memory that moves beside the turns: leftovers that make room, and what is fetched ahead.
use crate::Core;
use crate::event::{Action, TenantId};
use crate::tenant::Leaving;
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::{BTreeMap, BTreeSet};

/// Fetching ahead is told again when so much more can come.
const STEP: Bytes = Bytes(128 << 20);
/// How fast memory comes in where that has not been measured, bytes a second.
const RATE: u64 = 20_000_000_000;
/// Fetching ahead begins so much earlier than it must, for messages and other delays.
const MARGIN: Nanos = Nanos::from_millis(30);

impl Core {
    /// Asks those who do not hold to move out what is in the tenant's way, longest ago granted first.
    pub(crate) fn make_room(&mut self, id: TenantId) {
        let devices = self.devices_of(id);
        let mut asked: BTreeMap<TenantId, Vec<Share>> = BTreeMap::new();
        for device in devices {
            let outgoing = u64::try_from(self.outgoing(id, device)).unwrap_or(u64::MAX);
            let mut short = self.short(id, device).saturating_sub(Bytes(outgoing));
            for &(_, other) in
                self.devices[&device].standings.leftovers.iter().filter(|(_, other)| *other != id)
            {
                if short == Bytes::ZERO {
                    break;
                }
                if !self.must_move(other) {
                    continue;
                }
                let bytes = self.tenants[&other].movable_soon(device).min(short);
                short = short.saturating_sub(bytes);
                asked.entry(other).or_default().push(Share { device, bytes });
            }
        }
        asked.into_iter().for_each(|(other, shares)| self.move_out(other, shares));
    }

    fn move_out(&mut self, id: TenantId, shares: Vec<Share>) {
        let (until, alive_by) = (
            self.now.saturating_add(self.settings.evict_bound),
            self.now.saturating_add(self.settings.silence),
        );
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let (had, least) = (tenant.resident_soon(), tenant.resident());
        tenant.leaving = Some(Leaving { until, alive_by, had, least });
        self.note_outgoing(id, &shares);
        self.actions.push(Action::Evict { tenant: id, shares });
    }

    /// The tenant has moved out what it could, or is gone.
    pub(crate) fn moved_out(&mut self, id: TenantId) {
        if let Some(tenant) = self.tenants.get_mut(&id)
            && let Some(leaving) = tenant.leaving.take()
        {
            tenant.stays = tenant.lease().is_none() && tenant.resident() >= leaving.had;
            tenant.fetching.clear();
            if tenant.lease().is_none_or(|lease| lease.revocation.is_none()) {
                tenant.keeps.clear();
            }
            self.changed(id);
        }
    }

    /// Those that do not say that they have moved out are not waited for any longer.
    pub(crate) fn forget_the_slow(&mut self, devices: &BTreeSet<DeviceId>) {
        let asked = devices.iter().filter_map(|device| self.devices.get(device));
        let slow = |id: &TenantId| self.tenants[id].leaving.is_some_and(|leaving| leaving.ends() <= self.now);
        let slow: BTreeSet<TenantId> =
            asked.flat_map(|device| &device.standings.outgoing).copied().filter(slow).collect();
        slow.into_iter().for_each(|id| self.moved_out(id));
    }

    /// Under `evict=always`, what a turn left behind goes when the next one has begun.
    pub(crate) fn sweep(&mut self) {
        for id in std::mem::take(&mut self.sweeps) {
            let Some(tenant) = self.tenants.get(&id) else { continue };
            let there = tenant.devices.iter().filter(|(_, memory)| memory.movable() > Bytes::ZERO);
            let shares: Vec<Share> = there.map(|(&device, _)| Share { device, bytes: Bytes::MAX }).collect();
            if !shares.is_empty() && tenant.may_move() {
                self.move_out(id, shares);
            }
        }
    }

    /// When the tenant's fetching ahead has to begin so that it ends with the turns in its way; none if there is nothing
    /// to fetch yet.
    pub(crate) fn fetch_begins(&self, id: TenantId, clear_at: Option<Nanos>) -> Option<Nanos> {
        self.ahead(id)?;
        // Holders that are on their way out: at once.
        let Some(clear_at) = clear_at else { return Some(self.now) };
        let tenant = self.tenants.get(&id)?;
        let time = tenant.devices.iter().map(|(device, memory)| {
            let rate = Some(self.devices[device].rate).filter(|rate| *rate > 0).unwrap_or(RATE);
            let lacks = memory.lacks().0;
            // Half as much again as it takes by itself, for the holder computes and others may move too.
            u64::try_from(u128::from(lacks) * 1_500_000_000 / u128::from(rate)).unwrap_or(u64::MAX)
        });
        Some(clear_at.saturating_sub(Nanos(time.max().unwrap_or(0))).saturating_sub(MARGIN))
    }

    /// What the tenant could bring in ahead of its grant, if that is news to it.
    fn ahead(&self, id: TenantId) -> Option<Vec<Share>> {
        let tenant = self.tenants.get(&id)?;
        let may = self.settings.overlap || tenant.lease().is_some();
        if !may || !self.must_move(id) || tenant.leaving.is_some() {
            return None;
        }
        let mut news = false;
        let shares = tenant.devices.iter().map(|(&device, memory)| {
            let most = memory.resident.0.saturating_add(self.free(id, device).0).min(memory.allocated.0);
            let told = tenant.fetching.get(&device).copied().unwrap_or(memory.resident);
            let more = most.saturating_sub(told.max(memory.resident).0);
            news |= more >= STEP.0 || more > 0 && most == memory.allocated.0;
            Share { device, bytes: Bytes(most) }
        });
        let shares: Vec<Share> = shares.collect();
        news.then_some(shares)
    }

    /// Lets the tenant bring in what there is room for.
    pub(crate) fn fetch_ahead(&mut self, id: TenantId) {
        let Some(shares) = self.ahead(id) else { return };
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.fetching = shares.iter().map(|share| (share.device, share.bytes)).collect();
        }
        self.changed(id);
        self.actions.push(Action::Fetch { tenant: id, shares });
    }

    /// A holder that has allocated more than is there: room is made for it.
    pub(crate) fn serve_holder(&mut self, id: TenantId) {
        let running = self.lease(id).is_some_and(|lease| lease.ready.is_some() && lease.revocation.is_none());
        let lacks = |(_, memory): (&DeviceId, &crate::tenant::Memory)| memory.allocated > memory.resident;
        if running && self.tenants[&id].devices.iter().any(lacks) {
            self.make_room(id);
            self.fetch_ahead(id);
        }
    }
}
