//! What the core is told, and what it wants done: two tables. A row says the word in the trace, the name, the fields,
//! and for an event the function that handles it and what that works on. Everything else follows from them: the enums
//! below, how they are printed and read back, and the dispatch in `engine/dispatch.rs`.
//!
//! To add an event, add a row here and write its handler. A message of a tenant becomes its event in the daemon's
//! reactor. To add an action, add a row with the message that carries it. A field of a new type needs a line in
//! `trace/field.rs`.
use crate::model::gang_state::GangState;
pub use crate::model::ids::TenantId;
use crate::model::priority::Priority;
pub use crate::model::settings::EvictMode;
use crate::model::settings::{Quantum, Settings};
use crate::trace::field::{Fault, Field, Fields};
use nvshare_protocol::tenant::{Grant, Moves, Ready, Released, Revoke, Share, ToTenant};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};

macro_rules! event_table {
    ($with:ident) => {
        $with! {
            /// A connection said hello. `holds`: it is running GPU work now.
            "joined" Joined { tenant: TenantId, holds: bool } => membership::on_joined(model);
            /// The tenant is about to join, as a member of this gang: those of a gang are granted their devices together.
            /// `expected`: how many members its launcher has started on this host, by the tenant's word.
            "gang" Gang { tenant: TenantId, gang: u64, expected: Option<u32> } => membership::on_gang(model);
            /// The tenant is of this family: those of one may be processes of a job that nobody has told of, and wait for
            /// each other inside their work. To be told before the tenant requests.
            "family" Family { tenant: TenantId, family: u64 } => membership::on_family(model);
            /// Of a gang, and told by no daemon: what is known of its members' needs. Two gangs share no device before
            /// both are settled.
            "gang-state" GangState { tenant: TenantId, state: GangState } => membership::on_gang_state(engine);
            /// Of a gang, and told by no daemon: members that could not end their work went on for so long beside the
            /// turns of others.
            "overrun" Overrun { tenant: TenantId, lost: Nanos } => rounds::on_overrun(model);
            /// The process has ended, and what it had is gone.
            "left" Left { tenant: TenantId } => membership::on_left(engine);
            /// The connection is gone and the process is not: what it has stays, and nobody can ask it for anything.
            /// From then on, until [`Event::Left`].
            "disconnected" Disconnected { tenant: TenantId } => membership::on_disconnected(engine);
            /// The process is stopped (SIGSTOP, a frozen container) and can do nothing it is asked for, or goes on.
            "stopped" Stopped { tenant: TenantId, stopped: bool } => membership::on_stopped(model);
            /// The tenant's owner. Owners are served in rounds, however many tenants each has. To be told before the
            /// tenant requests; it is its own owner otherwise.
            "owner" Owner { tenant: TenantId, owner: u64 } => rounds::on_owner(model);
            /// The tenant uses this device from now on, and says that it is so large.
            "device" Device {
                tenant: TenantId,
                device: DeviceId,
                capacity: Bytes,
            } => membership::on_device(engine);
            /// How large the device is, by better knowledge than the first tenant's word.
            "capacity" Capacity { device: DeviceId, capacity: Bytes } => reports::on_capacity(engine);
            /// What the tenant's process uses of the device by the driver's word, its contexts included.
            "seen" Seen { tenant: TenantId, device: DeviceId, bytes: Bytes } => reports::on_seen(model);
            /// What the tenant has on the device, by its own word.
            "memory" Memory {
                tenant: TenantId,
                device: DeviceId,
                allocated: Bytes,
                resident: Bytes,
                immovable: Bytes,
            } => reports::on_memory(engine);
            /// What of the tenant's memory had to be copied on its ways out and in and what had not, by its own word.
            "moves" Moves { tenant: TenantId, moves: Moves } => reports::on_moves(model);
            /// The tenant has work: it wants a turn, or another one, or goes on with this one.
            "requested" Requested { tenant: TenantId } => requests::on_requested(model);
            /// The memory of a tenant that was granted its devices is there.
            "ready" Ready { tenant: TenantId, ready: Ready } => replies::on_ready(engine);
            /// The tenant has given its devices back.
            "released" Released { tenant: TenantId, released: Released } => replies::on_released(engine);
            /// The tenant's work does not end in time: it goes on, and keeps its devices.
            "drain-cancelled" DrainCancelled {
                tenant: TenantId,
                lease: LeaseId,
            } => replies::on_drain_cancelled(engine);
            /// The holder has nothing to do: its turn is over as soon as somebody waits for one of its devices.
            /// Withdrawn by the tenant's next message about this lease or its next grant; without anybody
            /// waiting it changes nothing.
            "idle" Idle { tenant: TenantId, lease: LeaseId } => replies::on_idle(model);
            /// The tenant has evicted what it was asked to evict beside its turns, as far as it could.
            "evicted" Evicted { tenant: TenantId } => migration::end_eviction(model);
            /// The tenant's turns last this many times as long as those of others. 1 to
            /// [`crate::settings::MAX_WEIGHT`].
            "weight" Weight { tenant: TenantId, weight: u32 } => operator::on_weight(model);
            /// Whose work comes first.
            "priority" Priority { tenant: TenantId, priority: Priority } => operator::on_priority(model);
            /// The tenant may hold at most so much of each device's time, 1 to 100 per cent, together with those of the
            /// same group. To be told before it names a device.
            "time-share" TimeShare {
                tenant: TenantId,
                group: u64,
                percent: u32,
            } => throttle::on_time_share(engine);
            /// The tenant moves its memory itself (the swap engine): the driver cannot, and its kernels run only where
            /// all of it is there. From then on, for good.
            "swaps" Swaps { tenant: TenantId } => membership::on_swaps(model);
            /// What external processes use of the device.
            "outside" Outside { device: DeviceId, bytes: Bytes } => reports::on_external(engine);
            /// The driver refused the tenant at least this many bytes of physical memory, although they are within its
            /// budget.
            "memory-refused" MemoryRefused {
                tenant: TenantId,
                device: DeviceId,
                bytes: Bytes,
            } => refusals::on_memory_refused(engine);
            /// An operator lets the tenant have no more turns, or have them again. What it has on its devices stays there
            /// until others need the room.
            "paused" Paused { tenant: TenantId, paused: bool } => operator::on_paused(engine);
            /// An operator has all that the tenant can move moved out, once. A holder's turn ends for it.
            "move-out" MoveOut { tenant: TenantId } => operator::on_move_out(engine);
            /// How long turns last where nothing else is said.
            "set-quantum" SetQuantum { quantum: Nanos } => operator::on_set_quantum(model);
            /// Turns last as what hand-overs cost says, where nothing else is said.
            "set-auto" SetAuto => operator::on_set_auto(model);
            /// How long turns last on this device; none: as long as on the others.
            "set-device-quantum" SetDeviceQuantum {
                device: DeviceId,
                quantum: Option<Quantum>,
            } => operator::on_set_device_quantum(model);
            /// What tenants that lose their turns move out.
            "set-evict" SetEvict { evict: EvictMode } => operator::on_set_evict(engine);
            /// Other rules, all at once. How long a start takes and how much is recorded stay as they are.
            "set-rules" SetRules { rules: Settings } => operator::on_set_rules(engine);
            /// Switched off, nobody holds and nobody waits.
            "set-enabled" SetEnabled { enabled: bool } => operator::on_set_enabled(engine);
            /// Time has passed; deadlines may be due.
            "tick" Tick => schedule::on_tick(model);
        }
    };
}
pub(crate) use event_table;

/// The enum, and how it is written and read.
macro_rules! define_events {
    ($(
        $(#[$doc:meta])*
        $word:literal $name:ident $({ $($field:ident: $type:ty),* $(,)? })? => $module:ident::$handler:ident($on:ident);
    )*) => {
        /// What happened. Spurious and repeated events change nothing.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[$doc])* $name $({ $($field: $type),* })?,)*
        }

        impl Event {
            /// Its word and its fields, as they stand in the trace.
            pub(crate) fn write(&self, line: &mut String) {
                match self {
                    $(Self::$name { $($($field),*)? } => {
                        line.push_str($word);
                        $($(Field::write($field, stringify!($field), line);)*)?
                    })*
                }
            }

            /// The event of that word with these fields.
            pub(crate) fn read(word: &str, fields: &mut Fields<'_>) -> Result<Self, Fault> {
                match word {
                    $($word => Ok(Self::$name {
                        $($($field: Field::read(stringify!($field), fields)?),*)?
                    }),)*
                    _ => Err(Fault(format!("`{word}` is no event"))),
                }
            }
        }
    };
}
event_table!(define_events);

/// The name of a field in the trace, where that is another.
macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

/// The enum, how it is written, and the message that carries it to its tenant.
macro_rules! define_actions {
    ($(
        $(#[$doc:meta])*
        $word:literal $name:ident { $($field:ident $(= $key:literal)?: $type:ty),* $(,)? }
        $(=> $message:ident($payload:ident))?;
    )*) => {
        /// What to do about an event, in this order.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Action {
            $($(#[$doc])* $name { $($field: $type),* },)*
        }

        impl Action {
            /// Its word and its fields, as they stand in the trace.
            pub(crate) fn write(&self, line: &mut String) {
                match self {
                    $(Self::$name { $($field),* } => {
                        line.push_str($word);
                        $(Field::write($field, key!($field $($key)?), line);)*
                    })*
                }
            }

            /// The message that carries it to its tenant; none: it is for operators.
            #[must_use]
            pub fn message(self) -> Option<(TenantId, ToTenant)> {
                match self {
                    $($(Self::$name { tenant, $payload } => Some((tenant, ToTenant::$message($payload))),)?)*
                    _ => None,
                }
            }
        }
    };
}

define_actions! {
    /// All its devices are the tenant's.
    "grant" Grant { tenant: TenantId, grant: Grant } => Grant(grant);
    /// The tenant is to give its devices back.
    "revoke" Revoke { tenant: TenantId, revoke: Revoke } => Revoke(revoke);
    /// The tenant does not hold: it has to evict this much of what it left behind.
    "evict" Evict { tenant: TenantId, shares = "bytes": Vec<Share> } => Evict(shares);
    /// The tenant may have this much resident: ahead of its grant, or because its budget has grown.
    "fetch" Fetch { tenant: TenantId, shares = "budget": Vec<Share> } => Fetch(shares);
    /// Whether the holder may have to leave at any time.
    "contended" Contended { tenant: TenantId, contended: bool } => Contended(contended);
    /// The scheduler was switched on or off.
    "enabled" Enabled { tenant: TenantId, enabled: bool } => Enabled(enabled);
    /// For an operator, once between two grants: the tenant is parked, because it does not fit on the device beside
    /// what these keep there. The largest first, at most three. `usable`: what there is for tenants.
    "no-room" NoRoom {
        tenant: TenantId,
        device: DeviceId,
        wants: Bytes,
        usable: Bytes,
        kept: Vec<(TenantId, Bytes)>
    };
    /// For an operator: the members of this tenant's gang do not fit on the device together, and are single tenants from
    /// now on.
    "disbanded" Disbanded { tenant: TenantId, device: DeviceId, wants: Bytes, usable: Bytes };
    /// The tenant lost its turn, and the others go on beside it.
    "stuck" Stuck { tenant: TenantId, lease: LeaseId, why: Stuck };
}

/// Why a tenant lost its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// It did not answer a revocation in time.
    NoAnswer,
    /// It cannot end its work.
    CannotDrain,
    /// It was granted its devices and gave no sign of life.
    Silent,
    /// It is stopped.
    Stopped,
}

impl Stuck {
    pub(crate) const ALL: [Self; 4] = [Self::NoAnswer, Self::CannotDrain, Self::Silent, Self::Stopped];

    /// Its word in the trace.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NoAnswer => "no-answer",
            Self::CannotDrain => "cannot-drain",
            Self::Silent => "silent",
            Self::Stopped => "stopped",
        }
    }
}
