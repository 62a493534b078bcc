//! What a device knows of its tenants: sums over them, and orders of those about which something is the matter. Kept up
//! to date with every change of a tenant ([`crate::model::update`]), so that nobody has to look through all of them.
use crate::model::ids::{Owner, TenantId};
use crate::model::memory_use::MemoryUse;
use crate::model::priority::Priority;
use nvshare_protocol::{Bytes, Nanos};
use std::collections::{BTreeMap, BTreeSet};

/// What a lease means for one device of its tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    #[default]
    None,
    /// It keeps the device from others.
    Holder,
    /// It does not: the tenant is unresponsive, or has to leave because it came upon a holder.
    Beside,
}

/// What holds of a tenant on one device, as far as the device's index needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TenantFacts {
    /// The tenant uses the device.
    pub named: bool,
    pub hold: Hold,
    /// What it has there, as it says and as far as that is possible.
    pub told: MemoryUse,
    /// What it has there in all, how much of that is unevictable, and how much is resident, if it holds the device.
    pub held: Option<(Bytes, Bytes, Bytes)>,
    /// Whether it stays, its rank, and when its turn is over, if it holds the device.
    pub turn: Option<(bool, Priority, Nanos)>,
    /// What it counts as and when it asked, if it waits and others may stand before it for their priority.
    pub starvable: Option<(Priority, Nanos)>,
    /// What it weighs among those that hold, and among those that wait.
    pub weights: (u64, u64),
    /// What of its memory is there whatever others need; and the same, or all that it has there while it has a lease.
    pub unevictable: Bytes,
    pub unavailable: Bytes,
    /// What the driver shows of the first, if it does not hold the device.
    pub verified: Bytes,
    /// What it says that it has there, though it has no context.
    pub phantom: Bytes,
    /// Whose it is, if it wants the device or has it.
    pub owner: Option<Owner>,
    /// When it does not believe others any longer, and until when it believes that it was refused something for a reason.
    pub trusts_until: Option<Nanos>,
    pub unaccounted_until: Option<Nanos>,
    /// By when it gives a sign of life, if it has just been granted the device, or only says that it held it before.
    pub alive_until: Option<Nanos>,
    /// It holds the device and is stopped.
    pub stopped: bool,
    /// It goes by the driver and not by others' words.
    pub ignores_claims: bool,
    /// How large the device is by its own word, and what it was refused of it.
    pub capacity: Option<Bytes>,
    pub unaccounted: Bytes,
    /// What it has there in all, and what must find room beside all that is fixed.
    pub allocated: Bytes,
    pub needs: Bytes,
    /// What it may still bring in, and what it was asked to move out and has not yet.
    pub incoming: Bytes,
    pub outgoing: Bytes,
    /// What it needs there beside all that is fixed, if it waits aside until there can be room.
    pub parked: Option<Bytes>,
    /// The number of its last grant, if it left memory there that it can be asked to move out.
    pub leftover: Option<u64>,
    /// Until when it stands in no line, for it has used up its quota.
    pub throttled_until: Option<Nanos>,
    pub lacks: bool,
    pub revoked: bool,
    pub evicting: bool,
    pub has_quota: bool,
}

/// The tenants of a device by what is the matter with them, and sums over them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeviceIndex {
    /// How many tenants use the device.
    pub users: usize,
    /// Who keeps the device from others. At most one while tenants take turns with it.
    pub holders: BTreeSet<TenantId>,
    /// Who has a lease and does not keep the device from others.
    pub beside: BTreeSet<TenantId>,
    /// The sums over all tenants. Wide, so that no report can make them wrong.
    pub allocated: u128,
    pub resident: u128,
    pub immovable: u128,
    /// What its holders have there in all, and how much of that stays.
    pub held_allocated: u128,
    pub held_unevictable: u128,
    /// What its holders and those that wait for it weigh.
    pub holding_weight: u64,
    pub waiting_weight: u64,
    /// What is there whatever others need, and what those that come next cannot have.
    pub unevictable: u128,
    pub unavailable: u128,
    /// What is there of the holders, what the driver shows to be fixed there of others, and what tenants without a context
    /// say.
    pub held_resident: u128,
    pub verified: u128,
    pub phantom: u128,
    /// Whose tenants want the device or have it, and how many each has.
    pub owners: BTreeMap<Owner, usize>,
    /// Who will not believe others any longer from then on.
    pub trust_timers: BTreeSet<(Nanos, TenantId)>,
    /// Who was refused memory that should be there, and until when that is believed.
    pub unaccounted_timers: BTreeSet<(Nanos, TenantId)>,
    /// Who gives a sign of life by when: those that have just been granted the device, and those that were told to leave and
    /// only say that they held it before.
    pub liveness_timers: BTreeSet<(Nanos, TenantId)>,
    /// The holders that are stopped.
    pub stopped_holders: BTreeSet<TenantId>,
    /// What may still come in, and what was asked to leave and is still there.
    pub incoming: u128,
    pub outgoing: u128,
    /// The holders, those first that have to leave before others: who was told to, who is of lower rank, and whose turn
    /// ends first.
    pub preemption_order: BTreeSet<(bool, Priority, Nanos, TenantId)>,
    /// Who waits and is not of high priority, by that and since when.
    pub starvable: BTreeSet<(Priority, Nanos, TenantId)>,
    /// Whose memory is there whatever others need, the most last.
    pub by_unevictable: BTreeSet<(Bytes, TenantId)>,
    /// Who waits aside, those first that need the least.
    pub parked: BTreeSet<(Bytes, TenantId)>,
    /// Who left memory there and can be asked to move it out, longest ago granted first.
    pub leftovers: BTreeSet<(u64, TenantId)>,
    /// Who waits until it may hold again, and until when.
    pub throttled: BTreeSet<(Nanos, TenantId)>,
    /// The holders that have a quota and stay.
    pub with_quota: BTreeSet<TenantId>,
    /// The holders that run, stay, and have more than is there.
    pub lacking: BTreeSet<TenantId>,
    /// Who has a lease and was told to leave.
    pub revoked: BTreeSet<TenantId>,
    /// Who was asked to move memory out, holders and others, and has not answered.
    pub evicting: BTreeSet<TenantId>,
}

impl TenantFacts {
    pub fn holds(&self) -> bool {
        self.hold == Hold::Holder
    }

    /// What is there of it, as a holder.
    pub fn held_resident(&self) -> Bytes {
        self.held.map_or(Bytes::ZERO, |(.., resident)| resident)
    }
}

impl DeviceIndex {
    /// What was known of the tenant counts no more, and what is known now does.
    pub(super) fn apply(&mut self, id: TenantId, was: TenantFacts, is: TenantFacts) {
        let (had, has) = (was.held.unwrap_or_default(), is.held.unwrap_or_default());
        self.users = self.users + usize::from(is.named) - usize::from(was.named);
        self.held_allocated = self.held_allocated + u128::from(has.0.0) - u128::from(had.0.0);
        self.held_unevictable = self.held_unevictable + u128::from(has.1.0) - u128::from(had.1.0);
        self.holding_weight = self.holding_weight + is.weights.0 - was.weights.0;
        self.waiting_weight = self.waiting_weight + is.weights.1 - was.weights.1;
        for (sum, was, is) in [
            (&mut self.allocated, was.told.allocated, is.told.allocated),
            (&mut self.resident, was.told.resident, is.told.resident),
            (&mut self.immovable, was.told.immovable, is.told.immovable),
            (&mut self.held_resident, had.2, has.2),
            (&mut self.verified, was.verified, is.verified),
            (&mut self.phantom, was.phantom, is.phantom),
            (&mut self.unevictable, was.unevictable, is.unevictable),
            (&mut self.unavailable, was.unavailable, is.unavailable),
            (&mut self.incoming, was.incoming, is.incoming),
            (&mut self.outgoing, was.outgoing, is.outgoing),
        ] {
            *sum = *sum + u128::from(is.0) - u128::from(was.0);
        }
        let some = |bytes: Bytes| (bytes > Bytes::ZERO).then_some((bytes, id));
        replace(&mut self.by_unevictable, some(was.unevictable), some(is.unevictable));
        replace(&mut self.parked, was.parked.map(|needs| (needs, id)), is.parked.map(|needs| (needs, id)));
        replace(&mut self.leftovers, was.leftover.map(|at| (at, id)), is.leftover.map(|at| (at, id)));
        replace(
            &mut self.throttled,
            was.throttled_until.map(|at| (at, id)),
            is.throttled_until.map(|at| (at, id)),
        );
        for (set, was, is) in [
            (&mut self.trust_timers, was.trusts_until, is.trusts_until),
            (&mut self.unaccounted_timers, was.unaccounted_until, is.unaccounted_until),
            (&mut self.liveness_timers, was.alive_until, is.alive_until),
        ] {
            replace(set, was.map(|at| (at, id)), is.map(|at| (at, id)));
        }
        if was.owner != is.owner {
            self.count_owner(was.owner, is.owner);
        }
        let turn = |standing: TenantFacts| standing.turn.map(|(stays, rank, end)| (stays, rank, end, id));
        replace(&mut self.preemption_order, turn(was), turn(is));
        let waits = |standing: TenantFacts| standing.starvable.map(|(priority, asked)| (priority, asked, id));
        replace(&mut self.starvable, waits(was), waits(is));
        for (set, was, is) in [
            (&mut self.holders, was.hold == Hold::Holder, is.hold == Hold::Holder),
            (&mut self.beside, was.hold == Hold::Beside, is.hold == Hold::Beside),
            (&mut self.with_quota, was.has_quota, is.has_quota),
            (&mut self.stopped_holders, was.stopped, is.stopped),
            (&mut self.lacking, was.lacks, is.lacks),
            (&mut self.revoked, was.revoked, is.revoked),
            (&mut self.evicting, was.evicting, is.evicting),
        ] {
            match (was, is) {
                (false, true) => drop(set.insert(id)),
                (true, false) => drop(set.remove(&id)),
                _ => {}
            }
        }
    }
}

impl DeviceIndex {
    /// Whether somebody has been lifeless, has been refused memory, or has believed others for long enough.
    pub fn have_due(&self, now: Nanos) -> bool {
        let due = |set: &BTreeSet<(Nanos, TenantId)>| set.first().is_some_and(|(at, _)| *at <= now);
        !self.stopped_holders.is_empty()
            || due(&self.liveness_timers)
            || due(&self.unaccounted_timers)
            || due(&self.trust_timers)
    }

    fn count_owner(&mut self, was: Option<Owner>, is: Option<Owner>) {
        if let Some(was) = was
            && let Some(count) = self.owners.get_mut(&was)
        {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(&was);
            }
        }
        if let Some(is) = is {
            *self.owners.entry(is).or_default() += 1;
        }
    }
}

fn replace<T: Ord>(set: &mut BTreeSet<T>, was: Option<T>, is: Option<T>) {
    if was != is {
        was.map(|was| set.remove(&was));
        set.extend(is);
    }
}
