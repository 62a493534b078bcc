//! Tenants that are there and can do nothing: stopped, or without a connection.
use crate::Core;
use crate::event::{Stuck, TenantId};
use crate::model::lease::{Lease, Step};
use crate::model::tenant::Stage;
use nvshare_protocol::{DeviceId, LeaseId, Nanos};
use std::collections::BTreeSet;

impl Core {
    /// Nobody can ask it for anything any more, and what it has stays until its process ends.
    pub(crate) fn on_disconnected(&mut self, id: TenantId) {
        self.end_stage(id, None);
        self.leave_group(id);
        self.end_eviction(id);
        self.deferred_evictions.remove(&id);
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        (tenant.claims_hold, tenant.keeps_memory, tenant.is_disconnected) = (false, true, true);
        self.reindex(id);
    }

    /// It can do nothing that it is asked for, or can again. Who waits stands in no line meanwhile; who holds has had its
    /// turn as soon as somebody waits; and what is on its devices stays there.
    pub(crate) fn on_stopped(&mut self, id: TenantId, stopped: bool) {
        if self.tenants.get(&id).is_none_or(|tenant| tenant.is_stopped == stopped) {
            return;
        }
        if stopped {
            self.end_eviction(id);
        }
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        tenant.is_stopped = stopped;
        tenant.keeps_memory = stopped && tenant.lease().is_none() || tenant.is_disconnected;
        let mut line = None;
        if let Stage::Waiting(request) = &mut tenant.stage {
            request.stopped = stopped;
            line = Some((request.key, request.is_queued()));
        }
        match line {
            Some((place, _)) if stopped => self.dequeue(id, place),
            Some((_, true)) => self.requeue(id),
            _ => {}
        }
        self.reindex(id);
    }

    /// Those that others wait for, and who was told to leave or to move memory out: of whom it is worth knowing whether they
    /// are stopped. Those that are known as stopped are among them as long as anybody waits, themselves included.
    #[must_use]
    pub fn awaited(&self) -> BTreeSet<TenantId> {
        let mut all = BTreeSet::new();
        for device in self.devices.values() {
            let asked = device
                .index
                .revoked
                .iter()
                .filter(|id| self.lease(**id).is_some_and(|lease| !lease.unresponsive));
            all.extend(device.index.evicting.iter().chain(asked));
            if !device.queue.is_empty() {
                all.extend(device.holders.iter().chain(&device.beside));
            }
        }
        if self.tenants.iter().any(|(_, tenant)| matches!(tenant.stage, Stage::Waiting(_))) {
            let stopped =
                self.tenants.iter().filter(|(_, tenant)| tenant.is_stopped && !tenant.is_disconnected);
            all.extend(stopped.map(|(id, _)| *id));
        }
        all
    }

    /// Holders that are stopped, those that were granted a device and give no sign of life, and those that only say that
    /// they hold since before this run and do not answer, lose their turns where others wait for it.
    pub(crate) fn quarantine_lifeless(&mut self, devices: &BTreeSet<DeviceId>) {
        for id in self.collect_at(devices, |standings| &standings.stopped_holders) {
            if self.lease(id).is_some_and(|lease| self.is_waited_for(lease)) {
                self.give_up(id, Stuck::Stopped);
            }
        }
        for &device in devices {
            let Some(at) = self.devices.get(&device).filter(|at| !at.queue.is_empty()) else { continue };
            let due = at.index.liveness_timers.iter().take_while(|(by, _)| *by <= self.now);
            let due: Vec<TenantId> = due.map(|(_, id)| *id).collect();
            due.into_iter().for_each(|id| self.quarantine_silent(id));
        }
    }

    fn quarantine_silent(&mut self, id: TenantId) {
        match self.lease(id).and_then(|lease| lease.revocation) {
            None => self.give_up(id, Stuck::Silent),
            Some(revocation) => {
                self.give_up(id, Stuck::NoAnswer);
                self.doubt_claims_since(id, revocation.first_at);
            }
        }
    }

    fn give_up(&mut self, id: TenantId, why: Stuck) {
        let Some(lease) = self.lease(id).filter(|lease| !lease.unresponsive) else { return };
        // It hears of it when it goes on, and gives its memory back then.
        if lease.revocation.is_none() {
            self.revoke(id);
        }
        self.quarantine(id, why);
    }
}

/// By when a tenant that was told to leave has answered, or has given another sign of life, where nothing but its own word
/// speaks for its hold: the time for its work's end is part of the silence.
pub(crate) fn proof_deadline(lease: &Lease, silence: Nanos) -> Option<Nanos> {
    let unproven = lease.id == LeaseId(0) && !lease.unresponsive;
    let revocation = lease.revocation.filter(|revocation| unproven && revocation.cancelled_drains == 0)?;
    matches!(revocation.step, Step::Asked(_)).then(|| revocation.last_sign.saturating_add(silence))
}
