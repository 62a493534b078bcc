//! One tenant: what it has, and where it stands in its turn.
use crate::model::index::TenantFacts;
use crate::model::lease::Lease;
use crate::policy::bandwidth::Quota;
use crate::policy::claims::{ClaimTrust, DeviceReport};
use crate::policy::fairness::Owner;
use crate::policy::interactive::{HeldTime, PreemptedTurn};
use crate::policy::priority::Priority;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::BTreeMap;

/// More devices than this one tenant cannot name.
pub const MAX_DEVICES: usize = 64;

#[derive(Clone, Debug, Default)]
pub(crate) struct Tenant {
    /// What it named, and what it has there, as far as that is possible.
    pub devices: BTreeMap<DeviceId, MemoryUse>,
    /// What was said of it and each device, by itself and by the driver.
    pub reports: BTreeMap<DeviceId, Box<DeviceReport>>,
    /// What it makes of others' words.
    pub trust: ClaimTrust,
    /// None: of its own.
    pub owner: Option<Owner>,
    /// Its process can do nothing at present.
    pub is_stopped: bool,
    /// It has no connection any more.
    pub is_disconnected: bool,
    /// It said that it is running, and has not yet said where.
    pub claims_hold: bool,
    pub stage: Stage,
    /// If it uses several devices and waits: its places at each of them among those that use that one alone.
    pub keys: BTreeMap<DeviceId, u64>,
    /// And if it stands there: at how many nobody stands before it that uses one device alone, and whether at all of them.
    pub heads: usize,
    pub heads_all: bool,
    /// Where it stands among those that use several.
    pub shared_key: u64,
    /// Time with a lease, without the present one.
    pub time_held: Nanos,
    /// Time in line, without the present one.
    pub time_waited: Nanos,
    pub grants: u64,
    /// Turns last so many times as long.
    pub weight: u32,
    pub priority: Priority,
    /// The most that it may hold of each device's time.
    pub quota: Option<Quota>,
    /// Time with a lease that counts for its claim to be served at once, and when it was last counted.
    pub recent_use: HeldTime,
    /// Nobody but itself can move its memory, and its kernels run only where all of it is there.
    pub swaps: bool,
    /// That there is no room for it has been told since its last grant.
    pub no_room_reported: bool,
    /// In its last turn it had nothing to do for a while.
    pub was_mostly_idle: bool,
    /// Its last turn, if it was told to leave.
    pub preempted: Option<PreemptedTurn>,
    /// Of what it was asked to move out of a device, holding or not: how much of its movable memory stays there.
    pub evict_down_to: BTreeMap<DeviceId, Bytes>,
    /// Moving out beside its turns.
    pub eviction: Option<Eviction>,
    /// It was asked to move out and nothing went: it is not asked again before its next turn.
    pub keeps_memory: bool,
    /// What it was last told to bring in.
    pub prefetch: BTreeMap<DeviceId, Bytes>,
    /// What its devices know of it.
    pub facts: BTreeMap<DeviceId, Box<TenantFacts>>,
    /// Its last grant's number: who was granted long ago moves out first.
    pub last_grant: u64,
}

/// A tenant moves memory out beside its turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Eviction {
    /// Until when it is waited for at most, and by when it gives a sign of life.
    pub deadline: Nanos,
    pub alive_until: Nanos,
    /// What it had on all devices when it was asked.
    pub resident_at_start: u128,
    /// The least that it has had there since.
    pub least_resident: u128,
}

impl Eviction {
    pub fn expires_at(&self) -> Nanos {
        self.deadline.min(self.alive_until)
    }
}

/// A tenant's bytes on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    pub allocated: Bytes,
    pub resident: Bytes,
    /// Part of `resident`.
    pub immovable: Bytes,
}

impl MemoryUse {
    /// A report as far as it is possible: nothing beyond what the device has, the parts within the whole.
    pub(crate) fn plausible(allocated: Bytes, resident: Bytes, immovable: Bytes, capacity: Bytes) -> Self {
        let immovable = immovable.min(allocated).min(capacity);
        let resident = resident.min(allocated).min(capacity).max(immovable);
        Self { allocated, resident, immovable }
    }

    pub(crate) fn lacks(&self) -> Bytes {
        self.allocated.saturating_sub(self.resident)
    }

    pub(crate) fn movable(&self) -> Bytes {
        self.resident.saturating_sub(self.immovable)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Stage {
    #[default]
    Idle,
    Waiting(Request),
    Leased(Box<Lease>),
}

/// A place in line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// At its device, or in the order of those that use several.
    pub key: u64,
    pub since: Nanos,
    /// When it asked for the turn of which this may be the rest; later by the time in which it was paused.
    pub requested_at: Nanos,
    /// What it counts as: its own, or high where it has starved.
    pub priority: Priority,
    pub starved: bool,
    /// Since when nobody has been in its way but for memory that others are moving out.
    pub unblocked_since: Option<Nanos>,
    /// It stands in no line as long as there cannot be room for it, whoever leaves.
    pub parked: bool,
    /// It stands in no line until then, for it has used up its quota.
    pub throttled_until: Option<Nanos>,
    pub throttled_since: Nanos,
    /// It is paused for what its owner owes to others, and not for a quota.
    pub in_debt: bool,
    /// Its process is stopped.
    pub stopped: bool,
    /// It has used little lately, and holders give way to it before their turn is over.
    pub interactive: bool,
    /// It is for the rest of this turn.
    pub continues: Option<PreemptedTurn>,
}

impl Request {
    pub fn is_queued(&self) -> bool {
        !self.parked && self.throttled_until.is_none() && !self.stopped
    }
}

impl Tenant {
    pub fn weight(&self) -> u64 {
        u64::from(self.weight.max(1))
    }

    /// Whether it can be asked to move out beside its turns.
    pub fn may_be_asked_to_evict(&self) -> bool {
        self.eviction.is_none() && !self.keeps_memory && self.lease().is_none()
    }

    /// What it was told to bring in to the device and has not yet.
    pub fn incoming(&self, device: DeviceId) -> Bytes {
        let resident = self.devices.get(&device).map_or(Bytes::ZERO, |memory| memory.resident);
        self.prefetch.get(&device).map_or(Bytes::ZERO, |told| told.saturating_sub(resident))
    }

    /// It may have freed memory since `before`: that is not on its way in any more, and what of it was there does not
    /// count towards what the tenant was told to bring in.
    pub fn note_freed(&mut self, device: DeviceId, before: &MemoryUse) {
        let (Some(told), Some(memory)) = (self.prefetch.get_mut(&device), self.devices.get(&device)) else {
            return;
        };
        let freed = before.allocated.saturating_sub(memory.allocated);
        if freed > Bytes::ZERO {
            let was_there = before.resident.saturating_sub(memory.resident).min(freed);
            *told = told.saturating_sub(was_there).min(memory.allocated);
        }
    }

    /// What of its memory is there whatever others need, as it says: what cannot move, and all of it where the tenant does
    /// not leave.
    pub fn claimed_unevictable(&self, device: DeviceId) -> Bytes {
        let Some(memory) = self.devices.get(&device) else { return Bytes::ZERO };
        let remains = match self.lease() {
            Some(lease) => lease.unresponsive,
            // What others left behind, the driver can move.
            None => self.keeps_memory && self.swaps,
        };
        if remains { memory.resident } else { memory.immovable }
    }

    /// What must find room there, beside all that is fixed, before its kernels run.
    pub fn needs(&self, device: DeviceId) -> Bytes {
        let Some(memory) = self.devices.get(&device).filter(|memory| memory.lacks() > Bytes::ZERO) else {
            return Bytes::ZERO;
        };
        memory.allocated.saturating_sub(self.unevictable(device)).saturating_add(self.unseen(device))
    }

    /// What it may bring in to the device: what it was told to, and as a holder all that it lacks.
    pub fn may_bring_in(&self, device: DeviceId, lacks: bool) -> Bytes {
        let lacks = self.devices.get(&device).filter(|_| lacks).map_or(Bytes::ZERO, MemoryUse::lacks);
        lacks.max(self.incoming(device))
    }

    /// What it was asked to move out of the device and has not yet.
    pub fn outgoing(&self, device: DeviceId) -> Bytes {
        self.evict_down_to
            .get(&device)
            .map_or(Bytes::ZERO, |keeps| self.evictable_soon(device).saturating_sub(*keeps))
    }

    /// What it has there then, as far as it can be moved.
    pub fn evictable_soon(&self, device: DeviceId) -> Bytes {
        let movable = self.devices.get(&device).map_or(Bytes::ZERO, MemoryUse::movable);
        movable.saturating_add(self.incoming(device))
    }

    /// What it has on all devices once it has brought in what it was told to.
    pub fn resident_soon(&self) -> u128 {
        let incoming = self.devices.keys().map(|device| u128::from(self.incoming(*device).0));
        self.resident() + incoming.sum::<u128>()
    }

    /// What it has on all devices.
    pub fn resident(&self) -> u128 {
        self.devices.values().map(|memory| u128::from(memory.resident.0)).sum()
    }

    pub fn lease(&self) -> Option<&Lease> {
        match &self.stage {
            Stage::Leased(lease) => Some(lease),
            _ => None,
        }
    }

    pub fn lease_mut(&mut self) -> Option<&mut Lease> {
        match &mut self.stage {
            Stage::Leased(lease) => Some(lease),
            _ => None,
        }
    }
}
