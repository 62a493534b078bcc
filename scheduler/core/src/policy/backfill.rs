//! Backfill: a tenant that needs several devices and waits for one of them keeps the others free only for the last turns
//! that fit. Until then those behind it have turns there that end before it could begin.
use crate::Core;
use crate::event::TenantId;
use crate::model::tenant::Tenant;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::{BTreeMap, BTreeSet};

/// When they could begin is planned for so many tenants with several devices at each of these. Those behind them are in
/// nobody's way.
const PLANNED_HEADS: usize = 8;
/// So many of those that use a device alone are looked at for one whose turn fits into a gap.
const CANDIDATES: usize = 8;

/// The times of a device that are kept for tenants with several.
#[derive(Clone, Debug, Default)]
struct Timeline {
    reserved: Vec<(Nanos, Nanos)>,
    next: Option<(Nanos, TenantId)>,
}

/// For whom each device is next of those that use several, and when it could begin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan(BTreeMap<DeviceId, (Nanos, TenantId)>);

impl Core {
    /// Who is to have the device next.
    pub(crate) fn next_at(&self, device: DeviceId) -> Option<TenantId> {
        let single = || Some(self.devices.get(&device)?.queue.single.first()?.1);
        let Some(&(_, planned)) = self.plan.0.get(&device) else { return single() };
        Some(self.backfill_candidate(device).map_or(planned, |(id, _)| id))
    }

    /// The first of those that use the device alone whose turn is over before the next one of those that use several begins,
    /// and until when it could begin itself.
    fn backfill_candidate(&self, device: DeviceId) -> Option<(TenantId, Nanos)> {
        let (start, _) = self.plan.0.get(&device)?;
        let singles = self.devices.get(&device)?.queue.single.iter().take(CANDIDATES);
        let mut until = singles.filter_map(|(_, id)| {
            Some((*id, start.saturating_sub(self.turn_duration(self.tenants.get(id)?))))
        });
        until.find(|(id, until)| self.earliest_start(*id) < *until)
    }

    /// From when on the turn of the one that goes first does not fit any more.
    pub(crate) fn backfill_until(&self, device: DeviceId) -> Option<Nanos> {
        self.backfill_candidate(device).map(|(_, until)| until)
    }

    /// How long a turn of the tenant's takes, hand-overs included.
    fn turn_duration(&self, tenant: &Tenant) -> Nanos {
        let cost = tenant.devices.keys().filter_map(|device| Some(self.devices.get(device)?.cost()));
        self.tenant_quantum(tenant).saturating_add(cost.max().unwrap_or_default())
    }

    /// Those who are among the first at each of their devices, in their order.
    fn planned_heads(&self) -> Vec<TenantId> {
        let mut places: BTreeMap<(u64, TenantId), usize> = BTreeMap::new();
        let waited_for = self.devices.values().filter(|at| !at.queue.heads.is_empty());
        for entry in waited_for.flat_map(|at| at.queue.heads.iter().take(PLANNED_HEADS)) {
            *places.entry(*entry).or_default() += 1;
        }
        let is_first =
            |id: &TenantId, at: usize| self.tenants.get(id).is_some_and(|of| of.devices.len() == at);
        places.into_iter().filter(|((_, id), at)| is_first(id, *at)).map(|((_, id), _)| id).collect()
    }

    /// When those with several devices that nobody with one stands before could begin, in their order: each as early as it
    /// can without putting off one before it. To be made anew when something has changed at one of the devices; those about
    /// which something else is to be decided then are added to these.
    pub(crate) fn replan(&mut self, devices: &mut BTreeSet<DeviceId>) {
        let waits = |device: &DeviceId| self.devices.get(device).is_some_and(|at| !at.queue.heads.is_empty());
        if !devices.iter().any(|device| waits(device) || self.plan.0.contains_key(device)) {
            return;
        }
        let plan = self.compute_plan();
        let before = std::mem::replace(&mut self.plan, plan);
        let both = || self.plan.0.keys().chain(before.0.keys());
        let entry = |plan: &Plan, device| plan.0.get(device).copied();
        let changed = both().filter(|device| entry(&self.plan, device) != entry(&before, device));
        devices.extend(changed.copied().collect::<Vec<_>>());
        // Whether one of them is next depends on all of its devices.
        let planned = devices.iter().flat_map(|device| [entry(&self.plan, device), entry(&before, device)]);
        let planned: BTreeSet<TenantId> = planned.flatten().map(|(_, id)| id).collect();
        let theirs = planned.iter().filter_map(|id| self.tenants.get(id));
        devices.extend(theirs.flat_map(|tenant| tenant.devices.keys()));
    }

    fn compute_plan(&self) -> Plan {
        let mut kept: BTreeMap<DeviceId, Timeline> = BTreeMap::new();
        for id in self.planned_heads() {
            let Some(tenant) = self.tenants.get(&id) else { continue };
            let lasts = self.turn_duration(tenant);
            let mut start = self.earliest_start(id);
            let taken = |start: Nanos| {
                let turns =
                    tenant.devices.keys().filter_map(|device| kept.get(device)).flat_map(|at| &at.reserved);
                let overlap = turns.filter(|turn| start < turn.1 && turn.0 <= start.saturating_add(lasts));
                overlap.map(|turn| turn.1).min()
            };
            while let Some(end) = taken(start) {
                start = end;
            }
            for device in tenant.devices.keys() {
                let at = kept.entry(*device).or_default();
                at.reserved.push((start, start.saturating_add(lasts)));
                at.next = at.next.filter(|(first, _)| *first <= start).or(Some((start, id)));
            }
        }
        Plan(kept.into_iter().filter_map(|(device, at)| Some((device, at.next?))).collect())
    }

    /// When all who are in the tenant's way have had their turns. While one of them still waits for its memory nobody knows.
    fn earliest_start(&self, id: TenantId) -> Nanos {
        let way = self.conflicting_holders(id);
        let runs = |other: &TenantId| self.lease(*other).is_some_and(|lease| lease.ready_at.is_some());
        let clear_at = self.earliest_preemption(id, &way).filter(|_| way.iter().all(runs));
        clear_at.map_or(self.now, |at| at.max(self.now))
    }
}
