//! One tenant: what it has, and whether it waits or holds.
use crate::model::decay::HeldTime;
use crate::model::eviction::Eviction;
use crate::model::gang_state::GangState;
use crate::model::ids::Owner;
use crate::model::index::TenantFacts;
use crate::model::lease::Lease;
use crate::model::memory_use::MemoryUse;
use crate::model::moved::Moved;
use crate::model::preempted::PreemptedTurn;
use crate::model::priority::Priority;
use crate::model::queues::{HeadCount, QueueEntry};
use crate::model::quota::Quota;
use crate::model::report::{ClaimTrust, DeviceReport};
use crate::model::request::{Request, Wait};
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::BTreeMap;

/// More devices than this one tenant cannot name.
pub const MAX_DEVICES: usize = 64;

#[derive(Clone, Debug, Default)]
pub(crate) struct Tenant {
    /// The devices that it named, and its memory there, as far as its reports are possible.
    pub devices: BTreeMap<DeviceId, MemoryUse>,
    /// What was reported of it on each device.
    pub reports: BTreeMap<DeviceId, Box<DeviceReport>>,
    /// How far it believes the claims of others.
    pub trust: ClaimTrust,
    /// None: it is its own owner.
    pub owner: Option<Owner>,
    /// Those of one family may wait for each other inside their work, though nobody has said so.
    pub family: Option<u64>,
    /// Its process is stopped.
    pub is_stopped: bool,
    /// Its connection is gone.
    pub is_disconnected: bool,
    /// An operator lets it have no turns.
    pub is_paused: bool,
    /// It has to evict everything that it can when its turn ends.
    pub evicts_all: bool,
    /// It said that it is running GPU work, and has not named a device yet.
    pub claims_hold: bool,
    pub stage: Stage,
    /// Where its request stands. The queues keep this, and the next.
    pub(super) queued: Option<QueueEntry>,
    /// At how many of its devices the request is first, if it uses several.
    pub(super) head_count: HeadCount,
    /// The time of its past leases. The present lease does not count.
    pub time_held: Nanos,
    /// The time that its past requests waited. The present request does not count.
    pub time_waited: Nanos,
    pub grants: u64,
    /// Its turns last this many times as long as those of weight 1.
    pub weight: u32,
    pub priority: Priority,
    /// The most that it may hold of each device's time.
    pub quota: Option<Quota>,
    /// Recent time with a lease while others waited.
    pub recent_use: HeldTime,
    /// Only the tenant itself can evict its memory, and its kernels need all of it resident (the swap engine).
    pub swaps: bool,
    /// An operator was told since its last grant that there is no room for it.
    pub no_room_reported: bool,
    /// It was idle in its last turn.
    pub was_mostly_idle: bool,
    /// Its last turn, if that was revoked.
    pub preempted: Option<PreemptedTurn>,
    /// While it evicts, as a holder or not: how much of its movable memory stays on each device.
    pub evict_down_to: BTreeMap<DeviceId, Bytes>,
    /// An eviction beside its turns.
    pub eviction: Option<Eviction>,
    /// It is not asked to evict before its next turn: it was asked and evicted nothing, or its process is stopped.
    pub keeps_memory: bool,
    /// How much it was last told to have resident.
    pub prefetch: BTreeMap<DeviceId, Bytes>,
    /// It is a gang.
    pub gang: Option<GangState>,
    /// It is a gang that cannot leave a device, and its owner owed nobody anything before: its next turn comes before those
    /// of all others of its priority.
    pub goes_first: bool,
    /// What the indexes of its devices have of it.
    pub(super) facts: BTreeMap<DeviceId, Box<TenantFacts>>,
    /// The number of its last grant: the tenant with the oldest one evicts first.
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

    /// Whether it can be asked to evict beside its turns.
    pub fn may_be_asked_to_evict(&self) -> bool {
        self.eviction.is_none() && !self.keeps_memory && self.lease().is_none()
    }

    /// Memory that it was told to prefetch to the device and has not prefetched yet.
    pub fn incoming(&self, device: DeviceId) -> Bytes {
        let resident = self.devices.get(&device).map_or(Bytes::ZERO, |memory| memory.resident);
        self.prefetch.get(&device).map_or(Bytes::ZERO, |asked| asked.saturating_sub(resident))
    }

    /// The tenant may have freed memory since `before`. That is not incoming any more, and as far as it was resident,
    /// it does not count towards what the tenant was told to prefetch.
    pub fn note_freed(&mut self, device: DeviceId, before: &MemoryUse) {
        let (Some(asked), Some(memory)) = (self.prefetch.get_mut(&device), self.devices.get(&device)) else {
            return;
        };
        let freed = before.allocated.saturating_sub(memory.allocated);
        if freed > Bytes::ZERO {
            let was_there = before.resident.saturating_sub(memory.resident).min(freed);
            *asked = asked.saturating_sub(was_there).min(memory.allocated);
        }
    }

    /// Records an outstanding request to evict this much; the tenant is busy with it on all its devices.
    pub fn begin_eviction(&mut self, shares: &[Share]) {
        let asked = |device: DeviceId| shares.iter().find(|share| share.device == device);
        let target = |device: &DeviceId| {
            let bytes = asked(*device).map_or(Bytes::ZERO, |share| share.bytes);
            (*device, self.evictable_soon(*device).saturating_sub(bytes))
        };
        self.evict_down_to = self.devices.keys().map(target).collect();
    }

    /// Its unevictable memory on the device, by its own reports: what is immovable, and everything if the tenant is
    /// unresponsive or did not evict when asked.
    pub fn claimed_unevictable(&self, device: DeviceId) -> Bytes {
        let Some(memory) = self.devices.get(&device) else { return Bytes::ZERO };
        let remains = match self.lease() {
            Some(lease) => lease.is_unresponsive(),
            // What tenants of the managed engine left behind, the driver can evict.
            None => self.keeps_memory && self.swaps,
        };
        if remains { memory.resident } else { memory.immovable }
    }

    /// How much has to fit on the device beside unevictable memory before its kernels run.
    pub fn needs(&self, device: DeviceId) -> Bytes {
        let Some(memory) = self.devices.get(&device).filter(|memory| memory.lacks() > Bytes::ZERO) else {
            return Bytes::ZERO;
        };
        memory.allocated.saturating_sub(self.unevictable(device)).saturating_add(self.unaccounted(device))
    }

    /// Memory that it may bring in to the device: what it was told to prefetch, and as a holder all that is not
    /// resident.
    pub fn may_bring_in(&self, device: DeviceId, lacks: bool) -> Bytes {
        let lacks = self.devices.get(&device).filter(|_| lacks).map_or(Bytes::ZERO, MemoryUse::lacks);
        lacks.max(self.incoming(device))
    }

    /// Memory on the device that it was asked to evict and has not evicted yet.
    pub fn outgoing(&self, device: DeviceId) -> Bytes {
        self.evict_down_to
            .get(&device)
            .map_or(Bytes::ZERO, |target| self.evictable_soon(device).saturating_sub(*target))
    }

    /// Its movable memory on the device once it has prefetched what it was told to.
    pub fn evictable_soon(&self, device: DeviceId) -> Bytes {
        let movable = self.devices.get(&device).map_or(Bytes::ZERO, MemoryUse::movable);
        movable.saturating_add(self.incoming(device))
    }

    /// Its resident memory on all devices once it has prefetched what it was told to.
    pub fn resident_soon(&self) -> u128 {
        let incoming = self.devices.keys().map(|device| u128::from(self.incoming(*device).0));
        self.resident() + incoming.sum::<u128>()
    }

    /// Its resident memory on all devices.
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
    /// Its unevictable memory on the device, as far as the driver shows it.
    pub(crate) fn unevictable(&self, device: DeviceId) -> Bytes {
        self.unevictable_and_verified(device).0
    }

    /// The same, and as much of it as the driver confirms.
    pub(crate) fn unevictable_and_verified(&self, device: DeviceId) -> (Bytes, Bytes) {
        let claimed = self.claimed_unevictable(device);
        let observed = self.reports.get(&device).and_then(|report| report.observed);
        let verified = observed.map(|observed| claimed.min(observed.bytes));
        (verified.unwrap_or(claimed), verified.unwrap_or_default())
    }
}

impl Tenant {
    /// What a return of its memory to the device has to copy, as far as its word is possible. The rest of what it lacks
    /// is zero.
    pub(crate) fn lacks_content(&self, device: DeviceId) -> Bytes {
        let lacks = self.devices.get(&device).map_or(Bytes::ZERO, MemoryUse::lacks);
        let told = self.reports.get(&device).and_then(|report| report.moves);
        told.map_or(lacks, |told| told.away_content.min(lacks))
    }

    /// What it has told of the way of its memory; none: nothing.
    pub(crate) fn moved(&self) -> Option<Moved> {
        let mut told = self.reports.values().filter_map(|report| report.moves.as_ref()).peekable();
        told.peek()?;
        Some(told.fold(Moved::default(), Moved::and))
    }
}

impl Tenant {
    /// Whether it waits for a device, or holds one.
    pub(crate) fn competes(&self) -> bool {
        match &self.stage {
            Stage::Idle => false,
            Stage::Waiting(request) => !request.wait.is_paused(),
            Stage::Leased(lease) => !lease.is_unresponsive(),
        }
    }
}

impl Tenant {
    /// How much less room there is for it on the device than others and NVML report.
    pub(crate) fn unaccounted(&self, device: DeviceId) -> Bytes {
        self.reports.get(&device).map_or(Bytes::ZERO, |report| report.unaccounted.bytes)
    }
}
