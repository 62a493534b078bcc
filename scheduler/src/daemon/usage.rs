//! Counts what tenants use, for the report and the metrics of users and containers.
use super::reactor::Daemon;
use super::tenant_table::Members;
use crate::metrics::counts::Moved;
use crate::usage::file::Usage;
use crate::usage::{Key, Sums, Totals};
use nvshare_core::event::{Event, TenantId};
use nvshare_protocol::control::{Reply, ReportQuery};
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// How often what all tenants use is counted.
const EVERY: Nanos = Nanos::from_millis(60_000);

/// What of a tenant's usage is counted already, and what was moved since.
#[derive(Debug, Default)]
pub struct Counted {
    held: Nanos,
    waited: Nanos,
    pub moved: BTreeMap<DeviceId, Moved>,
}

/// The sums, and when they were last brought up to date.
pub struct Meter {
    usage: Usage,
    pub totals: Totals,
    at: Nanos,
}

impl Meter {
    pub fn new(usage: Usage) -> Self {
        Self { usage, totals: Totals::default(), at: Nanos::ZERO }
    }

    /// When all tenants are to be counted; none: there is nobody.
    pub fn due(&self, members: &Members) -> Option<Nanos> {
        (!members.is_empty()).then(|| self.at.saturating_add(EVERY))
    }
}

impl Daemon {
    /// Counts what all tenants have used until now.
    pub fn meter_all(&mut self) {
        self.apply(Event::Tick);
        self.meter.at = self.clock.now();
        let tenants: Vec<TenantId> = self.members.all().map(|(tenant, _)| tenant).collect();
        let used = tenants.into_iter().flat_map(|tenant| self.used(tenant)).collect();
        self.count(used);
    }

    /// Counts what a tenant has used that is about to be removed.
    pub fn meter_last(&mut self, tenant: TenantId) {
        self.apply(Event::Tick);
        let used = self.used(tenant);
        self.count(used);
    }

    fn count(&mut self, used: Vec<(Key, Sums)>) {
        used.iter().for_each(|(key, sums)| self.meter.totals.add(key, sums));
        self.meter.usage.add(used);
    }

    /// What the tenant has used since this was last asked.
    fn used(&mut self, tenant: TenantId) -> Vec<(Key, Sums)> {
        let (all_held, all_waited) = self.core.times_of(tenant);
        let Some(member) = self.members.get_mut(tenant) else { return Vec::new() };
        let (held, waited) =
            (all_held.saturating_sub(member.counted.held), all_waited.saturating_sub(member.counted.waited));
        (member.counted.held, member.counted.waited) = (all_held, all_waited);
        let mut moved = std::mem::take(&mut member.counted.moved);
        let (uid, container) = (member.who.user, member.who.shown());
        let sums = member.devices.keys().map(|gpu| {
            let moved = moved.remove(gpu).unwrap_or_default();
            let key =
                Key { uid, container: container.clone(), program: member.hello.program.clone(), gpu: *gpu };
            (key, Sums { held, waited, moved })
        });
        sums.filter(|(_, sums)| !sums.is_nothing()).collect()
    }

    /// Answers an operator who asks what was used.
    pub fn on_report(&mut self, query: ReportQuery, reply: oneshot::Sender<Reply>) {
        self.meter_all();
        // An operator who has gone needs no answer; one whose answer is dropped is told that there is none.
        self.meter.usage.ask(query, move |report| drop(reply.send(Reply::Report(report))));
    }
}
