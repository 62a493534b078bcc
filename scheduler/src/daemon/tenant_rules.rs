//! What operators set for single tenants and containers, and what holds for a tenant by settings, wish and operator.
use super::reactor::Daemon;
use super::rules::{Overrides, TurnRules, group};
use super::tenant_table::Member;
use super::wishes::Wishes;
use crate::identity::{Owner, cgroup::Container};
use crate::text;
use nvshare_core::event::{Event, TenantId};
use nvshare_core::{Priority, settings::MAX_WEIGHT};
use nvshare_protocol::control::{Target, TenantChange};
use nvshare_protocol::tenant::{Terms, ToTenant};
use nvshare_protocol::{Bytes, DeviceId};

/// The first version of the protocol with [`ToTenant::Terms`].
const TERMS_SINCE: u32 = 5;
/// An id with fewer characters names no container.
const SHORTEST_ID: usize = 4;

/// Tells the core what has changed of the rules of the tenant's turns.
pub fn apply(daemon: &mut Daemon, tenant: TenantId) {
    let Some(member) = daemon.members.get_mut(tenant) else { return };
    let wishes = Wishes::of(&member.hello, member.job.map(|job| job.rules), &daemon.settings);
    let now = TurnRules::of(&wishes, &member.overrides);
    let before = std::mem::replace(&mut member.turn_rules, now);
    let group = group(&member.who, tenant);
    if now.weight != before.weight {
        daemon.apply(Event::Weight { tenant, weight: now.weight });
    }
    if now.priority != before.priority {
        daemon.apply(Event::Priority { tenant, priority: now.priority });
    }
    if now.time_share != before.time_share {
        daemon.apply(Event::TimeShare { tenant, group, percent: now.time_share });
    }
    if now.paused != before.paused {
        daemon.apply(Event::Paused { tenant, paused: now.paused });
    }
}

/// Reserves memory for all tenants anew, in the order in which they joined, and tells those for whom it is another
/// limit than before, or all of them.
pub fn reserve_again(daemon: &mut Daemon, tell_all: bool) {
    let tenants: Vec<TenantId> = daemon.members.all().map(|(tenant, _)| tenant).collect();
    for tenant in &tenants {
        if let Some(member) = daemon.members.get(*tenant) {
            daemon.reservations.release(&member.reservation);
        }
    }
    for tenant in tenants {
        let Some(member) = daemon.members.get_mut(tenant) else { continue };
        let before = member.reservation.limit;
        let reservation = daemon.reservations.reserve(&member.who, member.wish(), member.overrides.limit);
        member.reserve(reservation);
        if tell_all || member.reservation.limit != before {
            tell_terms(daemon, tenant);
        }
    }
}

/// Reserves for one tenant anew, and tells it.
pub fn reserve_one_again(daemon: &mut Daemon, tenant: TenantId) {
    let Some(member) = daemon.members.get_mut(tenant) else { return };
    let before = member.reservation.limit;
    daemon.reservations.release(&member.reservation);
    let reservation = daemon.reservations.reserve(&member.who, member.wish(), member.overrides.limit);
    member.reserve(reservation);
    if member.reservation.limit != before {
        tell_terms(daemon, tenant);
    }
}

/// Tells a tenant what it may have. Libraries before [`TERMS_SINCE`] go on as they were welcomed.
fn tell_terms(daemon: &Daemon, tenant: TenantId) {
    let Some(member) = daemon.members.get(tenant).filter(|member| knows_terms(member)) else { return };
    let limit = member.reservation.limit.into_iter().chain(daemon.usable()).min();
    member.send(ToTenant::Terms(Terms { reserve: daemon.core.settings().reserve, limit }));
}

fn knows_terms(member: &Member) -> bool {
    member.hello.version >= TERMS_SINCE
}

/// Whom a request means.
struct Found {
    tenants: Vec<TenantId>,
    /// For words.
    name: String,
    container: Option<(Owner, Container)>,
}

fn find(daemon: &Daemon, target: &Target) -> Result<Found, String> {
    let container = match target {
        Target::Tenant(id) => {
            let tenant = TenantId(*id);
            return match daemon.members.get(tenant) {
                Some(_) => {
                    Ok(Found { tenants: vec![tenant], name: daemon.members.name(tenant), container: None })
                }
                None => Err(format!("there is no tenant {id} (nvsharectl status shows them)")),
            };
        }
        Target::Container(container) => container,
    };
    if container.len() < SHORTEST_ID {
        return Err(format!(
            "{container:?} is too short: a container's id has {SHORTEST_ID} characters at least"
        ));
    }
    let is_meant = |of: &&Container| of.is_meant(container);
    let named = daemon.members.all().filter_map(|(tenant, member)| {
        let of = member.who.container.as_ref().filter(is_meant)?;
        Some((Some(tenant), of, member.who.container_key()?))
    });
    // None of its tenants may be left, but what is set for it.
    let ruled = daemon.container_overrides.containers().filter(|(_, of)| is_meant(of));
    let mut named: Vec<_> = named.chain(ruled.map(|(key, of)| (None, of, key))).collect();
    // A user who names a control group as one of the host's engine takes nothing from that.
    if named.iter().any(|(_, of, _)| of.is_engines()) {
        named.retain(|(_, of, _)| of.is_engines());
    }
    let Some((_, of, key)) = named.first().copied() else {
        return Err(format!("no tenant is in a container {container:?} (nvsharectl status shows them)"));
    };
    if named.iter().any(|(_, _, other)| *other != key) {
        return Err(format!("{container:?} names several containers: more of the id tells them apart"));
    }
    let tenants: Vec<TenantId> = named.iter().filter_map(|(tenant, ..)| *tenant).collect();
    let name = format!("{} ({} tenants, and those that join)", named_as(of), tenants.len());
    Ok(Found { tenants, name, container: Some((key, of.clone())) })
}

/// For words: `container 4f1d3c0b5a69`, `job 42`.
fn named_as(of: &Container) -> String {
    of.step.as_ref().map_or_else(|| of.label(), |step| format!("job {}", step.job))
}

/// Changes what is set for them, and tells how long it holds.
fn change(daemon: &mut Daemon, found: &Found, change: impl Fn(&mut Overrides)) -> &'static str {
    for tenant in &found.tenants {
        if let Some(member) = daemon.members.get_mut(*tenant) {
            change(&mut member.overrides);
        }
        apply(daemon, *tenant);
    }
    match &found.container {
        Some((key, container)) => {
            daemon.container_overrides.change(*key, container.clone(), change);
            "until the scheduler is restarted"
        }
        None => "until it leaves or the scheduler is restarted",
    }
}

/// Sets it for those whom the operator means. The answer says how long it holds.
///
/// # Errors
/// Whom there is not, and what is not allowed.
pub fn set(daemon: &mut Daemon, target: &Target, to: &TenantChange) -> Result<String, String> {
    let found = find(daemon, target)?;
    let (what, holds) = match to {
        TenantChange::Limit(limit) => return set_limit(daemon, &found, limit.map(Bytes)),
        TenantChange::Weight(Some(weight)) if !(1..=MAX_WEIGHT).contains(weight) => {
            return Err(format!("weight = {weight} is not allowed (allowed: 1 to {MAX_WEIGHT}, or default)"));
        }
        TenantChange::Weight(weight) => (
            format!("weight {}", shown(weight.map(|n| n.to_string()))),
            change(daemon, &found, |set| set.weight = *weight),
        ),
        TenantChange::Priority(word) => {
            let priority = word.as_deref().map(named_priority).transpose()?;
            let holds = change(daemon, &found, |set| set.priority = priority);
            (format!("priority {}", shown(word.clone())), holds)
        }
        TenantChange::TimeShare(Some(percent)) if !(1..=100).contains(percent) => {
            return Err(format!(
                "time-share = {percent} is not allowed (allowed: 1 to 100 per cent, or default)"
            ));
        }
        TenantChange::TimeShare(percent) => (
            format!("time share {}", shown(percent.map(|n| format!("{n} %")))),
            change(daemon, &found, |set| set.time_share = *percent),
        ),
    };
    Ok(format!("{}: {what}, {holds}", found.name))
}

fn named_priority(word: &str) -> Result<Priority, String> {
    let found = Priority::ALL.into_iter().find(|priority| priority.as_str() == word);
    found
        .ok_or_else(|| format!("priority = {word:?} is not allowed (allowed: low, normal, high, or default)"))
}

fn shown(value: Option<String>) -> String {
    value.unwrap_or_else(|| "as the settings and its own wish say".into())
}

fn set_limit(daemon: &mut Daemon, found: &Found, limit: Option<Bytes>) -> Result<String, String> {
    const RANGE: std::ops::RangeInclusive<u64> = 1 << 20..=16 << 40;
    if let Some(Bytes(bytes)) = limit.filter(|limit| !RANGE.contains(&limit.0)) {
        return Err(format!("limit = {bytes} B is not allowed (allowed: 1MiB to 16384GiB, or default)"));
    }
    let old = |tenant: &&TenantId| daemon.members.get(**tenant).is_some_and(|member| !knows_terms(member));
    let old: Vec<String> =
        found.tenants.iter().filter(old).map(|tenant| daemon.members.name(*tenant)).collect();
    if found.container.is_none() && !old.is_empty() {
        return Err(format!(
            "{}: its library is older and hears of no new limit; restart the program, then set it",
            found.name
        ));
    }
    let holds = change(daemon, found, |set| set.limit = limit);
    reserve_again(daemon, false);
    let mut answer =
        format!("{}: limit {}, {holds}", found.name, shown(limit.map(|limit| text::memory(limit.0))));
    for tenant in &found.tenants {
        let Some(member) = daemon.members.get(*tenant) else { continue };
        let Some(limit) = member.reservation.limit else { continue };
        let allocated = |device: &DeviceId| daemon.core.memory_of(*tenant, *device).allocated;
        let most = member.devices.keys().map(allocated).max();
        if let Some(most) = most.filter(|most| *most > limit) {
            answer += &format!(
                "; tenant {} has {} now: its next allocation fails, nothing else happens",
                tenant.0,
                text::memory(most.0)
            );
        }
    }
    for name in old {
        answer += &format!("; {name} has an older library and goes on as it was");
    }
    Ok(answer)
}

/// # Errors
/// Whom there is not.
pub fn pause(daemon: &mut Daemon, target: &Target, paused: bool) -> Result<String, String> {
    let found = find(daemon, target)?;
    let holds = change(daemon, &found, |set| set.paused = paused);
    Ok(match paused {
        true => format!(
            "{}: paused: no turns, and its memory stays until others need the room; {holds}, or `nvsharectl resume`",
            found.name
        ),
        false => format!("{}: has turns again", found.name),
    })
}

/// # Errors
/// Whom there is not, and who cannot be asked.
pub fn move_out(daemon: &mut Daemon, target: &Target) -> Result<String, String> {
    let found = find(daemon, target)?;
    let can = |tenant: &&TenantId| {
        daemon
            .members
            .get(**tenant)
            .is_some_and(|member| member.is_connected() && !member.liveness.is_halted())
    };
    let able: Vec<TenantId> = found.tenants.iter().filter(can).copied().collect();
    if able.is_empty() {
        return Err(format!(
            "{}: its process is stopped or has lost its connection: it can move nothing",
            found.name
        ));
    }
    able.into_iter().for_each(|tenant| daemon.apply(Event::MoveOut { tenant }));
    Ok(format!(
        "{}: its memory moves out, once; it comes back with its next turn (`nvsharectl pause` keeps it out)",
        found.name
    ))
}
