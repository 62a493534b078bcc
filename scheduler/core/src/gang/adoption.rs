//! A tenant that is known already becomes a member of a gang: its processes turn out to belong together. While it has a
//! turn that goes well, that waits until the turn is over.
use super::rules::{self, Rules};
use super::stage::MemberTurn;
use super::{Announced, Gangs, Member, OnDevice, Told, gathering, settling};
use crate::event::Event;
use crate::model::Model;
use crate::model::ids::{Owner, TenantId};
use crate::model::memory_use::MemoryUse;
use crate::model::tenant::{Stage, Tenant};

/// What a tenant brings into its gang.
fn member_of(tenant: &Tenant) -> Option<Member> {
    let turn = match tenant.stage {
        Stage::Idle | Stage::Waiting(_) => MemberTurn::None,
        // Others go on beside it already.
        Stage::Leased(ref lease) if lease.is_unresponsive() => MemberTurn::Beside,
        Stage::Leased(_) => return None,
    };
    if tenant.is_disconnected || tenant.eviction.is_some() {
        return None;
    }
    let on = |(device, memory): (&nvshare_protocol::DeviceId, &MemoryUse)| {
        let report = tenant.reports.get(device);
        let capacity = report.map(|report| report.capacity).unwrap_or_default();
        let seen = report.and_then(|report| report.observed).map(|observed| observed.bytes);
        let moves = report.and_then(|report| report.moves);
        (*device, OnDevice { capacity, memory: *memory, moves, seen })
    };
    Some(Member {
        devices: tenant.devices.iter().map(on).collect(),
        turn,
        wants: tenant.request().is_some() || turn == MemberTurn::Beside,
        is_stopped: tenant.is_stopped,
        is_paused: tenant.is_paused,
        ..Member::default()
    })
}

fn told_of(tenant: &Tenant) -> Told {
    Told {
        owner: match tenant.owner {
            Some(Owner::Named(owner)) => Some(owner),
            Some(Owner::Tenant(_)) | None => None,
        },
        family: tenant.family,
        rules: Rules {
            weight: Some(tenant.weight.max(1)),
            priority: Some(tenant.priority),
            time_share: tenant.quota.map(|quota| (quota.group, quota.percent)),
        },
        paused: tenant.is_paused,
        swaps: tenant.swaps,
        stopped: tenant.is_stopped,
    }
}

/// Takes the tenant into the gang that it was announced for, if it can be told apart from its turns now.
pub(super) fn adopt_if_due(gangs: &mut Gangs, id: TenantId, model: &Model) {
    let Some(announced) = gangs.late.get(&id).copied() else { return };
    let Some(tenant) = model.tenants.get(&id) else { return };
    let Some(member) = member_of(tenant) else { return };
    gangs.late.remove(&id);
    let (told, lease) = (told_of(tenant), tenant.lease().map(|lease| lease.id).unwrap_or_default());
    gangs.events.push_back(Event::Left { tenant: id });
    let unit = match gangs.by_number.get(&announced.number) {
        Some(unit) => *unit,
        None => gangs.found(announced.number, &told),
    };
    gangs.of.insert(id, unit);
    let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
    gang.told.swaps |= told.swaps;
    gang.told.stopped |= told.stopped;
    gang.told.paused |= told.paused;
    gang.expected = gang.expected.max(announced.expected);
    let (wants, is_beside) = (member.wants, member.turn == MemberTurn::Beside);
    let capacities: Vec<_> = member.devices.iter().map(|(device, on)| (*device, on.capacity)).collect();
    gang.members.insert(id, Member { rules: told.rules, ..member });
    rules::update(gangs, unit);
    settling::unsettle(gangs, unit);
    let mut tell = |event| gangs.events.push_back(event);
    if told.swaps {
        tell(Event::Swaps { tenant: unit });
    }
    if told.stopped {
        tell(Event::Stopped { tenant: unit, stopped: true });
    }
    if told.paused {
        tell(Event::Paused { tenant: unit, paused: true });
    }
    for (device, capacity) in &capacities {
        tell(Event::Device { tenant: unit, device: *device, capacity: *capacity });
    }
    for (device, _) in capacities {
        gangs.tell_memory(unit, device);
        gangs.tell_moves(unit, device);
        gangs.tell_seen(unit, device);
    }
    if is_beside {
        settling::begin_beside(gangs, unit, lease);
    }
    if wants {
        gathering::request(gangs, unit, model);
    }
}

/// The tenant is to be a member, now or when its turn is over.
pub(super) fn announce(gangs: &mut Gangs, id: TenantId, announced: Announced, model: &Model) {
    if gangs.single.values().any(|parted| *parted == announced.number) {
        gangs.single.insert(id, announced.number);
        return;
    }
    gangs.late.insert(id, announced);
    adopt_if_due(gangs, id, model);
}
