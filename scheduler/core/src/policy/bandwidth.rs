//! The most of a device's time that tenants may hold: so much of each period, as with the kernel's bandwidth control of
//! processors. Where nobody has such a quota nothing here costs anything.
use crate::Core;
use crate::event::TenantId;
use crate::model::lease::Lease;
use crate::model::tenant::{Stage, Tenant};
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeSet;

/// A period lasts so long at least. Where turns are taken with others, it lasts as long as it takes for a whole turn to
/// be the quota's part of it: shorter turns would go into hand-overs.
pub const PERIOD: Nanos = Nanos(Nanos::SECOND.0);

/// A tenant's quota. What the tenants of a group hold is counted together, and the least of their quotas holds for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    pub group: u64,
    /// 1 to 99.
    pub percent: u32,
}

impl Quota {
    /// What it comes to in the shortest period.
    fn of_period(self) -> Nanos {
        Nanos(PERIOD.0 / 100 * u64::from(self.percent))
    }
}

/// What a group has held of one device in the present period. The time in which several of it hold counts once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    start: Nanos,
    past: Nanos,
    /// Who holds now, with the gate open or about to shut, and since when anybody does.
    pub holders: BTreeSet<TenantId>,
    since: Nanos,
    /// Of the last one who held.
    last_percent: u32,
}

impl Usage {
    fn used(&self, now: Nanos) -> Nanos {
        let present = if self.holders.is_empty() { Nanos::ZERO } else { now.saturating_sub(self.since) };
        self.past.saturating_add(present)
    }

    /// When the period is over: when what was used is the quota's part of it.
    fn period_ends(&self, now: Nanos, percent: u32) -> Nanos {
        let whole = u128::from(self.used(now).0) * 100 / u128::from(percent.max(1));
        self.start.saturating_add(Nanos(u64::try_from(whole).unwrap_or(u64::MAX)).max(PERIOD))
    }

    fn renew(&mut self, now: Nanos, percent: u32) {
        if self.period_ends(now, percent) <= now {
            (self.start, self.since, self.past) = (now, now, Nanos::ZERO);
        }
    }

    fn begin(&mut self, id: TenantId, now: Nanos, percent: u32) {
        self.renew(now, percent);
        self.last_percent = percent;
        if self.holders.is_empty() {
            self.since = now;
        }
        self.holders.insert(id);
    }

    fn end(&mut self, id: TenantId, now: Nanos) {
        let used = self.used(now);
        if self.holders.remove(&id) {
            (self.past, self.since) = (used, now);
        }
    }
}

impl Core {
    /// From now on the tenant and those of its group may hold so much of each device's time together, or less if one of
    /// them may; 100: it may hold all of it and counts for nobody.
    pub(crate) fn on_time_share(&mut self, id: TenantId, group: u64, percent: u32) {
        let now = self.now;
        self.usages
            .retain(|_, usage| !usage.holders.is_empty() || usage.period_ends(now, usage.last_percent) > now);
        self.leave_group(id);
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let quota = (percent < 100).then_some(Quota { group, percent: percent.max(1) });
        tenant.quota = quota;
        if let Some(lease) = tenant.lease_mut() {
            lease.has_quota = quota.is_some();
        }
        if let Some(quota) = quota {
            self.groups.entry(group).or_default().insert((quota.percent, id));
            self.regroup(group);
        }
        self.start_charging(id);
        self.notify_if_contended(id);
        self.reindex(id);
    }

    /// The tenant is of no group any more.
    pub(crate) fn leave_group(&mut self, id: TenantId) {
        self.stop_charging(id);
        self.unthrottle(id);
        let Some(quota) = self.tenants.get_mut(&id).and_then(|tenant| tenant.quota.take()) else { return };
        let Some(members) = self.groups.get_mut(&quota.group) else { return };
        members.remove(&(quota.percent, id));
        if members.is_empty() {
            self.groups.remove(&quota.group);
        }
        self.regroup(quota.group);
    }

    /// What the group may have together has changed.
    fn regroup(&mut self, group: u64) {
        let members: Vec<TenantId> =
            self.groups.get(&group).into_iter().flatten().map(|(_, id)| *id).collect();
        for id in members {
            self.unthrottle(id);
            self.reindex(id);
        }
    }

    /// What holds for the tenant: its group's least.
    pub(crate) fn quota_of(&self, tenant: &Tenant) -> Option<Quota> {
        let quota = tenant.quota?;
        let percent = self.groups.get(&quota.group)?.first()?.0;
        Some(Quota { percent, ..quota })
    }

    /// Whether somebody else of its group waits.
    pub(crate) fn has_waiting_groupmate(&self, id: TenantId, tenant: &Tenant) -> bool {
        let group = tenant.quota.and_then(|quota| self.groups.get(&quota.group));
        let mut mates = group.into_iter().flatten().filter(|(_, mate)| *mate != id);
        mates.any(|(_, mate)| {
            self.tenants.get(mate).is_some_and(|mate| matches!(mate.stage, Stage::Waiting(_)))
        })
    }

    /// If it was paused, it stands in line at its place.
    pub(crate) fn unthrottle(&mut self, id: TenantId) {
        let now = self.now;
        let Some(Stage::Waiting(request)) = self.tenants.get_mut(&id).map(|tenant| &mut tenant.stage) else {
            return;
        };
        if request.throttled_until.take().is_none() {
            return;
        }
        // Others have not kept it waiting meanwhile.
        request.requested_at =
            request.requested_at.saturating_add(now.saturating_sub(request.throttled_since));
        let (stands, defers) = (request.is_queued(), request.in_debt);
        self.reindex(id);
        if stands && !defers {
            // Its quota is what keeps it from more than its share.
            self.enqueue(id);
        } else if stands {
            self.requeue(id);
        }
    }

    /// The tenant's time with its devices counts from now on, if its gate is open.
    pub(crate) fn start_charging(&mut self, id: TenantId) {
        let Some(tenant) = self.tenants.get(&id) else { return };
        let Some(quota) = self.quota_of(tenant) else { return };
        if tenant.lease().is_none_or(|lease| lease.ready_at.is_none()) {
            return;
        }
        for device in tenant.devices.keys() {
            let usage = self.usages.entry((*device, quota.group)).or_default();
            usage.begin(id, self.now, quota.percent);
        }
    }

    /// It does not count any more.
    pub(crate) fn stop_charging(&mut self, id: TenantId) {
        let Some(tenant) = self.tenants.get(&id) else { return };
        let Some(quota) = tenant.quota else { return };
        for device in tenant.devices.keys() {
            if let Some(usage) = self.usages.get_mut(&(*device, quota.group)) {
                usage.end(id, self.now);
            }
        }
    }

    /// What the tenant has used of the device in the period, and may.
    pub(crate) fn quota_at(
        &self,
        tenant: &Tenant,
        lease: &Lease,
        device: DeviceId,
    ) -> Option<(Nanos, Nanos)> {
        let quota = self.quota_of(tenant)?;
        let used = self.usages.get(&(device, quota.group))?.used(self.now);
        let takes_turns = self.devices.get(&device).is_some_and(|device| !device.queue.is_empty());
        let turn = if takes_turns { lease.quantum } else { Nanos::ZERO };
        Some((used, quota.of_period().max(turn)))
    }

    /// When the holder will have used up its quota on one of its devices, if its time counts.
    pub(crate) fn quota_used_up_at(&self, id: TenantId) -> Option<Nanos> {
        let tenant = self.tenants.get(&id)?;
        let lease = tenant.lease().filter(|lease| lease.ready_at.is_some() && lease.revocation.is_none())?;
        let left = lease.devices.iter().filter_map(|device| self.quota_at(tenant, lease, *device));
        left.map(|(used, most)| self.now.saturating_add(most.saturating_sub(used))).min()
    }

    /// A holder that has used up its quota, or has nothing to do, leaves until it may hold again. Its memory stays where
    /// nobody needs the room.
    pub(crate) fn enforce_quota(&mut self, id: TenantId) {
        let Some(tenant) = self.tenants.get(&id) else { return };
        let Some(quota) = self.quota_of(tenant) else { return };
        for device in tenant.devices.keys() {
            if let Some(usage) = self.usages.get_mut(&(*device, quota.group)) {
                usage.renew(self.now, quota.percent);
            }
        }
        let idle = |lease: &Lease| lease.idle_since.is_some() && !self.is_waited_for(lease);
        let leaves =
            self.quota_used_up_at(id).is_some_and(|at| at <= self.now) || self.lease(id).is_some_and(idle);
        if let Some(lease) = self.tenants.get_mut(&id).and_then(Tenant::lease_mut).filter(|_| leaves) {
            lease.throttled = true;
            self.revoke(id);
        }
    }

    /// Until when the tenant may not hold, for its group has used up its quota on one of its devices.
    pub(crate) fn quota_blocks_until(&self, id: TenantId) -> Option<Nanos> {
        let tenant = self.tenants.get(&id)?;
        let quota = self.quota_of(tenant)?;
        let usages = tenant.devices.keys().filter_map(|device| self.usages.get(&(*device, quota.group)));
        let over = usages.filter(|usage| usage.used(self.now) >= quota.of_period());
        over.map(|usage| usage.period_ends(self.now, quota.percent)).filter(|at| *at > self.now).max()
    }

    /// It waits in nobody's way until then.
    pub(crate) fn throttle(&mut self, id: TenantId, until: Nanos, defers: bool) {
        let now = self.now;
        let Some(Stage::Waiting(request)) = self.tenants.get_mut(&id).map(|tenant| &mut tenant.stage) else {
            return;
        };
        (request.throttled_until, request.throttled_since, request.in_debt) = (Some(until), now, defers);
        let place = request.key;
        self.dequeue(id, place);
        self.reindex(id);
    }

    /// Those who may hold again stand in line at their places.
    pub(crate) fn unthrottle_due(&mut self, devices: &BTreeSet<DeviceId>) {
        for &device in devices {
            while let Some(&(at, id)) = self.devices.get(&device).and_then(|at| at.index.throttled.first())
                && at <= self.now
            {
                self.unthrottle(id);
            }
        }
    }
}
