//! A gang's memory, and what of it is whose.
use super::stage::MemberTurn;
use super::{Gang, Member, OnDevice};
use crate::model::ids::TenantId;
use crate::model::memory_use::MemoryUse;
use nvshare_protocol::tenant::{Moves, Share};
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::{BTreeMap, BTreeSet};

impl Member {
    /// Whether it can have a part in a turn.
    pub fn can_run(&self) -> bool {
        !self.is_disconnected && !self.devices.is_empty()
    }

    /// Whether it may still submit work.
    pub fn is_in_turn(&self) -> bool {
        matches!(self.turn, MemberTurn::Granted { .. } | MemberTurn::Asked)
    }

    fn on(&self, device: DeviceId) -> MemoryUse {
        let memory = self.devices.get(&device).map(|on| on.memory).unwrap_or_default();
        // Nobody can ask it to move anything.
        let keeps = self.is_disconnected || self.turn == MemberTurn::Beside;
        if keeps { MemoryUse { immovable: memory.resident, ..memory } } else { memory }
    }

    fn movable(&self, device: DeviceId) -> Bytes {
        let memory = self.on(device);
        memory.resident.saturating_sub(memory.immovable)
    }
}

impl Gang {
    /// What all members have on the device.
    pub fn memory_on(&self, device: DeviceId) -> MemoryUse {
        self.members.values().map(|member| member.on(device)).fold(MemoryUse::default(), |sum, part| {
            MemoryUse {
                allocated: sum.allocated.saturating_add(part.allocated),
                resident: sum.resident.saturating_add(part.resident),
                immovable: sum.immovable.saturating_add(part.immovable),
            }
        })
    }

    /// How the memory of all members moves on the device; none: no member has told. Of one that has not, every byte is
    /// copied.
    pub fn moves_on(&self, device: DeviceId) -> Option<Moves> {
        let users = || self.members.values().filter_map(|member| member.devices.get(&device));
        let sum = |sum: Moves, on: &OnDevice| {
            let part = on.moves.unwrap_or(Moves { away_content: Bytes::MAX, ..Moves::default() });
            Moves {
                device,
                copied_out: sum.copied_out.saturating_add(part.copied_out),
                unchanged: sum.unchanged.saturating_add(part.unchanged),
                zero_out: sum.zero_out.saturating_add(part.zero_out),
                copied_in: sum.copied_in.saturating_add(part.copied_in),
                zero_in: sum.zero_in.saturating_add(part.zero_in),
                away_content: sum.away_content.saturating_add(part.away_content.min(on.memory.lacks())),
                clean: sum.clean.saturating_add(part.clean),
            }
        };
        let tells = users().any(|on| on.moves.is_some());
        tells.then(|| users().fold(Moves { device, ..Moves::default() }, sum))
    }

    /// What the driver shows of all members on the device; none: it shows nothing of one that uses it.
    pub fn seen_on(&self, device: DeviceId) -> Option<Bytes> {
        let mut users = self.members.values().filter_map(|member| member.devices.get(&device));
        users.try_fold(Bytes::ZERO, |sum, on| Some(sum.saturating_add(on.seen?)))
    }

    pub fn devices(&self) -> BTreeSet<DeviceId> {
        self.members.values().flat_map(|member| member.devices.keys().copied()).collect()
    }

    pub fn resident(&self) -> BTreeMap<DeviceId, u64> {
        self.devices().into_iter().map(|device| (device, self.memory_on(device).resident.0)).collect()
    }

    /// A member's part of what the gang may have resident: what it has allocated, and all that is left over, for
    /// whoever of them grows.
    pub fn share_of_budget(&self, id: TenantId, budget: &[Share]) -> Vec<Share> {
        let Some(member) = self.members.get(&id) else { return Vec::new() };
        let own = budget.iter().filter(|share| member.devices.contains_key(&share.device));
        let part = |share: &Share| {
            let (all, own) = (self.memory_on(share.device).allocated, member.on(share.device));
            let others = all.saturating_sub(own.allocated);
            // Where not all fits, each has a part of the budget in proportion.
            let bytes = match all <= share.bytes {
                true => share.bytes.saturating_sub(others),
                false => {
                    let part =
                        u128::from(share.bytes.0) * u128::from(own.allocated.0) / u128::from(all.0.max(1));
                    Bytes(u64::try_from(part).unwrap_or(u64::MAX))
                }
            };
            // What the others have there already is theirs.
            let left = share
                .bytes
                .saturating_sub(self.memory_on(share.device).resident)
                .saturating_add(own.resident);
            Share { device: share.device, bytes: bytes.min(left).max(own.resident) }
        };
        own.map(part).collect()
    }

    /// Who has to evict how much, so that so much is evicted together: those first that have the most.
    pub fn split_eviction(&self, wanted: &[Share]) -> BTreeMap<TenantId, Vec<Share>> {
        let mut asked: BTreeMap<TenantId, Vec<Share>> = BTreeMap::new();
        for share in wanted.iter().filter(|share| share.bytes > Bytes::ZERO) {
            let connected = self.members.iter().filter(|(_, member)| !member.is_disconnected);
            let has = connected.map(|(id, member)| (member.movable(share.device), *id));
            let mut has: Vec<(Bytes, TenantId)> = has.filter(|(bytes, _)| *bytes > Bytes::ZERO).collect();
            has.sort_unstable_by(|one, other| other.cmp(one));
            let mut left = share.bytes;
            for (movable, id) in has {
                if left == Bytes::ZERO {
                    break;
                }
                let bytes = if share.bytes == Bytes::MAX { Bytes::MAX } else { movable.min(left) };
                left = if share.bytes == Bytes::MAX { left } else { left.saturating_sub(bytes) };
                asked.entry(id).or_default().push(Share { device: share.device, bytes });
            }
        }
        asked
    }
}
