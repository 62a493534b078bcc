//! One tenant: what it has, and where it stands in its turn.
use crate::claims::{Doubt, Words};
use crate::haste::{BrokenOff, Held};
use crate::lease::Lease;
use crate::owners::Owner;
use crate::priority::Priority;
use crate::quota::Quota;
use crate::standing::Standing;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::BTreeMap;

/// More devices than this one tenant cannot name.
pub const MAX_DEVICES: usize = 64;

#[derive(Clone, Debug, Default)]
pub(crate) struct Tenant {
    /// What it named, and what it has there, as far as that is possible.
    pub devices: BTreeMap<DeviceId, Memory>,
    /// What was said of it and each device, by itself and by the driver.
    pub words: BTreeMap<DeviceId, Box<Words>>,
    /// What it makes of others' words.
    pub doubt: Doubt,
    /// None: of its own.
    pub owner: Option<Owner>,
    /// Its process can do nothing at present.
    pub is_stopped: bool,
    /// It has no connection any more.
    pub is_disconnected: bool,
    /// It said that it is running, and has not yet said where.
    pub resumes: bool,
    pub stage: Stage,
    /// If it uses several devices and waits: its places at each of them among those that use that one alone.
    pub places: BTreeMap<DeviceId, u64>,
    /// And if it stands there: at how many nobody stands before it that uses one device alone, and whether at all of them.
    pub leads: usize,
    pub is_clear: bool,
    /// Where it stands among those that use several.
    pub stands_at: u64,
    /// Time with a lease, without the present one.
    pub held: Nanos,
    /// Time in line, without the present one.
    pub waited: Nanos,
    pub grants: u64,
    /// Turns last so many times as long.
    pub weight: u32,
    pub priority: Priority,
    /// The most that it may hold of each device's time.
    pub quota: Option<Quota>,
    /// Time with a lease that counts for its claim to be served at once, and when it was last counted.
    pub recent: Held,
    /// Nobody but itself can move its memory, and its kernels run only where all of it is there.
    pub swaps: bool,
    /// That there is no room for it has been told since its last grant.
    pub told_no_room: bool,
    /// In its last turn it had nothing to do for a while.
    pub slept: bool,
    /// Its last turn, if it was told to leave.
    pub broken_off: Option<BrokenOff>,
    /// Of what it was asked to move out of a device, holding or not: how much of its movable memory stays there.
    pub keeps: BTreeMap<DeviceId, Bytes>,
    /// Moving out beside its turns.
    pub leaving: Option<Leaving>,
    /// It was asked to move out and nothing went: it is not asked again before its next turn.
    pub stays: bool,
    /// What it was last told to bring in.
    pub fetching: BTreeMap<DeviceId, Bytes>,
    /// What its devices know of it.
    pub standings: BTreeMap<DeviceId, Box<Standing>>,
    /// Its last grant's number: who was granted long ago moves out first.
    pub last_grant: u64,
}

/// A tenant moves memory out beside its turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    /// Until when it is waited for at most, and by when it gives a sign of life.
    pub until: Nanos,
    pub alive_by: Nanos,
    /// What it had on all devices when it was asked.
    pub had: u128,
    /// The least that it has had there since.
    pub least: u128,
}

impl Leaving {
    pub fn ends(&self) -> Nanos {
        self.until.min(self.alive_by)
    }
}

/// A tenant's bytes on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub allocated: Bytes,
    pub resident: Bytes,
    /// Part of `resident`.
    pub immovable: Bytes,
}

impl Memory {
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
    pub place: u64,
    pub since: Nanos,
    /// When it asked for the turn of which this may be the rest; later by the time in which it was paused.
    pub asked: Nanos,
    /// What it counts as: its own, or high where it has starved.
    pub priority: Priority,
    pub starved: bool,
    /// Since when nobody has been in its way but for memory that others are moving out.
    pub clear: Option<Nanos>,
    /// It stands in no line as long as there cannot be room for it, whoever leaves.
    pub aside: bool,
    /// It stands in no line until then, for it has used up its quota.
    pub paused: Option<Nanos>,
    pub paused_since: Nanos,
    /// It is paused for what its owner owes to others, and not for a quota.
    pub defers: bool,
    /// Its process is stopped.
    pub stopped: bool,
    /// It has used little lately, and holders give way to it before their turn is over.
    pub eager: bool,
    /// It is for the rest of this turn.
    pub goes_on: Option<BrokenOff>,
}

impl Request {
    pub fn stands_in_line(&self) -> bool {
        !self.aside && self.paused.is_none() && !self.stopped
    }
}

impl Tenant {
    pub fn weight(&self) -> u64 {
        u64::from(self.weight.max(1))
    }

    /// Whether it can be asked to move out beside its turns.
    pub fn may_move(&self) -> bool {
        self.leaving.is_none() && !self.stays && self.lease().is_none()
    }

    /// What it was told to bring in to the device and has not yet.
    pub fn incoming(&self, device: DeviceId) -> Bytes {
        let resident = self.devices.get(&device).map_or(Bytes::ZERO, |memory| memory.resident);
        self.fetching.get(&device).map_or(Bytes::ZERO, |told| told.saturating_sub(resident))
    }

    /// It may have freed memory since `before`: that is not on its way in any more, and what of it was there does not
    /// count towards what the tenant was told to bring in.
    pub fn freed(&mut self, device: DeviceId, before: &Memory) {
        let (Some(told), Some(memory)) = (self.fetching.get_mut(&device), self.devices.get(&device)) else {
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
    pub fn told_fixed(&self, device: DeviceId) -> Bytes {
        let Some(memory) = self.devices.get(&device) else { return Bytes::ZERO };
        let remains = match self.lease() {
            Some(lease) => lease.stuck,
            // What others left behind, the driver can move.
            None => self.stays && self.swaps,
        };
        if remains { memory.resident } else { memory.immovable }
    }

    /// What must find room there, beside all that is fixed, before its kernels run.
    pub fn needs(&self, device: DeviceId) -> Bytes {
        let Some(memory) = self.devices.get(&device).filter(|memory| memory.lacks() > Bytes::ZERO) else {
            return Bytes::ZERO;
        };
        memory.allocated.saturating_sub(self.fixed(device)).saturating_add(self.unseen(device))
    }

    /// What it may bring in to the device: what it was told to, and as a holder all that it lacks.
    pub fn claim(&self, device: DeviceId, lacks: bool) -> Bytes {
        let lacks = self.devices.get(&device).filter(|_| lacks).map_or(Bytes::ZERO, Memory::lacks);
        lacks.max(self.incoming(device))
    }

    /// What it was asked to move out of the device and has not yet.
    pub fn going(&self, device: DeviceId) -> Bytes {
        self.keeps.get(&device).map_or(Bytes::ZERO, |keeps| self.movable_soon(device).saturating_sub(*keeps))
    }

    /// What it has there then, as far as it can be moved.
    pub fn movable_soon(&self, device: DeviceId) -> Bytes {
        let movable = self.devices.get(&device).map_or(Bytes::ZERO, Memory::movable);
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
