//! What tenants tell goes to the core; what the core wants is carried out and told to the log.
use super::Daemon;
use crate::tenants::inbound::Inbound;
use nvshare_core::event::{Action, Event, TenantId};
use nvshare_core::print;
use nvshare_protocol::Bytes;
use nvshare_protocol::tenant::{Memory, ToScheduler, ToTenant};

/// The first version of the tenants' language in which memory moves beside turns.
const MOVES_SINCE: u32 = 2;

/// A tenant has no more than it was promised: its library would have to be another.
fn within(told: Memory, limit: Option<Bytes>) -> Memory {
    let most = limit.unwrap_or(Bytes::MAX);
    let Memory { device, allocated, resident, immovable } = told;
    Memory {
        device,
        allocated: allocated.min(most),
        resident: resident.min(most),
        immovable: immovable.min(most),
    }
}

impl Daemon {
    pub(super) fn told(&mut self, told: Inbound) {
        match told {
            Inbound::Connected(joined) => self.joined(*joined),
            Inbound::Message(tenant, message) => self.said(tenant, message),
            Inbound::Closed(tenant, why) => self.closed(tenant, why.as_deref()),
            Inbound::ProcessEnded(process) => self.ended(process),
            Inbound::SwapFreed(freed) => self.ledger.freed(&freed),
        }
    }

    pub(super) fn said(&mut self, tenant: TenantId, message: ToScheduler) {
        // What was in the queue when the tenant was dismissed.
        if self.members.get(tenant).is_none_or(|member| !member.is_connected()) {
            return;
        }
        if self.members.get(tenant).is_some_and(|member| member.liveness.is_halted()) {
            self.look_at(tenant);
        }
        self.heard(tenant, &message);
        let Some(member) = self.members.get_mut(tenant) else { return };
        let event = match message {
            ToScheduler::Hello(_) => return,
            ToScheduler::Device(device) => return self.device(tenant, device),
            ToScheduler::Report(text) => {
                if member.reports.add(text.clone()) {
                    self.warn_of(tenant, &format!("{} reports: {text:?}", self.members.name(tenant)));
                }
                return;
            }
            ToScheduler::Memory(told) => return self.has(tenant, told),
            ToScheduler::Request => return self.requests(tenant),
            ToScheduler::Ready(ready) => {
                if member.fetched(ready.lease) {
                    self.log_fetch(tenant, &ready);
                    self.count_fetch(tenant, &ready);
                }
                Event::Ready { tenant, ready }
            }
            ToScheduler::Released(released) => {
                if member.released(released.lease) {
                    self.log_release(tenant, &released);
                    self.count_release(tenant, &released);
                }
                Event::Released { tenant, released }
            }
            ToScheduler::DrainCancelled(lease) => Event::DrainCancelled { tenant, lease },
            ToScheduler::Idle(lease) => Event::Idle { tenant, lease },
            ToScheduler::Evicted(shares) => {
                self.count_out(tenant, &shares);
                Event::Evicted { tenant }
            }
            ToScheduler::SwapWanted(bytes) => return self.swap_wanted(tenant, bytes),
            ToScheduler::MemoryRefused(share) => return self.memory_refused(tenant, share),
        };
        self.tell(event);
    }

    /// What a tenant has on a device, as far as it can be so.
    pub(super) fn has(&mut self, tenant: TenantId, told: Memory) {
        let Some(member) = self.members.get_mut(tenant) else { return };
        if told.immovable == Bytes::ZERO {
            member.reports.nothing_stays(told.device);
        }
        let told = within(told, member.reservation.limit);
        let told = self.bounded(tenant, &told);
        self.count_ahead(tenant, &told);
        let Memory { device, allocated, resident, immovable } = told;
        self.tell(Event::Memory { tenant, device, allocated, resident, immovable });
    }

    /// One event to the core, and whatever it wants done.
    pub(super) fn tell(&mut self, event: Event) {
        let now = self.clock.now();
        let traced =
            self.trace.is_some() || tracing::enabled!(target: "nvshare::trace", tracing::Level::DEBUG);
        let mut lines = String::new();
        if traced {
            lines = print::event(now, &event) + "\n";
        }
        let asks = matches!(event, Event::Requested { .. });
        let actions = self.core.handle(now, event);
        if asks || !actions.is_empty() {
            self.polls.begin(now);
        }
        if traced {
            actions.iter().for_each(|action| lines += &(print::action(now, action) + "\n"));
            self.record(&lines);
        }
        let (mut old, mut early) = (Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Evict { tenant, .. } if !self.can_move(tenant) => old.push(tenant),
                Action::Grant { tenant, grant } if self.lacks_devices(tenant) => {
                    early.push((tenant, grant.lease))
                }
                action => self.carry_out(action),
            }
        }
        // Nothing moves where the word for it is not known.
        old.into_iter().for_each(|tenant| self.tell(Event::Evicted { tenant }));
        early.into_iter().for_each(|(tenant, lease)| self.hold_back(tenant, lease));
    }

    /// Whether its library knows [`ToTenant::Evict`].
    fn can_move(&self, tenant: TenantId) -> bool {
        self.members.get(tenant).is_none_or(|member| member.hello.version >= MOVES_SINCE)
    }

    pub(super) fn record(&mut self, lines: &str) {
        lines.lines().for_each(|line| tracing::debug!(target: "nvshare::trace", "{line}"));
        if let Some(trace) = &mut self.trace {
            trace.add(lines);
        }
    }

    fn carry_out(&mut self, action: Action) {
        self.decided(&action);
        let (tenant, message) = match action {
            Action::Grant { tenant, grant } => {
                if let Some(member) = self.members.get_mut(tenant) {
                    member.granted(grant.lease);
                }
                (tenant, ToTenant::Grant(grant))
            }
            Action::Revoke { tenant, revoke } => (tenant, ToTenant::Revoke(revoke)),
            Action::Evict { tenant, shares } => (tenant, ToTenant::Evict(shares)),
            Action::Fetch { tenant, shares } => (tenant, ToTenant::Fetch(shares)),
            Action::Contended { tenant, contended } => (tenant, ToTenant::Contended(contended)),
            Action::Enabled { tenant, enabled } => {
                if let Some(member) = self.members.get_mut(tenant) {
                    member.waits_for_devices = false;
                }
                (tenant, ToTenant::Enabled(enabled))
            }
            Action::NoRoom { .. } | Action::Stuck { .. } => return,
        };
        if let Some(member) = self.members.get(tenant) {
            member.send(message);
        }
    }
}
