//! What a device knows of its tenants, so that nobody has to look through them: brought up to date after every change
//! of one of them.
use crate::Core;
use crate::device::Device;
use crate::event::TenantId;
use crate::owners::Owner;
use crate::presence::proves_itself_by;
use crate::priority::Priority;
use crate::tenant::{Memory, Stage, Tenant};
use nvshare_protocol::{Bytes, DeviceId, Nanos};
use std::collections::{BTreeMap, BTreeSet};

/// Where a tenant stands on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// What it has there in all, how much of that stays, and how much is there, if it holds the device.
    holds: Option<(Bytes, Bytes, Bytes)>,
    /// Whether it stays, its rank, and when its turn is over, if it holds the device.
    turn: Option<(bool, Priority, Nanos)>,
    /// What it counts as and when it asked, if it waits and others may stand before it for their priority.
    outranked: Option<(Priority, Nanos)>,
    /// What it weighs among those that hold, and among those that wait.
    weights: (u64, u64),
    /// What of its memory is there whatever others need; and the same, or all that it has there while it has a lease.
    pub fixed: Bytes,
    pub taken: Bytes,
    /// What the driver shows of the first, if it does not hold the device.
    pub shown: Bytes,
    /// What it says that it has there, though it has no context.
    absent: Bytes,
    /// Whose it is, if it wants the device or has it.
    owner: Option<Owner>,
    /// When it does not believe others any longer, and until when it believes that it was refused something for a reason.
    doubts: Option<Nanos>,
    unseen: Option<Nanos>,
    /// By when it gives a sign of life, if it has just been granted the device, or only says that it held it before.
    silent: Option<Nanos>,
    /// It holds the device and is stopped.
    halted: bool,
    /// It goes by the driver and not by others' words.
    pub insists: bool,
    /// How large the device is by its own word, and what it was refused of it.
    pub capacity: Option<Bytes>,
    pub refused: Bytes,
    /// What it has there in all, and what must find room beside all that is fixed.
    pub allocated: Bytes,
    pub needs: Bytes,
    /// What it may still bring in, and what it was asked to move out and has not yet.
    pub claim: Bytes,
    pub going: Bytes,
    /// What it needs there beside all that is fixed, if it waits aside until there can be room.
    aside: Option<Bytes>,
    /// The number of its last grant, if it left memory there that it can be asked to move out.
    leftover: Option<u64>,
    /// Until when it stands in no line, for it has used up its quota.
    paused: Option<Nanos>,
    lacks: bool,
    revoked: bool,
    outgoing: bool,
    limited: bool,
}

/// The tenants of a device by what is the matter with them, and sums over them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standings {
    /// What its holders have there in all, and how much of that stays.
    pub allocated: u128,
    pub immovable: u128,
    /// What its holders and those that wait for it weigh.
    pub holding_weight: u64,
    pub waiting_weight: u64,
    /// What is there whatever others need, and what those that come next cannot have.
    pub fixed: u128,
    pub taken: u128,
    /// What is there of the holders, what the driver shows to be fixed there of others, and what tenants without a context
    /// say.
    pub runs: u128,
    pub shown: u128,
    pub absent: u128,
    /// Whose tenants want the device or have it, and how many each has.
    pub owners: BTreeMap<Owner, usize>,
    /// Who will not believe others any longer from then on.
    pub doubting: BTreeSet<(Nanos, TenantId)>,
    /// Who was refused memory that should be there, and until when that is believed.
    pub unseen: BTreeSet<(Nanos, TenantId)>,
    /// Who gives a sign of life by when: those that have just been granted the device, and those that were told to leave and
    /// only say that they held it before.
    pub silent: BTreeSet<(Nanos, TenantId)>,
    /// The holders that are stopped.
    pub halted: BTreeSet<TenantId>,
    /// What may still come in, and what was asked to leave and is still there.
    pub claimed: u128,
    pub going: u128,
    /// The holders, those first that have to leave before others: who was told to, who is of lower rank, and whose turn
    /// ends first.
    pub turns: BTreeSet<(bool, Priority, Nanos, TenantId)>,
    /// Who waits and is not of high priority, by that and since when.
    pub outranked: BTreeSet<(Priority, Nanos, TenantId)>,
    /// Whose memory is there whatever others need, the most last.
    pub fixing: BTreeSet<(Bytes, TenantId)>,
    /// Who waits aside, those first that need the least.
    pub aside: BTreeSet<(Bytes, TenantId)>,
    /// Who left memory there and can be asked to move it out, longest ago granted first.
    pub leftovers: BTreeSet<(u64, TenantId)>,
    /// Who waits until it may hold again, and until when.
    pub paused: BTreeSet<(Nanos, TenantId)>,
    /// The holders that have a quota and stay.
    pub limited: BTreeSet<TenantId>,
    /// The holders that run, stay, and have more than is there.
    pub lacking: BTreeSet<TenantId>,
    /// Who has a lease and was told to leave.
    pub revoked: BTreeSet<TenantId>,
    /// Who was asked to move memory out, holders and others, and has not answered.
    pub outgoing: BTreeSet<TenantId>,
}

impl Standing {
    pub fn holds(&self) -> bool {
        self.holds.is_some()
    }

    /// What is there of it, as a holder.
    pub fn runs(&self) -> Bytes {
        self.holds.map_or(Bytes::ZERO, |(.., resident)| resident)
    }

    fn of(tenant: &Tenant, id: TenantId, name: DeviceId, device: &Device, silence: Nanos) -> Self {
        let (Some(told), Some(words)) = (tenant.devices.get(&name), tenant.words.get(&name)) else {
            return Self::default();
        };
        let is_absent = words.seen.is_some_and(|seen| seen.is_absent());
        let memory = if is_absent { Memory::default() } else { *told };
        let absent = if is_absent { told.resident } else { Bytes::ZERO };
        let holds = device.holders.contains(&id);
        let revoked = tenant.lease().is_some_and(|lease| lease.revocation.is_some());
        let paused = match &tenant.stage {
            Stage::Waiting(request) => request.paused,
            _ => None,
        };
        let waits = matches!(tenant.stage, Stage::Waiting(_)) && paused.is_none();
        let aside = matches!(&tenant.stage, Stage::Waiting(request) if request.aside);
        let movable = !is_absent && tenant.may_move() && tenant.movable_soon(name) > Bytes::ZERO;
        let lacks = holds && !revoked && memory.lacks() > Bytes::ZERO;
        let runs = tenant.lease().is_some_and(|lease| lease.ready.is_some());
        let (fixed, shown) = tenant.fixed_and_shown(name);
        let lease = tenant.lease().filter(|_| holds);
        let comes = lease.filter(|lease| lease.ready.is_none() && lease.revocation.is_none());
        let proves_by = tenant.lease().and_then(|lease| proves_itself_by(lease, silence));
        Self {
            holds: holds.then_some((memory.allocated, fixed, memory.resident)),
            shown: if holds { Bytes::ZERO } else { shown },
            absent,
            owner: tenant.competes().then_some(tenant.owner.unwrap_or(Owner::Tenant(id))),
            doubts: tenant.doubt.ends().filter(|_| matches!(tenant.stage, Stage::Waiting(_))),
            unseen: words.unseen.ends(),
            insists: tenant.doubt.insists,
            capacity: Some(words.capacity),
            refused: words.unseen.bytes,
            allocated: memory.allocated,
            needs: tenant.needs(name),
            silent: comes.map(|lease| lease.alive_by).or(proves_by),
            halted: holds && tenant.is_stopped,
            turn: tenant.lease().filter(|_| holds).map(|lease| (!revoked, lease.rank(), lease.turn_end())),
            outranked: match &tenant.stage {
                Stage::Waiting(request) if waits && request.priority < Priority::High => {
                    Some((request.priority, request.asked))
                }
                _ => None,
            },
            weights: (tenant.weight() * u64::from(holds), tenant.weight() * u64::from(waits)),
            fixed,
            taken: if tenant.lease().is_some() { memory.resident } else { fixed },
            claim: if is_absent { Bytes::ZERO } else { tenant.claim(name, lacks) },
            going: if is_absent { Bytes::ZERO } else { tenant.going(name) },
            aside: aside.then(|| tenant.needs(name)),
            leftover: movable.then_some(tenant.last_grant),
            paused,
            limited: holds && !revoked && tenant.lease().is_some_and(|lease| lease.limited),
            lacks: lacks && runs,
            revoked,
            outgoing: tenant.keeps.contains_key(&name),
        }
    }
}

impl Standings {
    fn change(&mut self, id: TenantId, was: Standing, is: Standing) {
        let (had, has) = (was.holds.unwrap_or_default(), is.holds.unwrap_or_default());
        self.allocated = self.allocated + u128::from(has.0.0) - u128::from(had.0.0);
        self.immovable = self.immovable + u128::from(has.1.0) - u128::from(had.1.0);
        self.holding_weight = self.holding_weight + is.weights.0 - was.weights.0;
        self.waiting_weight = self.waiting_weight + is.weights.1 - was.weights.1;
        for (sum, was, is) in [
            (&mut self.runs, had.2, has.2),
            (&mut self.shown, was.shown, is.shown),
            (&mut self.absent, was.absent, is.absent),
            (&mut self.fixed, was.fixed, is.fixed),
            (&mut self.taken, was.taken, is.taken),
            (&mut self.claimed, was.claim, is.claim),
            (&mut self.going, was.going, is.going),
        ] {
            *sum = *sum + u128::from(is.0) - u128::from(was.0);
        }
        let some = |bytes: Bytes| (bytes > Bytes::ZERO).then_some((bytes, id));
        replace(&mut self.fixing, some(was.fixed), some(is.fixed));
        replace(&mut self.aside, was.aside.map(|needs| (needs, id)), is.aside.map(|needs| (needs, id)));
        replace(&mut self.leftovers, was.leftover.map(|at| (at, id)), is.leftover.map(|at| (at, id)));
        replace(&mut self.paused, was.paused.map(|at| (at, id)), is.paused.map(|at| (at, id)));
        for (set, was, is) in [
            (&mut self.doubting, was.doubts, is.doubts),
            (&mut self.unseen, was.unseen, is.unseen),
            (&mut self.silent, was.silent, is.silent),
        ] {
            replace(set, was.map(|at| (at, id)), is.map(|at| (at, id)));
        }
        if was.owner != is.owner {
            self.count_owner(was.owner, is.owner);
        }
        let turn = |standing: Standing| standing.turn.map(|(stays, rank, end)| (stays, rank, end, id));
        replace(&mut self.turns, turn(was), turn(is));
        let waits = |standing: Standing| standing.outranked.map(|(priority, asked)| (priority, asked, id));
        replace(&mut self.outranked, waits(was), waits(is));
        for (set, was, is) in [
            (&mut self.limited, was.limited, is.limited),
            (&mut self.halted, was.halted, is.halted),
            (&mut self.lacking, was.lacks, is.lacks),
            (&mut self.revoked, was.revoked, is.revoked),
            (&mut self.outgoing, was.outgoing, is.outgoing),
        ] {
            match (was, is) {
                (false, true) => drop(set.insert(id)),
                (true, false) => drop(set.remove(&id)),
                _ => {}
            }
        }
    }
}

impl Standings {
    /// Whether somebody has been lifeless, has been refused memory, or has believed others for long enough.
    pub fn have_news(&self, now: Nanos) -> bool {
        let due = |set: &BTreeSet<(Nanos, TenantId)>| set.first().is_some_and(|(at, _)| *at <= now);
        !self.halted.is_empty() || due(&self.silent) || due(&self.unseen) || due(&self.doubting)
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

impl Core {
    /// What the device knows of the tenant.
    pub(crate) fn standing(&self, id: TenantId, device: DeviceId) -> &Standing {
        let standing = self.tenants.get(&id).and_then(|tenant| tenant.standings.get(&device));
        standing.map_or(&self.nowhere, |standing| standing)
    }

    /// Something about the tenant has changed.
    pub(crate) fn changed(&mut self, id: TenantId) {
        let silence = self.settings.silence;
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        let names: Vec<DeviceId> = tenant.devices.keys().copied().collect();
        for name in names {
            let Some(device) = self.devices.get_mut(&name) else { continue };
            let is = Standing::of(tenant, id, name, device, silence);
            let kept = tenant.standings.entry(name).or_default();
            if **kept != is {
                device.standings.change(id, **kept, is);
                **kept = is;
            }
            self.touched.insert(name);
        }
    }

    /// The device's last word of the tenant, which is gone.
    pub(crate) fn forget_standing(&mut self, id: TenantId, tenant: &Tenant, device: DeviceId) {
        let was = tenant.standings.get(&device).map_or_else(Standing::default, |was| **was);
        if let Some(device) = self.devices.get_mut(&device) {
            device.standings.change(id, was, Standing::default());
        }
    }
}

#[cfg(test)]
impl Core {
    /// As it has to be, found out the long way round.
    pub(crate) fn true_standings(&self, device: DeviceId) -> Standings {
        let mut standings = Standings::default();
        for (id, tenant) in self.tenants.iter() {
            let is = Standing::of(tenant, *id, device, &self.devices[&device], self.settings.silence);
            standings.change(*id, Standing::default(), is);
        }
        standings
    }
}
