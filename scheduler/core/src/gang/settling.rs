//! Whether it is known what a gang needs, and what it pays for members that cannot leave.
use super::Gangs;
use super::stage::MemberTurn;
use crate::event::Event;
use crate::model::gang_state::GangState;
use crate::model::ids::TenantId;
use nvshare_protocol::{Bytes, DeviceId};

/// A gang that has grown by less than this, in bytes, or by less than an eighth, is the same.
const SAME: u64 = 64 << 20;

/// If all members have had a turn with all their memory, and have drained, it is known what they need.
pub(super) fn settle(gangs: &mut Gangs, unit: TenantId) {
    let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
    let connected = || gang.members.values().filter(|member| !member.is_disconnected);
    let has_run = gang.turn.as_ref().is_some_and(|turn| turn.ready);
    if !has_run || !connected().all(|member| member.turn == MemberTurn::Drained) {
        return;
    }
    let devices = gang.devices().into_iter();
    let allocated = devices.map(|device| (device, gang.memory_on(device).allocated)).collect();
    if gang.settled.replace(allocated).is_none() {
        gangs.events.push_back(Event::GangState { tenant: unit, state: GangState::Settled });
    }
}

/// It is not known any more.
pub(super) fn unsettle(gangs: &mut Gangs, unit: TenantId) {
    let known = gangs.gangs.get_mut(&unit).and_then(|gang| gang.settled.take());
    if known.is_some() {
        gangs.events.push_back(Event::GangState { tenant: unit, state: GangState::Unsettled });
    }
}

/// The members may have grown.
pub(super) fn note_growth(gangs: &mut Gangs, unit: TenantId, device: DeviceId) {
    let Some(gang) = gangs.gangs.get(&unit) else { return };
    let Some(settled) = &gang.settled else { return };
    let was = settled.get(&device).copied().unwrap_or_default();
    let most = was.saturating_add(Bytes((was.0 / 8).max(SAME)));
    if gang.memory_on(device).allocated > most {
        unsettle(gangs, unit);
    }
}

/// Members go on without a turn, until the gang has another one.
pub(super) fn begin_beside(gangs: &mut Gangs, unit: TenantId) {
    let now = gangs.now;
    let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
    (gang.settled, gang.beside_since) = (None, Some(now));
    gangs.events.push_back(Event::GangState { tenant: unit, state: GangState::Aside });
}

/// No member goes on without a turn any more.
pub(super) fn end_beside(gangs: &mut Gangs, unit: TenantId) {
    let now = gangs.now;
    let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
    if let Some(since) = gang.beside_since.take() {
        gangs.events.push_back(Event::GangState { tenant: unit, state: GangState::Unsettled });
        gangs.events.push_back(Event::Overrun { tenant: unit, lost: now.saturating_sub(since) });
    }
}

/// A member that went on without a turn may have ended its work.
pub(super) fn check_beside(gangs: &mut Gangs, unit: TenantId) {
    let Some(gang) = gangs.gangs.get(&unit) else { return };
    if !gang.members.values().any(|member| member.turn == MemberTurn::Beside) {
        end_beside(gangs, unit);
    }
}
