//! Gangs: tenants that are granted their devices together or not at all.
//!
//! The engine knows a gang as one tenant, with the devices and the memory of all members together. So all that holds
//! for one process with several devices holds for a gang: it is granted when all devices can be had, and revoked,
//! drained and idle as a whole. This layer stands before the engine. It makes events of members into events of their
//! gang ([`incoming`]), and actions for a gang into actions for its members ([`outgoing`]). A tenant without a gang
//! passes through untouched.
//!
//! Members wait for each other inside their work: a collective kernel ends only when all ranks have submitted theirs.
//! If the gates shut at different calls, one rank cannot end its work, because the others may not submit theirs any
//! more. So a gang drains in attempts ([`turn`]): who has drained keeps its memory in place, and is let go on if
//! another member cannot drain; then all are asked again. Only when all have drained does memory move out.
mod adoption;
mod disband;
mod gathering;
mod incoming;
mod memory;
mod outgoing;
mod past;
mod rules;
mod settling;
mod stage;
mod turn;
mod views;

pub(crate) use views::{Expanded, spans};

use crate::event::{Action, Event};
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::memory_use::MemoryUse;
use nvshare_protocol::tenant::Moves;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use rules::Rules;
use stage::{Beside, Excess, Gathering, MemberTurn, Turn};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The engine's numbers for gangs. No tenant has so large a number.
const FIRST: u64 = 1 << 63;

/// One process of a gang.
#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    pub devices: BTreeMap<DeviceId, OnDevice>,
    pub turn: MemberTurn,
    /// It asks for a turn.
    pub wants: bool,
    /// It has given a grant back before its memory was there, and has not asked since: the others have turns without it.
    pub stays_out: bool,
    pub rules: Rules,
    pub is_stopped: bool,
    /// An operator has paused it, and with it the gang.
    pub is_paused: bool,
    /// Nobody can ask it for anything any more; what it has stays.
    pub is_disconnected: bool,
    /// For how long the gang had held its devices and waited for them when this one joined.
    pub joined_at: (Nanos, Nanos),
}

/// What a member has on one device.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OnDevice {
    pub capacity: Bytes,
    /// By its own word.
    pub memory: MemoryUse,
    /// How that moves, by its own word; none: every byte is copied.
    pub moves: Option<Moves>,
    /// By the driver's; none: not known.
    pub seen: Option<Bytes>,
}

/// Some tenants that belong together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gang {
    /// The operator's number for it.
    pub number: u64,
    pub members: BTreeMap<TenantId, Member>,
    /// How many members there will be at least, if that is known.
    pub expected: Option<u32>,
    /// While the engine has granted it its devices.
    pub turn: Option<Turn>,
    /// Members that were asked to evict beside the gang's turns and have not answered.
    pub evicting: BTreeSet<TenantId>,
    /// A device that no member uses any more is still one of the gang's.
    pub has_left_device: bool,
    /// What the members had allocated when all had drained, if they have, and nothing of note has come since.
    pub settled: Option<BTreeMap<DeviceId, Bytes>>,
    /// Members that cannot end their work go on without a turn.
    pub beside: Option<Beside>,
    /// How its first turn waits for members that are still to come.
    pub gathering: Gathering,
    /// The members do not fit on a device together: they part when they can.
    pub excess: Option<Excess>,
    /// What the engine was told besides, for the case that the gang is announced anew.
    pub told: Told,
}

/// What the engine was told of a gang beside its members' devices and memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub owner: Option<u64>,
    pub family: Option<u64>,
    pub rules: Rules,
    pub paused: bool,
    pub swaps: bool,
    pub stopped: bool,
}

/// The gang that a tenant will join in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announced {
    /// The operator's number.
    pub number: u64,
    /// How many members there will be.
    pub expected: Option<u32>,
}

/// All gangs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gangs {
    /// By the engine's number.
    gangs: BTreeMap<TenantId, Gang>,
    /// The engine's number for each member's gang.
    of: BTreeMap<TenantId, TenantId>,
    /// The gang that a tenant will join in.
    announced: BTreeMap<TenantId, Announced>,
    by_number: BTreeMap<u64, TenantId>,
    /// Tenants that are to be members when their turns are over.
    late: BTreeMap<TenantId, Announced>,
    /// Members of gangs that have parted, and the operator's numbers of these.
    single: BTreeMap<TenantId, u64>,
    /// Members that have left.
    past: past::Past,
    /// How many the engine has known.
    made: u64,
    now: Nanos,
    /// When gangs have to be looked at. One whose attempt was answered meanwhile has an entry too many.
    timers: BTreeSet<(Nanos, TenantId)>,
    /// What the engine is to be told, in this order.
    events: VecDeque<Event>,
    /// What is to be done, in this order.
    actions: Vec<Action>,
}

impl Gangs {
    /// The engine's name for the tenant.
    pub fn unit(&self, tenant: TenantId) -> TenantId {
        self.of.get(&tenant).copied().unwrap_or(tenant)
    }

    fn gang_of(&self, tenant: TenantId) -> Option<&Gang> {
        self.gangs.get(self.of.get(&tenant)?)
    }

    /// When a gang has to be looked at without anything happening.
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Takes an event of a tenant; what the engine is to be told of it comes out of [`Self::next_event`].
    pub fn take(&mut self, now: Nanos, event: Event, model: &Model) {
        self.now = self.now.max(now);
        if self.of.is_empty()
            && self.announced.is_empty()
            && self.single.is_empty()
            && self.late.is_empty()
            && self.timers.is_empty()
            && !matches!(event, Event::Gang { .. })
        {
            self.events.push_back(event);
            return;
        }
        self.on_event(event, model);
        self.retry_due();
    }

    /// What the engine is to be told next.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes what the engine wants done.
    pub fn carry_out(&mut self, actions: Vec<Action>) {
        if self.gangs.is_empty() {
            self.actions.extend(actions);
            return;
        }
        actions.into_iter().for_each(|action| outgoing::on_action(self, action));
    }

    /// What is to be done.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// What the tenant has on the device, if it is a member of a gang.
    pub fn memory_of(&self, tenant: TenantId, device: DeviceId) -> Option<MemoryUse> {
        let member = self.gang_of(tenant)?.members.get(&tenant)?;
        Some(member.devices.get(&device).map(|on| on.memory).unwrap_or_default())
    }

    /// For how long the tenant's gang had held its devices, and waited for them, when the tenant joined.
    pub fn times_before(&self, tenant: TenantId) -> (Nanos, Nanos) {
        let member = self.gang_of(tenant).and_then(|gang| gang.members.get(&tenant));
        member.map(|member| member.joined_at).unwrap_or_default()
    }

    /// The members of the engine's tenants: gangs are replaced by those who can be asked.
    pub fn members(&self, units: BTreeSet<TenantId>) -> BTreeSet<TenantId> {
        if self.gangs.is_empty() {
            return units;
        }
        units.into_iter().flat_map(|unit| self.members_of(unit)).collect()
    }

    fn members_of(&self, unit: TenantId) -> Vec<TenantId> {
        self.gangs.get(&unit).map_or_else(|| vec![unit], |gang| gang.members.keys().copied().collect())
    }
}
