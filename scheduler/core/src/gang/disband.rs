//! The end of a gang whose members do not fit on a device together: they are single tenants from then on, and take turns
//! with each other.
use super::stage::{Excess, MemberTurn};
use super::{Gang, Gangs, Told};
use crate::event::{Action, Event};
use crate::memory::capacity;
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::memory_use::MemoryUse;
use nvshare_protocol::DeviceId;

/// A member may have grown. Those that move their memory themselves run only with all of it on the device.
pub(super) fn note_excess(gangs: &mut Gangs, unit: TenantId, device: DeviceId, model: &Model) {
    let Some(gang) = gangs.gangs.get_mut(&unit).filter(|gang| gang.told.swaps) else { return };
    if model.devices.get(&device).is_none_or(|at| at.capacity == nvshare_protocol::Bytes::ZERO) {
        return;
    }
    let usable = capacity::usable_on(model, device);
    let allocated = |on: &super::OnDevice| on.memory.allocated;
    let there = gang.members.values().filter_map(|member| member.devices.get(&device).map(allocated));
    let largest = there.max().unwrap_or_default();
    let wants = gang.memory_on(device).allocated;
    // One that does not fit by itself is no matter of the gang.
    if wants <= usable || wants == largest {
        return;
    }
    gang.excess = Some(Excess { device, wants, usable });
    gangs.leave_turn(unit);
    disband_if_due(gangs, unit);
}

/// The members are told apart once nobody has a part in a turn any more, and nobody goes on without one.
pub(super) fn disband_if_due(gangs: &mut Gangs, unit: TenantId) {
    let is_due = |gang: &Gang| {
        let rests = gang.members.values().all(|member| member.turn == MemberTurn::None);
        gang.turn.is_none() && gang.evicting.is_empty() && rests
    };
    let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
    // They may have freed memory since, or left.
    let fits = |excess: &mut Excess| gang.memory_on(excess.device).allocated <= excess.usable;
    let mut excess = gang.excess;
    excess.take_if(fits);
    gang.excess = excess;
    let gang = &*gang;
    let Some(Excess { device, wants, usable }) = gang.excess.filter(|_| is_due(gang)) else { return };
    let Some(gang) = gangs.gangs.remove(&unit) else { return };
    gangs.by_number.remove(&gang.number);
    gangs.events.push_back(Event::Left { tenant: unit });
    if let Some(tenant) = gang.members.keys().next().copied() {
        gangs.actions.push(Action::Disbanded { tenant, device, wants, usable });
    }
    for (id, member) in gang.members {
        gangs.past.note(gangs.now, unit, id, &member);
        gangs.of.remove(&id);
        gangs.single.insert(id, gang.number);
        let told =
            Told { stopped: member.is_stopped, paused: member.is_paused, rules: member.rules, ..gang.told };
        let capacities = member.devices.iter().map(|(device, on)| (*device, on.capacity));
        gangs.introduce(id, &told, capacities.collect());
        for (&device, on) in &member.devices {
            let MemoryUse { allocated, resident, immovable } = on.memory;
            gangs.events.push_back(Event::Memory { tenant: id, device, allocated, resident, immovable });
            gangs.events.extend(on.moves.map(|moves| Event::Moves { tenant: id, moves }));
            let seen = on.seen.map(|bytes| Event::Seen { tenant: id, device, bytes });
            gangs.events.extend(seen);
        }
        if member.is_disconnected {
            gangs.events.push_back(Event::Disconnected { tenant: id });
        } else if member.wants {
            gangs.events.push_back(Event::Requested { tenant: id });
        }
    }
}
