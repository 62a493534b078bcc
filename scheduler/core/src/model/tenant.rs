//! One tenant: what it has, and where it stands in its turn.
use crate::model::decay::HeldTime;
use crate::model::eviction::Eviction;
use crate::model::ids::Owner;
use crate::model::index::TenantFacts;
use crate::model::lease::Lease;
use crate::model::memory_use::MemoryUse;
use crate::model::preempted::PreemptedTurn;
use crate::model::priority::Priority;
use crate::model::queues::HeadCount;
use crate::model::quota::Quota;
use crate::model::report::{ClaimTrust, DeviceReport};
use crate::model::request::{Request, Wait};
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
    /// Of the queues.
    pub(super) head_count: HeadCount,
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
    pub(super) facts: BTreeMap<DeviceId, Box<TenantFacts>>,
    /// Its last grant's number: who was granted long ago moves out first.
    pub last_grant: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Stage {
    #[default]
    Idle,
    Waiting(Box<Request>),
    Leased(Box<Lease>),
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
            Some(lease) => lease.is_unresponsive(),
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
        memory.allocated.saturating_sub(self.unevictable(device)).saturating_add(self.unaccounted(device))
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

    pub fn request(&self) -> Option<&Request> {
        match &self.stage {
            Stage::Waiting(request) => Some(request),
            _ => None,
        }
    }

    pub fn request_mut(&mut self) -> Option<&mut Request> {
        match &mut self.stage {
            Stage::Waiting(request) => Some(request),
            _ => None,
        }
    }

    #[cfg(test)]
    pub fn head_count(&self) -> HeadCount {
        self.head_count
    }

    /// Whether it waits in the queues of its devices.
    pub fn is_queued(&self) -> bool {
        self.request().is_some_and(|request| request.wait == Wait::Queued) && !self.is_stopped
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

impl Tenant {
    /// What of its memory is there whatever others need, as far as the driver shows it.
    pub(crate) fn unevictable(&self, device: DeviceId) -> Bytes {
        self.unevictable_and_verified(device).0
    }

    /// That, and as much of it as the driver shows.
    pub(crate) fn unevictable_and_verified(&self, device: DeviceId) -> (Bytes, Bytes) {
        let told = self.claimed_unevictable(device);
        let seen = self.reports.get(&device).and_then(|words| words.observed);
        let shown = seen.map(|seen| told.min(seen.bytes));
        (shown.unwrap_or(told), shown.unwrap_or_default())
    }
}

impl Tenant {
    /// Whether it wants a device, or has one.
    pub(crate) fn competes(&self) -> bool {
        match &self.stage {
            Stage::Idle => false,
            Stage::Waiting(_) => true,
            Stage::Leased(lease) => !lease.is_unresponsive(),
        }
    }
}

impl Tenant {
    /// How much less there is for it than others and NVML tell.
    pub(crate) fn unaccounted(&self, device: DeviceId) -> Bytes {
        self.reports.get(&device).map_or(Bytes::ZERO, |words| words.unaccounted.bytes)
    }
}
