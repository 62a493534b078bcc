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
    /// Its memory there, as it reports it and as far as that is possible.
    pub told: MemoryUse,
    /// Its allocated, unevictable and resident memory, if it holds the device.
    pub held: Option<(Bytes, Bytes, Bytes)>,
    /// Whether it goes on, its rank, and when its turn is over, if it holds the device.
    pub turn: Option<(bool, Priority, Nanos)>,
    /// Its priority and when it asked, if it waits and may starve because others are of higher priority.
    pub starvable: Option<(Priority, Nanos)>,
    /// Its weight among holders, and among waiting tenants.
    pub weights: (u64, u64),
    /// Its unevictable memory; and the same, or all that is resident while it has a lease.
    pub unevictable: Bytes,
    pub unavailable: Bytes,
    /// As much of the first as the driver confirms, if it does not hold the device.
    pub verified: Bytes,
    /// What it reports as resident although it has no context.
    pub without_context: Bytes,
    /// Its owner, if it waits for the device or holds it.
    pub owner: Option<Owner>,
    /// Until when it believes the claims of others, and until when its refusals are believed.
    pub trusts_until: Option<Nanos>,
    pub unaccounted_until: Option<Nanos>,
    /// By when it has to give a sign of life, if it has just been granted the device, or claims a hold from before this
    /// run.
    pub alive_until: Option<Nanos>,
    /// It holds the device and is stopped.
    pub stopped: bool,
    /// It holds the device and is a gang.
    pub gang: bool,
    /// It is a gang that has stood aside, and waits in the queues.
    pub aside: bool,
    /// It ignores the claims of others.
    pub ignores_claims: bool,
    /// The capacity that it named, and what is unaccounted for it.
    pub capacity: Option<Bytes>,
    pub unaccounted: Bytes,
    /// What it has allocated there, and what has to fit beside unevictable memory.
    pub allocated: Bytes,
    pub needs: Bytes,
    /// What it may still bring in, and what it was asked to evict and has not evicted yet.
    pub incoming: Bytes,
    pub outgoing: Bytes,
    /// What has to fit beside unevictable memory, if it is parked.
    pub parked: Option<Bytes>,
    /// The number of its last grant, if it left memory there that it can be asked to evict.
    pub leftover: Option<u64>,
    /// Until when it is throttled.
    pub throttled_until: Option<Nanos>,
    pub lacks: bool,
    pub revoked: bool,
    pub evicting: bool,
    pub has_quota: bool,
}

/// Sums over a device's tenants, and those about which something may have to be decided.
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
    /// What its holders have allocated there, and how much of their memory is unevictable.
    pub held_allocated: u128,
    pub held_unevictable: u128,
    /// The weights of its holders, and of those that wait for it.
    pub holding_weight: u64,
    pub waiting_weight: u64,
    /// Unevictable memory, and memory that the next tenants cannot have.
    pub unevictable: u128,
    pub unavailable: u128,
    /// Resident memory of the holders; verified unevictable memory of others; and what tenants without a context
    /// report.
    pub held_resident: u128,
    pub verified: u128,
    pub without_context: u128,
    /// The owners of tenants that wait for the device or hold it, with the number of such tenants.
    pub owners: BTreeMap<Owner, usize>,
    /// Until when tenants believe the claims of others.
    pub trust_timers: BTreeSet<(Nanos, TenantId)>,
    /// Until when refusals of tenants are believed.
    pub unaccounted_timers: BTreeSet<(Nanos, TenantId)>,
    /// By when tenants have to give a sign of life: those that have just been granted the device, and those that were
    /// revoked and claim a hold from before this run.
    pub liveness_timers: BTreeSet<(Nanos, TenantId)>,
    /// The holders that are stopped.
    pub stopped_holders: BTreeSet<TenantId>,
    /// The holders that are gangs.
    pub gangs: BTreeSet<TenantId>,
    /// Gangs that have stood aside, and wait in the queues.
    pub aside: BTreeSet<TenantId>,
    /// What may still come in, and what was asked to be evicted and is still there.
    pub incoming: u128,
    pub outgoing: u128,
    /// The holders in the order of their preemption: revoked ones first, then by rank, then by the end of their turns.
    pub preemption_order: BTreeSet<(bool, Priority, Nanos, TenantId)>,
    /// Waiting tenants that are not of high priority, by priority and by when they asked.
    pub starvable: BTreeSet<(Priority, Nanos, TenantId)>,
    /// Tenants with unevictable memory, the most last.
    pub by_unevictable: BTreeSet<(Bytes, TenantId)>,
    /// Parked tenants, those first that need the least.
    pub parked: BTreeSet<(Bytes, TenantId)>,
    /// Tenants that left memory there and can be asked to evict it, the oldest grant first.
    pub leftovers: BTreeSet<(u64, TenantId)>,
    /// Throttled tenants, and until when.
    pub throttled: BTreeSet<(Nanos, TenantId)>,
    /// Holders that have a quota and were not revoked.
    pub with_quota: BTreeSet<TenantId>,
    /// Active holders that have allocated more than is resident.
    pub lacking: BTreeSet<TenantId>,
    /// Tenants with a lease that was revoked.
    pub revoked: BTreeSet<TenantId>,
    /// Tenants that were asked to evict, holders and others, and have not answered.
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
    /// Replaces what the index has of the tenant.
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
            (&mut self.without_context, was.without_context, is.without_context),
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
        let turn = |facts: TenantFacts| facts.turn.map(|(stays, rank, end)| (stays, rank, end, id));
        replace(&mut self.preemption_order, turn(was), turn(is));
        let waits = |facts: TenantFacts| facts.starvable.map(|(priority, asked)| (priority, asked, id));
        replace(&mut self.starvable, waits(was), waits(is));
        for (set, was, is) in [
            (&mut self.holders, was.hold == Hold::Holder, is.hold == Hold::Holder),
            (&mut self.beside, was.hold == Hold::Beside, is.hold == Hold::Beside),
            (&mut self.with_quota, was.has_quota, is.has_quota),
            (&mut self.stopped_holders, was.stopped, is.stopped),
            (&mut self.gangs, was.gang, is.gang),
            (&mut self.aside, was.aside, is.aside),
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
    /// Whether a holder is stopped, or one of the timers here is due.
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
