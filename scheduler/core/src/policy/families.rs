//! Processes of one family may be a job that nobody has told of: they wait for each other inside their work. If two
//! families each have a process inside a kernel, and no room is left for the others, nobody can ever undo it. So two
//! families are beside each other only where it is known that both fit as a whole.
use crate::memory::capacity;
use crate::model::Model;
use crate::model::gang_state::GangState;
use crate::model::ids::TenantId;
use crate::model::tenant::Tenant;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeSet;

/// How long nobody else is granted the devices of a family of which one cannot end its work: within this time it is said
/// which of them belong together.
pub(crate) const ANSWER: Nanos = Nanos::from_millis(100);

/// What may wait for parts of itself: a family of several tenants, or a gang.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Party {
    Family(u64),
    Gang(TenantId),
}

fn party(model: &Model, id: TenantId) -> Option<Party> {
    let tenant = model.tenants.get(&id)?;
    if tenant.gang.is_some() {
        return Some(Party::Gang(id));
    }
    let family = tenant.family?;
    members_of(model, family).nth(1).map(|_| Party::Family(family))
}

/// Those of the family that are no gang.
fn members_of(model: &Model, family: u64) -> impl Iterator<Item = (TenantId, &Tenant)> {
    let members = model.families.get(&family).into_iter().flatten();
    let members = members.filter_map(|id| Some((*id, model.tenants.get(id)?)));
    members.filter(|(_, tenant)| tenant.gang.is_none() && !tenant.is_disconnected)
}

fn tenants_of(model: &Model, party: Party) -> Vec<(TenantId, &Tenant)> {
    match party {
        Party::Family(family) => members_of(model, family).collect(),
        Party::Gang(id) => model.tenants.get(&id).map(|tenant| (id, tenant)).into_iter().collect(),
    }
}

/// Whether it is at its turn.
fn is_active(tenant: &Tenant) -> bool {
    tenant.lease().is_some_and(|lease| !lease.is_unresponsive())
}

/// The holders that have to leave before the tenant may begin, because they and it may be of two jobs that do not fit
/// together. Nobody, once one of the tenant's own family has begun: it may wait for this one.
pub(crate) fn in_the_way(model: &Model, id: TenantId) -> BTreeSet<TenantId> {
    let all = BTreeSet::new();
    if model.families.is_empty() {
        return all;
    }
    let Some((own, tenant)) = party(model, id).zip(model.tenants.get(&id)) else { return all };
    if tenant.gang == Some(GangState::Aside) || tenants_of(model, own).iter().any(|(_, kin)| is_active(kin)) {
        return all;
    }
    in_conflict(model, own, tenant)
}

/// The tenant's kin that hold, if other holders are in conflict with the family: it has become one of several tenants while
/// both were holding.
pub(crate) fn come_upon_others(model: &Model, id: TenantId) -> Vec<TenantId> {
    let Some((own, tenant)) = party(model, id).zip(model.tenants.get(&id)) else { return Vec::new() };
    let active = tenants_of(model, own).into_iter().filter(|(other, kin)| *other != id && is_active(kin));
    let active: Vec<TenantId> = active.map(|(id, _)| id).collect();
    let conflicts = !active.is_empty() && !in_conflict(model, own, tenant).is_empty();
    if conflicts { active } else { Vec::new() }
}

/// The holders with which this party is in conflict where the tenant runs.
fn in_conflict(model: &Model, own: Party, tenant: &Tenant) -> BTreeSet<TenantId> {
    let mut all = BTreeSet::new();
    let holders: BTreeSet<TenantId> =
        model.devices.values().flat_map(|at| at.index().holders.iter().copied()).collect();
    let mut judged: Vec<(Party, bool)> = Vec::new();
    for holder in holders {
        // Two gangs have a rule of their own.
        let Some(other) = party(model, holder).filter(|other| *other != own) else { continue };
        if matches!((own, other), (Party::Gang(_), Party::Gang(_))) {
            continue;
        }
        let known = judged.iter().find(|(party, _)| *party == other).map(|(_, conflicts)| *conflicts);
        let conflicts = known.unwrap_or_else(|| {
            let conflicts = conflict(model, own, other, tenant);
            judged.push((other, conflicts));
            conflicts
        });
        if conflicts {
            all.insert(holder);
        }
    }
    all
}

/// Whether the two may need the same device, and it is not known that both fit on it.
fn conflict(model: &Model, own: Party, other: Party, tenant: &Tenant) -> bool {
    let (ours, theirs) = (tenants_of(model, own), tenants_of(model, other));
    let uses = |device: &DeviceId| theirs.iter().any(|(_, tenant)| tenant.devices.contains_key(device));
    let mut shared = tenant.devices.keys().filter(|device| uses(device)).peekable();
    if shared.peek().is_none() {
        return false;
    }
    let all = || ours.iter().chain(&theirs);
    if !all().all(|(_, tenant)| is_known(tenant)) {
        return true;
    }
    shared.any(|device| {
        let there = all().filter_map(|(_, tenant)| tenant.devices.get(device));
        let sum: u128 = there.map(|memory| u128::from(memory.allocated.0)).sum();
        sum > u128::from(capacity::usable_on(model, *device).0)
    })
}

/// Whether it has had a turn, so that it is known what it needs.
fn is_known(tenant: &Tenant) -> bool {
    match tenant.gang {
        Some(state) => state == GangState::Settled,
        None => tenant.devices.is_empty() || tenant.time_held > Nanos::ZERO,
    }
}

/// Whether one that is no kin of the tenant waits where its kin may run.
pub(crate) fn are_waited_for(model: &Model, tenant: &Tenant) -> bool {
    let Some(family) = tenant.family else { return false };
    let devices = members_of(model, family).flat_map(|(_, kin)| kin.devices.keys());
    let mut waiting =
        devices.filter_map(|device| model.devices.get(device)).flat_map(|at| at.queue().waiting());
    waiting.any(|id| model.tenants.get(&id).is_some_and(|other| other.family != Some(family)))
}

/// Whether families wait for the tenant's devices.
pub(crate) fn wait_for(model: &Model, id: TenantId) -> bool {
    let devices = model.devices_of(id);
    let mut waiting =
        devices.iter().filter_map(|device| model.devices.get(device)).flat_map(|at| at.queue().waiting());
    waiting.any(|other| matches!(party(model, other), Some(Party::Family(_))))
}

/// Whether others of its family wait.
pub(crate) fn has_waiting_kin(model: &Model, id: TenantId) -> bool {
    let Some(family) = model.tenants.get(&id).and_then(|tenant| tenant.family) else { return false };
    members_of(model, family).any(|(other, tenant)| other != id && tenant.request().is_some())
}

/// Until when it is to be said who belongs to one that cannot end its work: nobody begins on the family's devices before.
pub(crate) fn stalled_until(model: &Model, id: TenantId) -> Option<Nanos> {
    let tenant = model.tenants.get(&id).filter(|_| !model.stalls.is_empty())?;
    if tenant.gang == Some(GangState::Aside) {
        return None;
    }
    let stalls = tenant.devices.keys().filter_map(|device| model.stalls.get(device).copied());
    stalls.max().filter(|until| *until > model.now)
}

/// Nobody begins on the family's devices for a moment.
pub(crate) fn stall(model: &mut Model, id: TenantId) {
    let Some(family) = model.tenants.get(&id).and_then(|tenant| tenant.family) else { return };
    let now = model.now;
    model.stalls.retain(|_, until| *until > now);
    let devices: Vec<DeviceId> =
        members_of(model, family).flat_map(|(_, tenant)| tenant.devices.keys().copied()).collect();
    model.stalls.extend(devices.into_iter().map(|device| (device, now.saturating_add(ANSWER))));
}
