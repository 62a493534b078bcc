//! Jobs that nobody has told of: a process cannot end its work while others of its family wait for a turn, which it may be
//! waiting for. They get their GPUs together from then on. If they do not belong together, that costs them little.
use super::gangs;
use super::reactor::Daemon;
use super::tenant_table::Member;
use crate::process;
use nvshare_core::event::{Event, TenantId};
use std::collections::BTreeSet;

/// At most so many processes are taken for one job at a time.
const MOST: usize = 64;

/// The tenant cannot end its work: those of its family that wait become members of its gang.
pub fn learn(daemon: &mut Daemon, stuck: TenantId) {
    if !daemon.settings.gangs {
        return;
    }
    let Some(member) = daemon.members.get(stuck) else { return };
    let snapshot = daemon.core.snapshot();
    let waiting = snapshot.tenants.iter().filter(|view| view.wait.is_some() && view.gang.is_none());
    let waiting: BTreeSet<TenantId> = waiting.map(|view| view.id).collect();
    let kin = daemon.members.all().filter(|(id, other)| {
        *id != stuck && waiting.contains(id) && other.gang().is_none() && is_kin(member, other)
    });
    let mut joining: Vec<TenantId> = kin.map(|(id, _)| id).take(MOST).collect();
    if joining.is_empty() {
        return;
    }
    let name = match member.gang() {
        Some((_, name)) => name.to_owned(),
        None => {
            joining.insert(0, stuck);
            format!("learned-{}", member.session)
        }
    };
    let names: Vec<String> = joining.iter().map(|id| daemon.members.name(*id)).collect();
    let line = format!(
        "{} cannot end its work while others of its family wait: from now on they get their GPUs together, as a job of several processes: {}",
        daemon.members.name(stuck),
        names.join("; ")
    );
    daemon.audit.warn_of(&daemon.members, stuck, &line);
    joining.into_iter().for_each(|id| join(daemon, id, &name));
}

fn join(daemon: &mut Daemon, id: TenantId, name: &str) {
    let Some(member) = daemon.members.get_mut(id) else { return };
    member.hello.gang = Some(name.to_owned());
    let entered = daemon.gangs.enter(member.who.charged_to(), name, None);
    gangs::tell_entered(&daemon.audit, &daemon.members, id, entered);
    daemon.apply(Event::Gang { tenant: id, gang: entered.number, expected: None });
}

/// Whether two tenants may be of one job: of one owner, and in one container or started together.
fn is_kin(one: &Member, other: &Member) -> bool {
    let (one, other) = (&one.who, &other.who);
    if one.charged_to() != other.charged_to() {
        return false;
    }
    let is_one_container = one.container_key().is_some() && one.container_key() == other.container_key();
    is_one_container
        || process::family(one.pid)
            .zip(process::family(other.pid))
            .is_some_and(|(one, other)| one.is_of(other))
}
