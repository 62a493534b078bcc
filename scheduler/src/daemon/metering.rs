//! Counts what tenants use, and answers who asks for it.
use super::reactor::Daemon;
use crate::usage::{Key, Sums};
use nvshare_core::event::{Event, TenantId};
use nvshare_protocol::control::{Reply, ReportQuery};
use tokio::sync::oneshot;

/// Counts what all tenants have used until now.
pub fn meter_all(daemon: &mut Daemon) {
    daemon.apply(Event::Tick);
    daemon.meter.at = daemon.clock.now();
    let tenants: Vec<TenantId> = daemon.members.all().map(|(tenant, _)| tenant).collect();
    let used = tenants.into_iter().flat_map(|tenant| used_by(daemon, tenant)).collect();
    count(daemon, used);
}

/// Counts what a tenant has used that is about to be removed.
pub fn meter_last(daemon: &mut Daemon, tenant: TenantId) {
    daemon.apply(Event::Tick);
    let used = used_by(daemon, tenant);
    count(daemon, used);
}

fn count(daemon: &mut Daemon, used: Vec<(Key, Sums)>) {
    used.iter().for_each(|(key, sums)| daemon.meter.totals.add(key, sums));
    daemon.meter.usage.add(used);
}

/// What the tenant has used since this was last asked.
fn used_by(daemon: &mut Daemon, tenant: TenantId) -> Vec<(Key, Sums)> {
    let (all_held, all_waited) = daemon.core.times_of(tenant);
    let Some(member) = daemon.members.get_mut(tenant) else { return Vec::new() };
    let (held, waited) =
        (all_held.saturating_sub(member.counted.held), all_waited.saturating_sub(member.counted.waited));
    (member.counted.held, member.counted.waited) = (all_held, all_waited);
    let mut moved = std::mem::take(&mut member.counted.moved);
    let (uid, container) = (member.who.user, member.who.shown());
    let sums = member.devices.keys().map(|gpu| {
        let moved = moved.remove(gpu).unwrap_or_default();
        let key = Key { uid, container: container.clone(), program: member.hello.program.clone(), gpu: *gpu };
        (key, Sums { held, waited, moved })
    });
    sums.filter(|(_, sums)| !sums.is_nothing()).collect()
}

/// Answers who asks what was used, by `user` alone or by all.
pub fn on_report(daemon: &mut Daemon, query: ReportQuery, user: Option<u32>, reply: oneshot::Sender<Reply>) {
    meter_all(daemon);
    // An operator who has gone needs no answer; one whose answer is dropped is told that there is none.
    daemon.meter.usage.ask(query, user, move |report| drop(reply.send(Reply::Report(report))));
}
