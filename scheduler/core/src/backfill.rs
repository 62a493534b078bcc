//! Backfill: a tenant that needs several devices and waits for one of them keeps the others free only for the last turns
//! that fit. Until then those behind it have turns there that end before it could begin.
use crate::Core;
use crate::event::TenantId;
use crate::tenant::Tenant;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::{BTreeMap, BTreeSet};

/// For so many tenants with several devices it is planned when they could begin. Those behind them are in nobody's way.
const PLANNED: usize = 32;

/// The times of a device that are kept for tenants with several.
#[derive(Clone, Debug, Default)]
struct Kept {
    turns: Vec<(Nanos, Nanos)>,
    next: Option<(Nanos, TenantId)>,
}

/// For whom each device is next of those that use several, and when it could begin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan(BTreeMap<DeviceId, (Nanos, TenantId)>);

impl Core {
    /// Who is to have the device next.
    pub(crate) fn next_here(&self, device: DeviceId) -> Option<TenantId> {
        let queue = &self.devices.get(&device)?.queue;
        let single = queue.single.first().map(|(_, id)| *id);
        let Some(&(_, planned)) = self.plan.0.get(&device) else { return single };
        let fits = self.backfill_ends(device).is_some();
        Some(single.filter(|_| fits).unwrap_or(planned))
    }

    /// From when on no turn of one that uses the device alone fits any more before the next one of those that use several,
    /// if one does now.
    pub(crate) fn backfill_ends(&self, device: DeviceId) -> Option<Nanos> {
        let (start, _) = self.plan.0.get(&device)?;
        let (_, single) = self.devices.get(&device)?.queue.single.first()?;
        let end = start.saturating_sub(self.lasts(self.tenants.get(single)?));
        Some(end).filter(|end| self.now < *end)
    }

    /// How long a turn of the tenant's takes, hand-overs included.
    fn lasts(&self, tenant: &Tenant) -> Nanos {
        let cost = tenant.devices.keys().filter_map(|device| Some(self.devices.get(device)?.cost()));
        self.quantum(tenant).saturating_add(cost.max().unwrap_or_default())
    }

    /// What is decided about one of these devices matters to the others for which the same tenants wait.
    pub(crate) fn add_planned(&self, devices: &mut BTreeSet<DeviceId>) {
        let waits = |device: &DeviceId| self.devices.get(device).is_some_and(|at| !at.queue.clear.is_empty());
        if devices.iter().any(|device| waits(device) || self.plan.0.contains_key(device)) {
            devices.extend(self.plan.0.keys());
            let planned = self.clear.iter().take(PLANNED);
            let theirs = planned.filter_map(|(_, id)| self.tenants.get(id)).flat_map(|of| of.devices.keys());
            devices.extend(theirs);
        }
    }

    /// When those with several devices that nobody with one stands before could begin, in their order: each as early as it
    /// can without putting off one before it.
    pub(crate) fn make_plan(&mut self) {
        if self.clear.is_empty() && self.plan.0.is_empty() {
            return;
        }
        let mut kept: BTreeMap<DeviceId, Kept> = BTreeMap::new();
        for &(_, id) in self.clear.iter().take(PLANNED) {
            let Some(tenant) = self.tenants.get(&id) else { continue };
            let lasts = self.lasts(tenant);
            let mut start = self.could_begin(id);
            let taken = |start: Nanos| {
                let turns =
                    tenant.devices.keys().filter_map(|device| kept.get(device)).flat_map(|at| &at.turns);
                let overlap = turns.filter(|turn| start < turn.1 && turn.0 <= start.saturating_add(lasts));
                overlap.map(|turn| turn.1).min()
            };
            while let Some(end) = taken(start) {
                start = end;
            }
            for device in tenant.devices.keys() {
                let at = kept.entry(*device).or_default();
                at.turns.push((start, start.saturating_add(lasts)));
                at.next = at.next.filter(|(first, _)| *first <= start).or(Some((start, id)));
            }
        }
        self.plan = Plan(kept.into_iter().filter_map(|(device, at)| Some((device, at.next?))).collect());
    }

    /// When all who are in the tenant's way have had their turns. While one of them still waits for its memory nobody knows.
    fn could_begin(&self, id: TenantId) -> Nanos {
        let way = self.in_the_way(id);
        let runs = |other: &TenantId| self.lease(*other).is_some_and(|lease| lease.ready.is_some());
        let clear_at = self.way_is_clear_at(id, &way).filter(|_| way.iter().all(runs));
        clear_at.map_or(self.now, |at| at.max(self.now))
    }
}
