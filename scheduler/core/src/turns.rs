//! What time brings: turns that end, answers that do not come, and who goes on then.
use crate::Core;
use crate::event::{Action, Stuck, TenantId};
use crate::tenant::Step;
use nvshare_protocol::Nanos;

impl Core {
    /// When the next decision is due without anything happening. Always after the last event's time.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Nanos> {
        let leases = self.leased.iter().filter_map(|&id| self.lease(id)?.due(&self.settings));
        let turns = self.next.iter().filter_map(|&(_, id)| self.way_is_clear_at(id));
        leases.chain(turns).min()
    }

    /// Decides all that can be decided at this time.
    pub(crate) fn settle(&mut self) {
        let leased: Vec<TenantId> = self.leased.iter().copied().collect();
        for id in leased {
            self.overdue(id);
        }
        let next: Vec<TenantId> = self.next.iter().map(|&(_, id)| id).collect();
        for id in next {
            if self.in_the_way(id).next().is_none() {
                self.grant(id);
            }
        }
        self.tell_contention();
        let blocked: Vec<TenantId> = self.next.iter().map(|&(_, id)| id).collect();
        for id in blocked {
            self.make_way(id);
        }
    }

    /// A lease whose revocation waits for an answer, or for another attempt.
    fn overdue(&mut self, id: TenantId) {
        let Some(lease) = self.lease(id) else { return };
        let Some(revocation) = lease.revocation else { return };
        let stuck = lease.stuck;
        let must_leave = lease.held.len() < self.tenants[&id].devices.len();
        let nobody_waits = !must_leave && !self.is_contended(lease);
        let due = lease.due(&self.settings).is_some_and(|due| due <= self.now);
        match revocation.step {
            Step::Cancelled(_) if nobody_waits => {
                if let Some(lease) = self.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut()) {
                    lease.revocation = None;
                }
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

    /// Revokes the holders in this tenant's way as soon as all of them have had their turn.
    fn make_way(&mut self, id: TenantId) {
        if self.way_is_clear_at(id).is_none_or(|at| at > self.now) {
            return;
        }
        let holders: Vec<TenantId> = self.in_the_way(id).collect();
        for holder in holders {
            if self.lease(holder).is_some_and(|lease| lease.revocation.is_none()) {
                self.revoke(holder);
            }
        }
    }

    fn tell_contention(&mut self) {
        for &id in &self.leased {
            let Some(lease) = self.lease(id) else { continue };
            let contended = self.is_contended(lease);
            if lease.held.is_empty() || contended == lease.contended {
                continue;
            }
            self.actions.push(Action::Contended { tenant: id, contended });
            if let Some(lease) = self.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut()) {
                lease.contended = contended;
                lease.idle &= contended;
            }
        }
    }
}
