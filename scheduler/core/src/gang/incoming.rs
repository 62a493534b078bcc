//! Events of members become events of their gang.
use super::stage::{MemberTurn, Stage, Turn};
use super::{Announced, Told, adoption, disband, gathering, rules, settling};
use super::{FIRST, Gang, Gangs, Member, OnDevice};
use crate::event::Event;
use crate::memory::budget;
use crate::model::Model;
use crate::model::gang_state::GangState;
use crate::model::ids::TenantId;
use crate::model::lease::Lease;
use crate::model::memory_use::MemoryUse;
use crate::trace::snapshot;
use nvshare_protocol::tenant::{Ready, Released, Share};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};

impl Gangs {
    pub(super) fn on_event(&mut self, event: Event, model: &Model) {
        match event {
            Event::Gang { tenant, gang: number, expected } => {
                let announced = Announced { number, expected };
                if self.of.contains_key(&tenant) {
                    // It stays where it is.
                } else if model.tenants.get(&tenant).is_some() {
                    adoption::announce(self, tenant, announced, model);
                } else {
                    self.announced.insert(tenant, announced);
                }
                return;
            }
            Event::Joined { tenant, holds } => {
                if let Some(announced) = self.announced.remove(&tenant) {
                    if !self.single.values().any(|parted| *parted == announced.number) {
                        return self.join(tenant, announced, holds, model);
                    }
                    self.single.insert(tenant, announced.number);
                }
            }
            _ => {}
        }
        if let Event::Left { tenant } = event {
            self.announced.remove(&tenant);
            self.single.remove(&tenant);
            self.late.remove(&tenant);
        }
        let Some(tenant) = tenant_of(&event) else { return self.events.push_back(event) };
        adoption::adopt_if_due(self, tenant, model);
        let Some(&unit) = self.of.get(&tenant) else { return self.events.push_back(event) };
        self.on_member(unit, tenant, event, model);
    }

    fn join(&mut self, tenant: TenantId, announced: Announced, holds: bool, model: &Model) {
        let number = announced.number;
        let unit = match self.by_number.get(&number) {
            Some(unit) => *unit,
            None => {
                let unit = self.new_unit();
                self.by_number.insert(number, unit);
                self.gangs.insert(unit, Gang { number, ..Gang::default() });
                self.events.push_back(Event::Joined { tenant: unit, holds });
                self.events.push_back(Event::GangState { tenant: unit, state: GangState::Unsettled });
                unit
            }
        };
        self.of.insert(tenant, unit);
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        let joined_at =
            model.tenants.get(&unit).map(|known| snapshot::times(model, known)).unwrap_or_default();
        gang.members.insert(tenant, Member { joined_at, ..Member::default() });
        gang.expected = gang.expected.max(announced.expected);
        settling::unsettle(self, unit);
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        if holds {
            // It runs since before this scheduler: under the hold that the engine believes, if it believes one.
            let old = Turn { ready: true, ..Turn::new(&super::outgoing::old_grant()) };
            let turn = gang.turn.get_or_insert(old);
            let is_old = turn.lease == LeaseId(0);
            if let Some(member) = gang.members.get_mut(&tenant) {
                member.turn = MemberTurn::Granted { ready: true, idle: false };
            }
            if !is_old {
                // The gang has a turn of its own by now: that one is the member's too.
                self.grant_member(unit, tenant);
            } else if model.tenants.get(&unit).is_some_and(|gang| !gang.claims_hold && gang.lease().is_none())
            {
                // Those that came before it held nothing: for the engine the gang has no turn.
                self.hold_beside(unit, tenant);
            }
        }
    }

    /// A member runs while the gang has no turn for the engine.
    fn hold_beside(&mut self, unit: TenantId, id: TenantId) {
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        gang.turn = None;
        if let Some(member) = gang.members.get_mut(&id) {
            member.turn = MemberTurn::Beside;
        }
        settling::begin_beside(self, unit, LeaseId(0));
        self.events.push_back(Event::Requested { tenant: unit });
    }

    /// A gang of which the engine knows what it knew of its first member.
    pub(super) fn found(&mut self, number: u64, told: &Told) -> TenantId {
        let unit = self.new_unit();
        self.by_number.insert(number, unit);
        self.gangs.insert(unit, Gang { number, told: *told, ..Gang::default() });
        self.introduce(unit, told, Vec::new());
        self.events.push_back(Event::GangState { tenant: unit, state: GangState::Unsettled });
        unit
    }

    /// A name for the engine that it has not heard yet.
    pub(super) fn new_unit(&mut self) -> TenantId {
        let unit = TenantId(FIRST + self.made);
        self.made += 1;
        unit
    }

    fn on_member(&mut self, unit: TenantId, id: TenantId, event: Event, model: &Model) {
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        let Some(member) = gang.members.get_mut(&id) else { return };
        match event {
            Event::Device { device, capacity, .. } => {
                member.devices.entry(device).or_insert(OnDevice { capacity, ..OnDevice::default() });
                self.events.push_back(Event::Device { tenant: unit, device, capacity });
                let asks = member.devices.len() == 1 && member.wants && member.turn == MemberTurn::None;
                self.tell_memory(unit, device);
                gathering::check(self, unit);
                if asks {
                    self.on_requested(unit, id, model);
                }
            }
            Event::Memory { device, allocated, resident, immovable, .. } => {
                if let Some(on) = member.devices.get_mut(&device) {
                    on.memory = bounded(on.capacity, allocated, resident, immovable);
                    let is_copied_whole = on.moves.is_none();
                    self.tell_memory(unit, device);
                    if is_copied_whole {
                        self.tell_moves(unit, device);
                    }
                    settling::note_growth(self, unit, device);
                    disband::note_excess(self, unit, device, model);
                }
            }
            Event::Moves { moves, .. } => {
                if let Some(on) = member.devices.get_mut(&moves.device) {
                    on.moves = Some(moves);
                    self.tell_moves(unit, moves.device);
                }
            }
            Event::Seen { device, bytes, .. } => {
                if let Some(on) = member.devices.get_mut(&device) {
                    on.seen = Some(bytes);
                    self.tell_seen(unit, device);
                }
            }
            Event::Requested { .. } => self.on_requested(unit, id, model),
            Event::Ready { ready, .. } => self.on_ready(unit, id, &ready),
            Event::Idle { lease, .. } => self.on_idle(unit, id, lease),
            Event::Released { released, .. } => self.on_released(unit, id, &released),
            Event::DrainCancelled { lease, .. } => self.drain_cancelled(unit, id, lease),
            Event::Evicted { .. } => self.on_evicted(unit, id),
            Event::Stopped { stopped, .. } => {
                member.is_stopped = stopped;
                let stopped = gang.members.values().any(|member| member.is_stopped);
                gang.told.stopped = stopped;
                self.events.push_back(Event::Stopped { tenant: unit, stopped });
            }
            Event::Disconnected { .. } => {
                (member.is_disconnected, member.turn, member.wants) = (true, MemberTurn::None, false);
                if gang.members.values().all(|member| member.is_disconnected) {
                    gang.turn = None;
                    self.events.push_back(Event::Disconnected { tenant: unit });
                } else {
                    self.tell_all_memory(unit);
                    self.on_fewer(unit, id);
                }
            }
            Event::Left { .. } => self.leave(unit, id),
            Event::MemoryRefused { device, bytes, .. } => {
                self.events.push_back(Event::MemoryRefused { tenant: unit, device, bytes });
            }
            Event::Swaps { .. } => {
                gang.told.swaps = true;
                self.events.push_back(Event::Swaps { tenant: unit });
            }
            Event::Owner { owner, .. } => {
                gang.told.owner = Some(owner);
                self.events.push_back(Event::Owner { tenant: unit, owner });
            }
            Event::Family { family, .. } => {
                gang.told.family = Some(family);
                self.events.push_back(Event::Family { tenant: unit, family });
            }
            Event::Weight { weight, .. } => {
                member.rules.weight = Some(weight);
                rules::update(self, unit);
            }
            Event::Priority { priority, .. } => {
                member.rules.priority = Some(priority);
                rules::update(self, unit);
            }
            Event::TimeShare { group, percent, .. } => {
                member.rules.time_share = Some((group, percent));
                rules::update(self, unit);
            }
            Event::Paused { paused, .. } => {
                member.is_paused = paused;
                let paused = gang.members.values().any(|member| member.is_paused);
                gang.told.paused = paused;
                self.events.push_back(Event::Paused { tenant: unit, paused });
            }
            Event::MoveOut { .. } => self.events.push_back(Event::MoveOut { tenant: unit }),
            _ => {}
        }
    }

    fn on_requested(&mut self, unit: TenantId, id: TenantId, model: &Model) {
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        let Some(member) = gang.members.get_mut(&id) else { return };
        member.stays_out = false;
        if member.devices.is_empty() {
            // Remembered until it names one.
            member.wants = true;
            return;
        }
        let runs = gang.turn.as_ref().is_some_and(|turn| matches!(turn.stage, Stage::Runs));
        match &mut member.turn {
            // The gang has lost its turn to others.
            MemberTurn::None if runs && model.lease(unit).is_none_or(Lease::is_revoked) => {
                member.wants = true;
                self.stand_aside(unit);
            }
            // The gang has its turn already, with the member's devices.
            MemberTurn::None if runs => {
                if let Some(turn) = &mut gang.turn {
                    turn.budget = budget::budget(model, unit);
                }
                self.grant_member(unit, id);
            }
            MemberTurn::Granted { idle, .. } if runs => {
                *idle = false;
                self.events.push_back(Event::Requested { tenant: unit });
            }
            MemberTurn::Granted { .. } => {}
            MemberTurn::Beside => {}
            // The turn is ending: the gang wants another one.
            MemberTurn::None | MemberTurn::Asked | MemberTurn::Drained => {
                member.wants = true;
                let reopened =
                    gang.turn.as_ref().is_some_and(|turn| matches!(turn.stage, Stage::Reopened(..)));
                gathering::request(self, unit, model);
                if reopened {
                    self.stand_aside(unit);
                }
            }
        }
    }

    fn on_ready(&mut self, unit: TenantId, id: TenantId, said: &Ready) {
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        let Some(turn) = gang.turn.as_mut().filter(|turn| turn.lease == said.lease) else { return };
        let Some(member) = gang.members.get_mut(&id) else { return };
        let MemberTurn::Granted { ready, .. } = &mut member.turn else { return };
        if std::mem::replace(ready, true) {
            return;
        }
        for share in &said.fetched {
            let sum = turn.fetched.entry(share.device).or_default();
            *sum = sum.saturating_add(share.bytes.0);
        }
        turn.took = turn.took.max(said.took);
        self.check_ready(unit);
    }

    /// All that run have their memory: the turn begins.
    fn check_ready(&mut self, unit: TenantId) {
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        let Some(turn) = gang.turn.as_mut().filter(|turn| !turn.ready) else { return };
        let waits = |member: &Member| matches!(member.turn, MemberTurn::Granted { ready: false, .. });
        if gang.members.values().any(waits) {
            return;
        }
        turn.ready = true;
        let share = |(device, bytes): (&DeviceId, &u64)| Share { device: *device, bytes: Bytes(*bytes) };
        let ready =
            Ready { lease: turn.lease, fetched: turn.fetched.iter().map(share).collect(), took: turn.took };
        self.events.push_back(Event::Ready { tenant: unit, ready });
    }

    fn on_idle(&mut self, unit: TenantId, id: TenantId, lease: LeaseId) {
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        if let Some(member) = gang.members.get_mut(&id)
            && let MemberTurn::Granted { idle, .. } = &mut member.turn
        {
            *idle = true;
        }
        self.check_idle(unit, lease);
    }

    /// A gang is idle when all are that run.
    fn check_idle(&mut self, unit: TenantId, lease: LeaseId) {
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        let works = |member: &Member| matches!(member.turn, MemberTurn::Granted { idle: false, .. });
        let runs = gang.turn.as_ref().is_some_and(|turn| matches!(turn.stage, Stage::Runs));
        if runs && !gang.members.values().any(works) {
            self.events.push_back(Event::Idle { tenant: unit, lease });
        }
    }

    fn on_released(&mut self, unit: TenantId, id: TenantId, released: &Released) {
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        let Some(member) = gang.members.get_mut(&id) else { return };
        // It answers what it was asked before it was granted this turn, of which it did not know yet.
        let is_late = gang.turn.as_ref().is_some_and(|turn| turn.lease != released.lease);
        match member.turn {
            MemberTurn::Asked | MemberTurn::Granted { .. } if is_late => {}
            MemberTurn::Asked => {
                member.turn = MemberTurn::Drained;
                self.reopen(unit);
                self.check_drained(unit);
                self.retry_if_due(unit);
            }
            MemberTurn::Granted { ready, .. } => {
                (member.turn, member.stays_out) = (MemberTurn::None, !ready);
                self.leave_turn(unit);
                self.check_drained(unit);
            }
            // It answers what the engine has asked in its turns before.
            MemberTurn::None | MemberTurn::Drained if gang.turn.is_none() => {
                let evicted = Vec::new();
                let released =
                    Released { evicted, drain: Nanos::ZERO, evict: Nanos::ZERO, ..released.clone() };
                self.events.push_back(Event::Released { tenant: unit, released });
            }
            MemberTurn::Beside => {
                member.turn = MemberTurn::None;
                self.tell_all_memory(unit);
                settling::check_beside(self, unit);
                disband::disband_if_due(self, unit);
            }
            MemberTurn::None | MemberTurn::Drained => {}
        }
    }

    fn on_evicted(&mut self, unit: TenantId, id: TenantId) {
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        if gang.evicting.remove(&id) && gang.evicting.is_empty() {
            self.events.push_back(Event::Evicted { tenant: unit });
        }
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        if let Some(Turn { stage: Stage::Evicts { waiting, .. }, .. }) = &mut gang.turn {
            waiting.remove(&id);
            self.check_evicted(unit);
        }
    }

    fn leave(&mut self, unit: TenantId, id: TenantId) {
        self.of.remove(&id);
        let Some(gang) = self.gangs.get_mut(&unit) else { return };
        let Some(member) = gang.members.remove(&id) else { return };
        self.past.note(self.now, unit, id, &member);
        if gang.members.is_empty() {
            let number = gang.number;
            self.gangs.remove(&unit);
            self.by_number.remove(&number);
            return self.events.push_back(Event::Left { tenant: unit });
        }
        gang.has_left_device |= member
            .devices
            .keys()
            .any(|device| gang.members.values().all(|member| !member.devices.contains_key(device)));
        if gang.told.stopped && !gang.members.values().any(|member| member.is_stopped) {
            gang.told.stopped = false;
            self.events.push_back(Event::Stopped { tenant: unit, stopped: false });
        }
        if gang.told.paused && !gang.members.values().any(|member| member.is_paused) {
            gang.told.paused = false;
            self.events.push_back(Event::Paused { tenant: unit, paused: false });
        }
        rules::update(self, unit);
        for device in member.devices.into_keys() {
            self.tell_memory(unit, device);
            self.tell_moves(unit, device);
            self.tell_seen(unit, device);
        }
        self.on_fewer(unit, id);
        disband::disband_if_due(self, unit);
        self.announce_anew(unit);
    }

    /// One fewer has to answer.
    fn on_fewer(&mut self, unit: TenantId, id: TenantId) {
        self.on_evicted(unit, id);
        settling::check_beside(self, unit);
        let Some(gang) = self.gangs.get(&unit) else { return };
        let Some(lease) = gang.turn.as_ref().map(|turn| turn.lease) else { return };
        if !gang.members.values().any(|member| member.turn != MemberTurn::None) {
            // Nobody runs who could give the turn back.
            self.leave_turn(unit);
        }
        self.check_ready(unit);
        self.check_drained(unit);
        self.give_up_if_late(unit);
        self.retry_if_due(unit);
        self.check_idle(unit, lease);
    }

    pub(super) fn tell_all_memory(&mut self, unit: TenantId) {
        let devices = self.gangs.get(&unit).map(Gang::devices).unwrap_or_default();
        devices.into_iter().for_each(|device| self.tell_memory(unit, device));
    }

    pub(super) fn tell_memory(&mut self, unit: TenantId, device: DeviceId) {
        let Some(gang) = self.gangs.get(&unit) else { return };
        let MemoryUse { allocated, resident, immovable } = gang.memory_on(device);
        self.events.push_back(Event::Memory { tenant: unit, device, allocated, resident, immovable });
    }

    pub(super) fn tell_moves(&mut self, unit: TenantId, device: DeviceId) {
        let Some(moves) = self.gangs.get(&unit).and_then(|gang| gang.moves_on(device)) else { return };
        self.events.push_back(Event::Moves { tenant: unit, moves });
    }

    pub(super) fn tell_seen(&mut self, unit: TenantId, device: DeviceId) {
        let Some(bytes) = self.gangs.get(&unit).and_then(|gang| gang.seen_on(device)) else { return };
        self.events.push_back(Event::Seen { tenant: unit, device, bytes });
    }
}

/// A report as far as it is possible.
fn bounded(capacity: Bytes, allocated: Bytes, resident: Bytes, immovable: Bytes) -> MemoryUse {
    let resident = resident.min(allocated).min(capacity);
    MemoryUse { allocated, resident, immovable: immovable.min(resident) }
}

/// Whom the event is about.
fn tenant_of(event: &Event) -> Option<TenantId> {
    match event {
        Event::Joined { tenant, .. }
        | Event::Gang { tenant, .. }
        | Event::GangState { tenant, .. }
        | Event::Overrun { tenant, .. }
        | Event::Left { tenant }
        | Event::Disconnected { tenant }
        | Event::Stopped { tenant, .. }
        | Event::Owner { tenant, .. }
        | Event::Family { tenant, .. }
        | Event::Device { tenant, .. }
        | Event::Seen { tenant, .. }
        | Event::Memory { tenant, .. }
        | Event::Moves { tenant, .. }
        | Event::Requested { tenant }
        | Event::Ready { tenant, .. }
        | Event::Released { tenant, .. }
        | Event::DrainCancelled { tenant, .. }
        | Event::Idle { tenant, .. }
        | Event::Evicted { tenant }
        | Event::Weight { tenant, .. }
        | Event::Priority { tenant, .. }
        | Event::TimeShare { tenant, .. }
        | Event::Swaps { tenant }
        | Event::MemoryRefused { tenant, .. }
        | Event::Paused { tenant, .. }
        | Event::MoveOut { tenant } => Some(*tenant),
        Event::Capacity { .. }
        | Event::Outside { .. }
        | Event::SetQuantum { .. }
        | Event::SetAuto
        | Event::SetDeviceQuantum { .. }
        | Event::SetEvict { .. }
        | Event::SetRules { .. }
        | Event::SetEnabled { .. }
        | Event::Tick => None,
    }
}
