//! What time brings: turns that end, answers that do not come, and who goes on then.
use crate::Core;
use crate::event::{Action, Stuck, TenantId};
use crate::lease::{Lease, Step};
use crate::tenant::Stage;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeSet;

/// Memory comes in at least so fast, bytes a second, or its tenant is not waited for.
pub(crate) const SLOWEST: u128 = 1_000_000_000;
/// What moves more slowly than this, bytes a second, is no sign of life.
const ALIVE: u128 = 64_000_000;
/// Who insists waits for so much less long for memory that others say they move out, whether or not they say that it goes.
const INSISTENT: u64 = 25;

impl Core {
    /// Decides all that can be decided at this time.
    pub(crate) fn settle(&mut self) {
        while let Some(mut devices) = self.take_touched() {
            for id in self.those_at(&devices, |standings| &standings.revoked) {
                self.overdue(id);
            }
            let doubtful = devices.iter().filter_map(|device| self.devices.get(device));
            let news = doubtful.into_iter().any(|device| device.standings.have_news(self.now));
            if news {
                self.forget_the_unseen(&devices);
                self.lose_faith(&devices);
            }
            self.forget_the_slow(&devices);
            self.readmit(&devices);
            self.resume(&devices);
            self.forgive_where_nobody_waits(&devices);
            self.feed_the_starved(&devices);
            for id in self.those_at(&devices, |standings| &standings.limited) {
                self.throttle(id);
            }
            self.plan(&mut devices);
            while self.next_at(&devices).into_iter().any(|id| self.grant_if_clear(id)) {
                self.plan(&mut devices);
            }
            if news {
                self.give_up_on_the_lifeless(&devices);
            }
            self.tell_contention(&devices);
            self.sweep();
            for id in self.next_at(&devices) {
                self.make_way(id);
            }
            let lacking = self.those_at(&devices, |standings| &standings.lacking);
            lacking.into_iter().for_each(|id| self.serve_holder(id));
            for device in devices {
                self.wake(device, self.next_due(device));
            }
        }
    }

    /// When something about the device is to be decided by itself.
    pub(crate) fn next_due(&self, id: DeviceId) -> Option<Nanos> {
        let device = self.devices.get(&id)?;
        let leases = device.standings.revoked.iter().filter_map(|&id| self.lease(id)?.due(&self.settings));
        let leaving =
            device.standings.outgoing.iter().filter_map(|id| Some(self.tenants.get(id)?.leaving?.ends()));
        let next = self.next_here(id).filter(|id| self.is_next(*id)).into_iter();
        let turns = next.flat_map(|id| {
            let clear_at = self.way_is_clear_at(id, &self.in_the_way(id));
            let fetch = self.fetch_begins(id, clear_at).filter(|at| *at > self.now);
            let room = self.room_bound(id).filter(|at| *at > self.now);
            clear_at.into_iter().chain(fetch).chain(room).chain(self.grace(id))
        });
        let unseen = device.standings.unseen.first().map(|(at, _)| *at);
        let doubts = device.standings.doubting.first().map(|(at, _)| *at);
        // Whoever is granted a device that nobody else wants may take its time.
        let silent =
            device.standings.silent.first().filter(|(at, _)| !device.queue.is_empty() && *at > self.now);
        let silent = silent.map(|(at, _)| *at);
        let starves = self.starves_at(id);
        let paused = device.standings.paused.first().map(|(at, _)| *at);
        let throttled = device.standings.limited.iter().filter_map(|id| self.throttled_at(*id));
        let by_rule = starves.into_iter().chain(paused).chain(throttled);
        let turns = turns.chain(self.backfill_ends(id));
        leases.chain(leaving).chain(turns).chain(unseen).chain(doubts).chain(silent).chain(by_rule).min()
    }

    /// Whether the tenant that is next could be granted its devices, and has been.
    fn grant_if_clear(&mut self, id: TenantId) -> bool {
        if self.grace(id).is_some() {
            return false;
        }
        let (quota, debt) = (self.paused_until(id), self.owes_until(id));
        if let Some(until) = quota.max(debt) {
            self.pause(id, until, debt > quota);
            return true;
        }
        self.note_cramped(id);
        let swaps = self.tenants.get(&id).is_some_and(|tenant| tenant.swaps);
        if swaps && !self.could_fit(id) {
            self.step_aside(id);
            return true;
        }
        let (now, clear) = (self.now, self.in_the_way(id).is_empty());
        let Some(Stage::Waiting(request)) = self.tenants.get_mut(&id).map(|t| &mut t.stage) else {
            return false;
        };
        request.clear = request.clear.or(Some(now)).filter(|_| clear);
        if !clear {
            return false;
        }
        self.make_room(id);
        if self.room_is_coming(id) || swaps && self.lacks_room(id) {
            if self.room_bound(id).is_some_and(|at| at > now) {
                return false;
            }
            if swaps {
                self.insist(id);
            }
        }
        self.grant(id);
        true
    }

    /// Until when the tenant waits for others that move memory out, with nobody else in its way: as long as some of it goes,
    /// within a bound. One that insists has learned that not all that is said to go does.
    fn room_bound(&self, id: TenantId) -> Option<Nanos> {
        let tenant = self.tenants.get(&id)?;
        let Stage::Waiting(request) = &tenant.stage else { return None };
        let clear = request.clear?;
        if tenant.doubt.insists {
            return Some(clear.saturating_add(Nanos(self.settings.silence.0 / INSISTENT)));
        }
        let went = tenant.devices.keys().map(|device| self.devices[device].went).max().unwrap_or_default();
        let silent = clear.max(went).saturating_add(self.settings.silence);
        Some(silent.min(clear.saturating_add(self.settings.evict_bound)))
    }

    /// A lease whose revocation waits for an answer, or for another attempt.
    fn overdue(&mut self, id: TenantId) {
        let Some(lease) = self.lease(id) else { return };
        let Some(revocation) = lease.revocation else { return };
        let stuck = lease.stuck;
        let must_leave = lease.held.len() < self.tenants[&id].devices.len();
        let outgrown = lease.held.iter().any(|device| self.is_outgrown(*device));
        let nobody_waits = !must_leave && !outgrown && !self.is_contended(lease);
        let due = lease.due(&self.settings).is_some_and(|due| due <= self.now);
        match revocation.step {
            Step::Cancelled(_) if nobody_waits => {
                if let Some(lease) = self.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut()) {
                    lease.revocation = None;
                }
                self.changed(id);
                return;
            }
            _ if !due => return,
            _ if stuck => {}
            Step::Asked(_) if revocation.cancelled == 0 => self.put_aside(id, Stuck::NoAnswer),
            _ if revocation.first.saturating_add(self.settings.patience) <= self.now => {
                self.put_aside(id, Stuck::CannotDrain);
            }
            Step::Asked(_) => self.put_aside(id, Stuck::NoAnswer),
            Step::Cancelled(_) => {}
        }
        if matches!(revocation.step, Step::Cancelled(retry) if retry <= self.now) {
            self.revoke(id);
        }
    }

    /// Revokes the holders in this tenant's way as soon as all of them have had their turn, and lets it bring in what
    /// it can meanwhile.
    fn make_way(&mut self, id: TenantId) {
        let way = self.in_the_way(id);
        if way.is_empty() && self.grace(id).is_some() {
            return;
        }
        let clear_at = self.way_is_clear_at(id, &way);
        if self.settings.overlap {
            self.make_room(id);
        }
        if self.fetch_begins(id, clear_at).is_some_and(|at| at <= self.now) {
            self.fetch_ahead(id);
        }
        if clear_at.is_none_or(|at| at > self.now) {
            return;
        }
        // Those that leave for it stand behind it when they ask again.
        if let Some(Stage::Waiting(request)) = self.tenants.get(&id).map(|tenant| &tenant.stage) {
            let place = request.place;
            self.serve_place(id, place);
        }
        for holder in way {
            let now = self.now;
            let lease = self.tenants.get_mut(&holder).and_then(|tenant| tenant.lease_mut());
            let Some(lease) = lease.filter(|lease| lease.revocation.is_none()) else { continue };
            lease.rest = lease.turn_end().saturating_sub(now);
            lease.slept |= lease.idle.is_some();
            self.revoke(holder);
        }
    }

    /// A holder has grown, and no longer fits beside the others. Those whose turns are over leave, if that is enough;
    /// otherwise it leaves itself, and has its turn when it is next: nobody's turn ends early because another has grown.
    pub(crate) fn outgrown(&mut self, id: TenantId, device: DeviceId) {
        if !self.shares() || !self.devices[&device].holders.contains(&id) {
            return;
        }
        let way = self.too_many(device, id);
        let stays = |lease: &Lease| lease.revocation.is_none() && lease.turn_end() > self.now;
        if !way.iter().any(|other| self.lease(*other).is_some_and(stays)) {
            return self.send_away(way);
        }
        if let Some(lease) = self.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut())
            && lease.revocation.is_none()
        {
            lease.again = true;
            self.revoke(id);
        }
    }

    pub(crate) fn send_away(&mut self, holders: Vec<TenantId>) {
        for id in holders {
            if self.lease(id).is_some_and(|lease| lease.revocation.is_none()) {
                self.revoke(id);
            }
        }
    }

    /// A tenant has more memory on its devices than at any time since its grant, or less than at any time since it was told
    /// to move it out: it lives, for as long as that would last at the least rate. So the same memory counts once.
    pub(crate) fn note_life(&mut self, id: TenantId, device: DeviceId) {
        let (now, silence) = (self.now, self.settings.silence);
        let alive_by = |moved: u128| now.saturating_add(lasts(moved, ALIVE).min(silence));
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let (is, keeps) = (tenant.resident(), tenant.keeps.contains_key(&device));
        let mut went = Nanos::ZERO;
        if let Some(leaving) = tenant.leaving.as_mut().filter(|leaving| is < leaving.least) {
            went = alive_by(std::mem::replace(&mut leaving.least, is) - is);
            leaving.alive_by = leaving.alive_by.max(went);
        }
        if let Some(lease) = tenant.lease_mut() {
            match &mut lease.revocation {
                Some(revocation) if is < revocation.least => {
                    went = went.max(alive_by(std::mem::replace(&mut revocation.least, is) - is));
                    revocation.alive = revocation.alive.max(went.saturating_sub(silence));
                }
                None if is > lease.most && lease.ready.is_none() => {
                    let came = is - std::mem::replace(&mut lease.most, is);
                    lease.alive_by = lease.alive_by.max(alive_by(came));
                }
                _ => {}
            }
        }
        if let Some(at) = self.devices.get_mut(&device).filter(|_| keeps) {
            at.went = at.went.max(went.saturating_sub(silence));
        }
    }

    /// By when a tenant that is granted its devices now has given a sign of life: memory that it lacks takes time, and some
    /// engines say nothing while it comes. More than there can be room for does not come.
    pub(crate) fn alive_by(&self, id: TenantId) -> Nanos {
        let devices = self.tenants.get(&id).into_iter().flat_map(|tenant| &tenant.devices);
        let lacks = devices.map(|(device, memory)| {
            let fits = memory.allocated.min(self.usable_by(self.standing(id, *device), *device));
            u128::from(fits.saturating_sub(memory.resident).0)
        });
        let comes = lasts(lacks.sum(), SLOWEST);
        let bound = self.settings.silence.saturating_add(comes).min(self.settings.fetch_bound);
        self.now.saturating_add(bound)
    }

    fn tell_contention(&mut self, devices: &BTreeSet<DeviceId>) {
        let mut told = BTreeSet::new();
        for name in devices {
            let Some(device) = self.devices.get_mut(name) else { continue };
            let contended = !device.queue.is_empty();
            told.append(&mut device.knowing);
            if std::mem::replace(&mut device.contended, contended) != contended {
                told.extend(device.holders.iter().copied());
            }
        }
        told.into_iter().for_each(|id| self.tell_if_contended(id));
    }

    /// The holder hears whether it may have to leave at any time, if that is news to it.
    pub(crate) fn tell_if_contended(&mut self, id: TenantId) {
        let Some(lease) = self.lease(id) else { return };
        let contended = self.is_contended(lease);
        if lease.held.is_empty() || contended == lease.contended {
            return;
        }
        self.actions.push(Action::Contended { tenant: id, contended });
        if let Some(lease) = self.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut()) {
            lease.contended = contended;
            lease.contended_since = self.now;
            lease.idle = lease.idle.filter(|_| contended);
        }
        self.changed(id);
    }
}

/// How long so much memory takes at so many bytes a second.
pub(crate) fn lasts(bytes: u128, rate: u128) -> Nanos {
    Nanos(u64::try_from(bytes * 1_000_000_000 / rate).unwrap_or(u64::MAX))
}
