//! Whether it is known what a gang needs, and what it pays for members that cannot leave.
use super::Gangs;
use super::stage::{Beside, MemberTurn};
use crate::event::{Action, Event};
use crate::model::gang_state::GangState;
use crate::model::ids::TenantId;
use nvshare_protocol::tenant::{Revoke, Share};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};

/// A gang that has grown by less than this, in bytes, or by less than an eighth, is the same.
const SAME: u64 = 64 << 20;

/// When members that go on without a turn are asked to end their work: after so long first, and at least so often.
const ASKS: (Nanos, Nanos) = (Nanos::SECOND, Nanos(10 * Nanos::SECOND.0));

/// How long they have for it.
const DRAINS_WITHIN: Nanos = Nanos::from_millis(500);

/// If all members have had a turn with all their memory, and have drained, it is known what they need.
pub(super) fn settle(gangs: &mut Gangs, unit: TenantId) {
    let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
    let able = || gang.members.values().filter(|member| member.can_run());
    let has_run = gang.turn.as_ref().is_some_and(|turn| turn.ready);
    if !has_run || !able().all(|member| member.turn == MemberTurn::Drained) {
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
pub(super) fn begin_beside(gangs: &mut Gangs, unit: TenantId, lease: LeaseId) {
    let now = gangs.now;
    let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
    let ask_at = now.saturating_add(ASKS.0);
    (gang.settled, gang.beside) = (None, Some(Beside { since: now, lease, ask_at, pause: ASKS.0 }));
    gangs.timers.insert((ask_at, unit));
    gangs.events.push_back(Event::GangState { tenant: unit, state: GangState::Aside });
}

/// No member goes on without a turn any more.
pub(super) fn end_beside(gangs: &mut Gangs, unit: TenantId) {
    let now = gangs.now;
    let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
    if let Some(Beside { since, .. }) = gang.beside.take() {
        gangs.events.push_back(Event::GangState { tenant: unit, state: GangState::Unsettled });
        gangs.events.push_back(Event::Overrun { tenant: unit, lost: now.saturating_sub(since) });
    }
}

/// The gang has no turn for now: members that go on without one are asked to end their work, each time twice as long after
/// the last one.
pub(super) fn ask_beside(gangs: &mut Gangs, unit: TenantId) {
    let now = gangs.now;
    let Some(gang) = gangs.gangs.get_mut(&unit) else { return };
    let Some(beside) = gang.beside.as_mut().filter(|beside| beside.ask_at <= now) else { return };
    beside.pause = Nanos(beside.pause.0.saturating_mul(2)).min(ASKS.1);
    beside.ask_at = now.saturating_add(beside.pause);
    gangs.timers.insert((beside.ask_at, unit));
    let lease = beside.lease;
    for (id, member) in gang.members.iter().filter(|(_, member)| member.turn == MemberTurn::Beside) {
        let nothing = |device: &DeviceId| Share { device: *device, bytes: Bytes::ZERO };
        let evict = member.devices.keys().map(nothing).collect();
        let revoke = Revoke { lease, evict, drain_within: DRAINS_WITHIN };
        gangs.actions.push(Action::Revoke { tenant: *id, revoke });
    }
}

/// A member that went on without a turn may have ended its work.
pub(super) fn check_beside(gangs: &mut Gangs, unit: TenantId) {
    let Some(gang) = gangs.gangs.get(&unit) else { return };
    if !gang.members.values().any(|member| member.turn == MemberTurn::Beside) {
        end_beside(gangs, unit);
    }
}
