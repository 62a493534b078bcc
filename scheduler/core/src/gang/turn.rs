//! A gang's turn: its members run, drain in attempts, and move memory out.
use super::stage::{Drain, Gathering, MemberTurn, Stage, Turn};
use super::{Gang, Gangs, Member, Told, disband, gathering, settling};
use crate::event::{Action, Event};
use crate::model::gang_state::GangState;
use crate::model::ids::TenantId;
use nvshare_protocol::tenant::{Grant, Released, Revoke, Share};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};
use std::collections::{BTreeMap, BTreeSet};

/// How long the first attempt to drain may take. Each one has half as long again as the one before it: an attempt that
/// meets the members at different calls fails however long it takes, and one with longer kernels needs its time.
const FIRST_DRAIN: Nanos = Nanos::from_millis(50);

/// How long all attempts may take where nobody waits for the gang's devices.
const LEAVES_WITHIN: Nanos = Nanos::SECOND;

/// How long members go on between two attempts: long enough for those that wait for each other to meet.
const RETRY: Nanos = Nanos::from_millis(20);

impl Gangs {
    /// Lets a member run.
    pub(super) fn grant_member(&mut self, unit: TenantId, id: TenantId) {
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        let Some(turn) = &gang.turn else { return };
        let budget = gang.share_of_budget(id, &turn.budget);
        let (lease, contended) = (turn.lease, turn.contended);
        let takes_part = |member: &&mut Member| member.can_run() && !member.stays_out;
        let Some(member) = gang.members.get_mut(&id).filter(takes_part) else { return };
        if budget.is_empty() {
            return;
        }
        let was_ready = member.turn == MemberTurn::Drained;
        member.wants = false;
        member.turn = MemberTurn::Granted { ready: was_ready, idle: false };
        self.actions.push(Action::Grant { tenant: id, grant: Grant { lease, budget, contended } });
    }

    /// The engine wants the devices back.
    pub(super) fn revoke(&mut self, unit: TenantId, revoke: Revoke) {
        let now = self.now;
        let Some(turn) = self.gangs.get_mut(&unit).and_then(|gang| gang.turn.as_mut()) else {
            // Nobody has anything to give back.
            let (lease, zero) = (revoke.lease, Nanos::ZERO);
            let released = Released { lease, evicted: Vec::new(), drain: zero, evict: zero };
            self.events.push_back(Event::Released { tenant: unit, released });
            return;
        };
        match &mut turn.stage {
            Stage::Drains(drain) | Stage::Reopened(drain, _) => {
                (drain.evict, drain.bound) = (revoke.evict, revoke.drain_within);
            }
            Stage::Evicts { .. } => {}
            Stage::Runs => {
                let bound = revoke.drain_within;
                turn.stage = Stage::Drains(Drain { since: now, attempt: 0, bound, evict: revoke.evict });
                self.ask_to_drain(unit);
            }
        }
    }

    /// A member has given its part back by itself, for instance for lack of room: the others cannot go on without it.
    pub(super) fn leave_turn(&mut self, unit: TenantId) {
        let now = self.now;
        let Some(turn) = self.gangs.get_mut(&unit).and_then(|gang| gang.turn.as_mut()) else { return };
        if matches!(turn.stage, Stage::Runs) {
            let bound = LEAVES_WITHIN;
            turn.stage = Stage::Drains(Drain { since: now, attempt: 0, bound, evict: Vec::new() });
            self.ask_to_drain(unit);
        }
    }

    fn ask_to_drain(&mut self, unit: TenantId) {
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        let Some(Turn { lease, stage: Stage::Drains(drain), .. }) = &gang.turn else { return };
        let left = drain.since.saturating_add(drain.bound).saturating_sub(self.now);
        let within = (0..drain.attempt.min(32)).fold(FIRST_DRAIN, |time, _| Nanos(time.0 + time.0 / 2));
        let within = within.min(left.max(RETRY));
        for (id, member) in &mut gang.members {
            if !matches!(member.turn, MemberTurn::Granted { .. }) {
                continue;
            }
            member.turn = MemberTurn::Asked;
            let nothing = |device: &DeviceId| Share { device: *device, bytes: Bytes::ZERO };
            let evict = member.devices.keys().map(nothing).collect();
            let revoke = Revoke { lease: *lease, evict, drain_within: within };
            self.actions.push(Action::Revoke { tenant: *id, revoke });
        }
        self.check_drained(unit);
    }

    /// All members have drained: what has to go moves out.
    pub(super) fn check_drained(&mut self, unit: TenantId) {
        let now = self.now;
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        let Some(turn) = &gang.turn else { return };
        let Stage::Drains(drain) = &turn.stage else { return };
        if gang.members.values().any(|member| member.is_in_turn()) {
            return;
        }
        let (took, wanted) = (now.saturating_sub(drain.since), drain.evict.clone());
        let asked = gang.split_eviction(&wanted);
        let waiting = asked.keys().copied().collect();
        let resident = gang.resident();
        if let Some(turn) = &mut gang.turn {
            turn.stage = Stage::Evicts { drain: took, since: now, waiting, resident };
        }
        self.ask_to_evict(asked);
        self.check_evicted(unit);
    }

    pub(super) fn ask_to_evict(&mut self, asked: BTreeMap<TenantId, Vec<Share>>) {
        for (tenant, shares) in asked {
            self.actions.push(Action::Evict { tenant, shares });
        }
    }

    /// All that was asked for has moved out, or nobody is left to answer: the turn is over.
    pub(super) fn check_evicted(&mut self, unit: TenantId) {
        let now = self.now;
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        let Some(Turn { lease, stage: Stage::Evicts { drain, since, waiting, resident }, .. }) = &gang.turn
        else {
            return;
        };
        if !waiting.is_empty() {
            return;
        }
        let left = gang.resident();
        let moved = |(device, before): (&DeviceId, &u64)| Share {
            device: *device,
            bytes: Bytes(before.saturating_sub(left.get(device).copied().unwrap_or_default())),
        };
        let evicted = resident.iter().map(moved).filter(|share| share.bytes > Bytes::ZERO).collect();
        let (lease, drain, evict) = (*lease, *drain, now.saturating_sub(*since));
        settling::settle(self, unit);
        self.end_turn(unit);
        let released = Released { lease, evicted, drain, evict };
        self.events.push_back(Event::Released { tenant: unit, released });
        disband::disband_if_due(self, unit);
        self.announce_anew(unit);
    }

    /// Nobody has a part in a turn any more.
    pub(super) fn end_turn(&mut self, unit: TenantId) {
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        gang.turn = None;
        gang.members.values_mut().for_each(|member| member.turn = MemberTurn::None);
    }

    /// The engine forgets the gang and hears of it anew, without the devices that no member uses any more: otherwise it
    /// would wait for these too. Its place in the queues is lost.
    pub(super) fn announce_anew(&mut self, unit: TenantId) {
        let is_due = |gang: &mut Gang| gang.has_left_device && gang.turn.is_none();
        let Some(mut gang) = self.gangs.remove(&unit) else { return };
        if !is_due(&mut gang) {
            self.gangs.insert(unit, gang);
            return;
        }
        self.events.push_back(Event::Left { tenant: unit });
        let tenant = self.new_unit();
        gang.members.iter().for_each(|(id, member)| self.past.note(self.now, unit, *id, member));
        self.by_number.insert(gang.number, tenant);
        self.of.values_mut().filter(|of| **of == unit).for_each(|of| *of = tenant);
        (gang.has_left_device, gang.evicting) = (false, BTreeSet::new());
        gang.gathering = Gathering::Over;
        gang.members.values_mut().for_each(|member| member.joined_at = Default::default());
        let wants = gang.members.values().any(|member| member.wants);
        let told = gang.told;
        let state = match (&gang.settled, &gang.beside) {
            (_, Some(_)) => GangState::Aside,
            (Some(_), None) => GangState::Settled,
            (None, None) => GangState::Unsettled,
        };
        // The timer goes by the engine's name.
        self.timers.extend(gang.beside.map(|beside| (beside.ask_at, tenant)));
        let members = gang.members.values().flat_map(|member| &member.devices);
        let capacities: Vec<_> = members.map(|(device, on)| (*device, on.capacity)).collect();
        self.introduce(tenant, &told, capacities);
        self.events.push_back(Event::GangState { tenant, state });
        let devices = gang.devices();
        self.gangs.insert(tenant, gang);
        for device in devices {
            self.tell_memory(tenant, device);
            self.tell_moves(tenant, device);
            self.tell_seen(tenant, device);
        }
        if wants {
            self.events.push_back(Event::Requested { tenant });
        }
    }

    /// The engine hears of a tenant what others know already.
    pub(super) fn introduce(&mut self, tenant: TenantId, told: &Told, capacities: Vec<(DeviceId, Bytes)>) {
        let mut tell = |event| self.events.push_back(event);
        tell(Event::Joined { tenant, holds: false });
        told.owner.into_iter().for_each(|owner| tell(Event::Owner { tenant, owner }));
        told.family.into_iter().for_each(|family| tell(Event::Family { tenant, family }));
        told.rules.weight.into_iter().for_each(|weight| tell(Event::Weight { tenant, weight }));
        told.rules.priority.into_iter().for_each(|priority| tell(Event::Priority { tenant, priority }));
        if let Some((group, percent)) = told.rules.time_share {
            tell(Event::TimeShare { tenant, group, percent });
        }
        for (device, capacity) in capacities {
            tell(Event::Device { tenant, device, capacity });
        }
        if told.swaps {
            tell(Event::Swaps { tenant });
        }
        for (is_so, event) in [
            (told.paused, Event::Paused { tenant, paused: true }),
            (told.stopped, Event::Stopped { tenant, stopped: true }),
        ] {
            is_so.then(|| tell(event));
        }
    }

    /// A member could not drain, and goes on. Maybe it waits for others, which have drained: these go on too.
    pub(super) fn drain_cancelled(&mut self, unit: TenantId, id: TenantId, lease: LeaseId) {
        let now = self.now;
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        // Otherwise it answers what it was asked before this turn.
        if gang.turn.as_ref().is_none_or(|turn| turn.lease != lease) {
            return;
        }
        let Some(member) = gang.members.get_mut(&id).filter(|member| member.turn == MemberTurn::Asked) else {
            return;
        };
        member.turn = MemberTurn::Granted { ready: true, idle: false };
        let Some(turn) = &mut gang.turn else { return };
        if let Stage::Drains(drain) = &turn.stage {
            let drain = drain.clone();
            let retry = now.saturating_add(RETRY);
            turn.stage = Stage::Reopened(drain, retry);
            self.timers.insert((retry, unit));
        }
        self.stand_aside(unit);
        self.reopen(unit);
        self.give_up_if_late(unit);
        self.retry_if_due(unit);
    }

    /// Those that have drained go on.
    pub(super) fn reopen(&mut self, unit: TenantId) {
        let Some(gang) = self.gangs.get(&unit) else { return };
        if !matches!(gang.turn, Some(Turn { stage: Stage::Reopened(..), .. })) {
            return;
        }
        let drained = gang.members.iter().filter(|(_, member)| member.turn == MemberTurn::Drained);
        let drained: Vec<TenantId> = drained.map(|(id, _)| *id).collect();
        drained.into_iter().for_each(|id| self.grant_member(unit, id));
    }

    /// A member has no part in the turn and asks for one, while another cannot end its work: maybe that waits for the
    /// first. The turn is over for the engine, and the gang asks for another one, with all members. Those that cannot end
    /// their work go on beside the others until then, as they do in any case, and keep their memory.
    pub(super) fn stand_aside(&mut self, unit: TenantId) {
        let now = self.now;
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        let Some(turn) = &gang.turn else { return };
        let is_missing = gang
            .members
            .values()
            .any(|member| member.turn == MemberTurn::None && member.wants && member.can_run());
        let since = match &turn.stage {
            Stage::Drains(drain) | Stage::Reopened(drain, _) => drain.since,
            Stage::Runs => now,
            Stage::Evicts { .. } => return,
        };
        if !is_missing {
            return;
        }
        let lease = turn.lease;
        gang.turn = None;
        for member in gang.members.values_mut() {
            member.turn = match member.turn {
                MemberTurn::None | MemberTurn::Drained => MemberTurn::None,
                _ => MemberTurn::Beside,
            };
        }
        settling::begin_beside(self, unit, lease);
        self.tell_all_memory(unit);
        let (drain, evict) = (now.saturating_sub(since), Nanos::ZERO);
        let released = Released { lease, evicted: Vec::new(), drain, evict };
        self.events.push_back(Event::Released { tenant: unit, released });
        self.events.push_back(Event::Requested { tenant: unit });
    }

    /// The attempts have taken as long as they may: the engine hears that the gang does not drain.
    pub(super) fn give_up_if_late(&mut self, unit: TenantId) {
        let now = self.now;
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        let Some(turn) = &mut gang.turn else { return };
        let Stage::Reopened(drain, _) = &turn.stage else { return };
        let is_asked = gang.members.values().any(|member| member.turn == MemberTurn::Asked);
        if is_asked || now < drain.since.saturating_add(drain.bound) {
            return;
        }
        turn.stage = Stage::Runs;
        let lease = turn.lease;
        self.events.push_back(Event::DrainCancelled { tenant: unit, lease });
    }

    /// Asks those again whose time has come.
    pub(super) fn retry_due(&mut self) {
        while let Some(&(at, unit)) = self.timers.first()
            && at <= self.now
        {
            self.timers.pop_first();
            gathering::check(self, unit);
            self.retry_if_due(unit);
            settling::ask_beside(self, unit);
        }
    }

    /// Asks the members again if it is time, and all have answered the last attempt.
    pub(super) fn retry_if_due(&mut self, unit: TenantId) {
        let now = self.now;
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        let answered = gang.members.values().all(|member| member.turn != MemberTurn::Asked);
        let Some(turn) = gang.turn.as_mut().filter(|_| answered) else { return };
        if let Stage::Reopened(drain, at) = &turn.stage
            && *at <= now
        {
            let drain = Drain { attempt: drain.attempt + 1, ..drain.clone() };
            turn.stage = Stage::Drains(drain);
            self.ask_to_drain(unit);
        }
    }
}
