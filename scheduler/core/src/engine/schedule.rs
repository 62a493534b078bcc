//! What time brings: turns that end, answers that do not come, and who goes on then.
use crate::Core;
use crate::event::{Action, Stuck, TenantId};
use crate::model::lease::{Lease, Step};
use crate::model::tenant::Stage;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeSet;

/// Memory comes in at least so fast, bytes a second, or its tenant is not waited for.
pub(crate) const MIN_FETCH_RATE: u128 = 1_000_000_000;
/// What moves more slowly than this, bytes a second, is no sign of life.
const MIN_PROGRESS_RATE: u128 = 64_000_000;
/// Who insists waits for so much less long for memory that others say they move out, whether or not they say that it goes.
const TRIAL_WAIT_DIVISOR: u64 = 25;

impl Core {
    /// Decides all that can be decided at this time.
    pub(crate) fn schedule(&mut self) {
        while let Some(mut devices) = self.take_dirty() {
            for id in self.collect_at(&devices, |standings| &standings.revoked) {
                self.check_revocation(id);
            }
            let doubtful = devices.iter().filter_map(|device| self.devices.get(device));
            let news = doubtful.into_iter().any(|device| device.index.have_due(self.now));
            if news {
                self.expire_unaccounted(&devices);
                self.expire_trust(&devices);
            }
            self.expire_evictions(&devices);
            self.unpark_fitting(&devices);
            self.unthrottle_due(&devices);
            self.release_idle_debtors(&devices);
            self.promote_starved(&devices);
            for id in self.collect_at(&devices, |standings| &standings.with_quota) {
                self.enforce_quota(id);
            }
            self.replan(&mut devices);
            while self.next_tenants(&devices).into_iter().any(|id| self.try_grant(id)) {
                self.replan(&mut devices);
            }
            if news {
                self.quarantine_lifeless(&devices);
            }
            self.notify_contention(&devices);
            self.run_deferred_evictions();
            for id in self.next_tenants(&devices) {
                self.preempt_for(id);
            }
            let lacking = self.collect_at(&devices, |standings| &standings.lacking);
            lacking.into_iter().for_each(|id| self.serve_growth(id));
            for device in devices {
                self.set_timer(device, self.next_timer(device));
            }
        }
    }

    /// When something about the device is to be decided by itself.
    pub(crate) fn next_timer(&self, id: DeviceId) -> Option<Nanos> {
        let device = self.devices.get(&id)?;
        let leases = device.index.revoked.iter().filter_map(|&id| self.lease(id)?.next_timer(&self.settings));
        let leaving =
            device.index.evicting.iter().filter_map(|id| Some(self.tenants.get(id)?.eviction?.expires_at()));
        let next = self.next_at(id).filter(|id| self.is_next(*id)).into_iter();
        let turns = next.flat_map(|id| {
            let clear_at = self.earliest_preemption(id, &self.conflicting_holders(id));
            let fetch = self.prefetch_starts_at(id, clear_at).filter(|at| *at > self.now);
            let room = self.room_deadline(id).filter(|at| *at > self.now);
            clear_at.into_iter().chain(fetch).chain(room).chain(self.grace_until(id))
        });
        let unseen = device.index.unaccounted_timers.first().map(|(at, _)| *at);
        let doubts = device.index.trust_timers.first().map(|(at, _)| *at);
        // Whoever is granted a device that nobody else wants may take its time.
        let silent =
            device.index.liveness_timers.first().filter(|(at, _)| !device.queue.is_empty() && *at > self.now);
        let silent = silent.map(|(at, _)| *at);
        let starves = self.starves_at(id);
        let paused = device.index.throttled.first().map(|(at, _)| *at);
        let throttled = device.index.with_quota.iter().filter_map(|id| self.quota_used_up_at(*id));
        let by_rule = starves.into_iter().chain(paused).chain(throttled);
        let turns = turns.chain(self.backfill_until(id));
        leases.chain(leaving).chain(turns).chain(unseen).chain(doubts).chain(silent).chain(by_rule).min()
    }

    /// Whether the tenant that is next could be granted its devices, and has been.
    fn try_grant(&mut self, id: TenantId) -> bool {
        if self.grace_until(id).is_some() {
            return false;
        }
        let (quota, debt) = (self.quota_blocks_until(id), self.debt_blocks_until(id));
        if let Some(until) = quota.max(debt) {
            self.throttle(id, until, debt > quota);
            return true;
        }
        self.note_blocked_by_claims(id);
        let swaps = self.tenants.get(&id).is_some_and(|tenant| tenant.swaps);
        if swaps && !self.can_ever_fit(id) {
            self.park(id);
            return true;
        }
        let (now, clear) = (self.now, self.conflicting_holders(id).is_empty());
        let Some(Stage::Waiting(request)) = self.tenants.get_mut(&id).map(|t| &mut t.stage) else {
            return false;
        };
        request.unblocked_since = request.unblocked_since.or(Some(now)).filter(|_| clear);
        if !clear {
            return false;
        }
        self.reclaim_for(id);
        if self.awaits_evictions(id) || swaps && self.lacks_room(id) {
            if self.room_deadline(id).is_some_and(|at| at > now) {
                return false;
            }
            if swaps {
                self.ignore_claims(id);
            }
        }
        self.grant(id);
        true
    }

    /// Until when the tenant waits for others that move memory out, with nobody else in its way: as long as some of it goes,
    /// within a bound. One that insists has learned that not all that is said to go does.
    fn room_deadline(&self, id: TenantId) -> Option<Nanos> {
        let tenant = self.tenants.get(&id)?;
        let Stage::Waiting(request) = &tenant.stage else { return None };
        let clear = request.unblocked_since?;
        if tenant.trust.ignores_claims {
            return Some(clear.saturating_add(Nanos(self.settings.silence.0 / TRIAL_WAIT_DIVISOR)));
        }
        let went =
            tenant.devices.keys().map(|device| self.devices[device].last_evicted).max().unwrap_or_default();
        let silent = clear.max(went).saturating_add(self.settings.silence);
        Some(silent.min(clear.saturating_add(self.settings.evict_bound)))
    }

    /// A lease whose revocation waits for an answer, or for another attempt.
    fn check_revocation(&mut self, id: TenantId) {
        let Some(lease) = self.lease(id) else { return };
        let Some(revocation) = lease.revocation else { return };
        let stuck = lease.unresponsive;
        let must_leave = lease.devices.len() < self.tenants[&id].devices.len();
        let outgrown = lease.devices.iter().any(|device| self.is_overcommitted(*device));
        let nobody_waits = !must_leave && !outgrown && !self.is_contended(lease);
        let due = lease.next_timer(&self.settings).is_some_and(|due| due <= self.now);
        match revocation.step {
            Step::Cancelled(_) if nobody_waits => {
                if let Some(lease) = self.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut()) {
                    lease.revocation = None;
                }
                self.reindex(id);
                return;
            }
            _ if !due => return,
            _ if stuck => {}
            Step::Asked(_) if revocation.cancelled_drains == 0 => self.quarantine(id, Stuck::NoAnswer),
            _ if revocation.first_at.saturating_add(self.settings.patience) <= self.now => {
                self.quarantine(id, Stuck::CannotDrain);
            }
            Step::Asked(_) => self.quarantine(id, Stuck::NoAnswer),
            Step::Cancelled(_) => {}
        }
        if matches!(revocation.step, Step::Cancelled(retry) if retry <= self.now) {
            self.revoke(id);
        }
    }

    /// Revokes the holders in this tenant's way as soon as all of them have had their turn, and lets it bring in what
    /// it can meanwhile.
    fn preempt_for(&mut self, id: TenantId) {
        let way = self.conflicting_holders(id);
        if way.is_empty() && self.grace_until(id).is_some() {
            return;
        }
        let clear_at = self.earliest_preemption(id, &way);
        if self.settings.overlap {
            self.reclaim_for(id);
        }
        if self.prefetch_starts_at(id, clear_at).is_some_and(|at| at <= self.now) {
            self.prefetch(id);
        }
        if clear_at.is_none_or(|at| at > self.now) {
            return;
        }
        // Those that leave for it stand behind it when they ask again.
        if let Some(Stage::Waiting(request)) = self.tenants.get(&id).map(|tenant| &tenant.stage) {
            let place = request.key;
            self.mark_served(id, place);
        }
        for holder in way {
            let now = self.now;
            let lease = self.tenants.get_mut(&holder).and_then(|tenant| tenant.lease_mut());
            let Some(lease) = lease.filter(|lease| lease.revocation.is_none()) else { continue };
            lease.remaining = lease.turn_end().saturating_sub(now);
            lease.went_idle |= lease.idle_since.is_some();
            self.revoke(holder);
        }
    }

    /// A holder has grown, and no longer fits beside the others. Those whose turns are over leave, if that is enough;
    /// otherwise it leaves itself, and has its turn when it is next: nobody's turn ends early because another has grown.
    pub(crate) fn resolve_growth(&mut self, id: TenantId, device: DeviceId) {
        if !self.shares_devices() || !self.devices[&device].holders.contains(&id) {
            return;
        }
        let way = self.victims_on(device, id);
        let stays = |lease: &Lease| lease.revocation.is_none() && lease.turn_end() > self.now;
        if !way.iter().any(|other| self.lease(*other).is_some_and(stays)) {
            return self.revoke_all(way);
        }
        if let Some(lease) = self.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut())
            && lease.revocation.is_none()
        {
            lease.rerequested = true;
            self.revoke(id);
        }
    }

    pub(crate) fn revoke_all(&mut self, holders: Vec<TenantId>) {
        for id in holders {
            if self.lease(id).is_some_and(|lease| lease.revocation.is_none()) {
                self.revoke(id);
            }
        }
    }

    /// A tenant has more memory on its devices than at any time since its grant, or less than at any time since it was told
    /// to move it out: it lives, for as long as that would last at the least rate. So the same memory counts once.
    pub(crate) fn note_progress(&mut self, id: TenantId, device: DeviceId) {
        let (now, silence) = (self.now, self.settings.silence);
        let alive_by = |moved: u128| now.saturating_add(transfer_time(moved, MIN_PROGRESS_RATE).min(silence));
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let (is, keeps) = (tenant.resident(), tenant.evict_down_to.contains_key(&device));
        let mut went = Nanos::ZERO;
        if let Some(leaving) = tenant.eviction.as_mut().filter(|leaving| is < leaving.least_resident) {
            went = alive_by(std::mem::replace(&mut leaving.least_resident, is) - is);
            leaving.alive_until = leaving.alive_until.max(went);
        }
        if let Some(lease) = tenant.lease_mut() {
            match &mut lease.revocation {
                Some(revocation) if is < revocation.least_resident => {
                    went = went.max(alive_by(std::mem::replace(&mut revocation.least_resident, is) - is));
                    revocation.last_sign = revocation.last_sign.max(went.saturating_sub(silence));
                }
                None if is > lease.peak_resident && lease.ready_at.is_none() => {
                    let came = is - std::mem::replace(&mut lease.peak_resident, is);
                    lease.alive_until = lease.alive_until.max(alive_by(came));
                }
                _ => {}
            }
        }
        if let Some(at) = self.devices.get_mut(&device).filter(|_| keeps) {
            at.last_evicted = at.last_evicted.max(went.saturating_sub(silence));
        }
    }

    /// By when a tenant that is granted its devices now has given a sign of life: memory that it lacks takes time, and some
    /// engines say nothing while it comes. More than there can be room for does not come.
    pub(crate) fn alive_until(&self, id: TenantId) -> Nanos {
        let devices = self.tenants.get(&id).into_iter().flat_map(|tenant| &tenant.devices);
        let lacks = devices.map(|(device, memory)| {
            let fits = memory.allocated.min(self.usable_for(self.facts(id, *device), *device));
            u128::from(fits.saturating_sub(memory.resident).0)
        });
        let comes = transfer_time(lacks.sum(), MIN_FETCH_RATE);
        let bound = self.settings.silence.saturating_add(comes).min(self.settings.fetch_bound);
        self.now.saturating_add(bound)
    }

    fn notify_contention(&mut self, devices: &BTreeSet<DeviceId>) {
        let mut told = BTreeSet::new();
        for name in devices {
            let Some(device) = self.devices.get_mut(name) else { continue };
            let contended = !device.queue.is_empty();
            told.append(&mut device.stale_notices);
            if std::mem::replace(&mut device.contention_notified, contended) != contended {
                told.extend(device.holders.iter().copied());
            }
        }
        told.into_iter().for_each(|id| self.notify_if_contended(id));
    }

    /// The holder hears whether it may have to leave at any time, if that is news to it.
    pub(crate) fn notify_if_contended(&mut self, id: TenantId) {
        let Some(lease) = self.lease(id) else { return };
        let contended = self.is_contended(lease);
        if lease.devices.is_empty() || contended == lease.contended {
            return;
        }
        self.actions.push(Action::Contended { tenant: id, contended });
        if let Some(lease) = self.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut()) {
            lease.contended = contended;
            lease.contended_since = self.now;
            lease.idle_since = lease.idle_since.filter(|_| contended);
        }
        self.reindex(id);
    }
}

/// How long so much memory takes at so many bytes a second.
pub(crate) fn transfer_time(bytes: u128, rate: u128) -> Nanos {
    Nanos(u64::try_from(bytes * 1_000_000_000 / rate).unwrap_or(u64::MAX))
}
