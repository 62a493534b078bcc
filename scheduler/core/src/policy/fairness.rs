//! Whose tenants are whose. Owners are served in turn, however many tenants each has: the second request of an owner stands
//! behind the first ones of all others. What an owner's tenants have kept from others beyond their turns is paid back.
use crate::Core;
use crate::engine::schedule::{MIN_FETCH_RATE, transfer_time};
use crate::event::TenantId;
use crate::model::lease::Lease;
use crate::model::tenant::{Request, Stage, Tenant};
use crate::policy::interactive::{DecayingSum, HeldTime};
use crate::policy::priority::{Class, Priority, queue_key, round_of};
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::{BTreeMap, BTreeSet};

/// Who gives no sign of life when told to do something pays so many times the time that others have lost by it: so these
/// have four fifths of the time in the long run. Who says that its work does not end pays less.
const SILENCE_FACTOR: u64 = 4;
const OVERRUN_FACTOR: u64 = 2;
/// So late, beyond the time that its memory takes, may an answer be that costs its owner nothing.
const FREE_LATENESS: Nanos = Nanos::from_millis(500);
/// No debt is longer.
const MAX_DEBT: Nanos = Nanos(600 * Nanos::SECOND.0);

/// A user or a container, by a number of the daemon's; or a tenant of which nothing is known, by its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Tenant(TenantId),
    Named(u64),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct OwnerAccount {
    tenants: usize,
    /// The rounds in which its next requests of each priority are served: at each device, and of tenants with several.
    next_rounds: BTreeMap<(Option<DeviceId>, Priority), u64>,
    /// Time that its tenants had devices because they came before others.
    boosted: HeldTime,
}

impl Core {
    pub(crate) fn owner_of(&self, id: TenantId) -> Owner {
        self.tenants.get(&id).and_then(|tenant| tenant.owner).unwrap_or(Owner::Tenant(id))
    }

    /// The tenant is there.
    pub(crate) fn open_account(&mut self, id: TenantId) {
        let owner = self.owner_of(id);
        self.accounts.entry(owner).or_default().tenants += 1;
    }

    /// It is gone.
    pub(crate) fn close_account(&mut self, owner: Owner) {
        let Some(account) = self.accounts.get_mut(&owner) else { return };
        account.tenants = account.tenants.saturating_sub(1);
        if account.tenants == 0 {
            self.accounts.remove(&owner);
        }
    }

    /// It is this owner's from now on.
    pub(crate) fn on_owner(&mut self, id: TenantId, owner: u64) {
        if self.tenants.get(&id).is_none() {
            return;
        }
        self.close_account(self.owner_of(id));
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.owner = Some(Owner::Named(owner));
        }
        self.open_account(id);
        self.reindex(id);
    }

    /// A place in line for the tenant's next turn: behind all requests of its owner's, and behind the first ones of others.
    /// One that uses several devices has a place at each, too.
    pub(crate) fn next_key(&mut self, id: TenantId, priority: Priority, class: Class) -> u64 {
        self.arrivals += 1;
        let devices = self.devices_of(id);
        match devices[..] {
            // It stands in no line yet.
            [] => queue_key(priority, class, self.served_round, self.arrivals),
            [device] => self.new_key(id, Some(device), priority, class),
            _ => {
                for device in devices {
                    self.assign_device_key(id, device, priority, class);
                }
                self.new_key(id, None, priority, class)
            }
        }
    }

    /// Where one that uses several devices stands among those that use this one alone.
    pub(crate) fn assign_device_key(
        &mut self,
        id: TenantId,
        device: DeviceId,
        priority: Priority,
        class: Class,
    ) {
        let here = self.new_key(id, Some(device), priority, class);
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.keys.insert(device, here);
        }
    }

    /// None: among those that use several devices.
    pub(crate) fn new_key(
        &mut self,
        id: TenantId,
        device: Option<DeviceId>,
        priority: Priority,
        class: Class,
    ) -> u64 {
        let at = device.and_then(|device| self.devices.get(&device));
        let served = at.map_or(self.served_round, |at| at.served_round);
        let owner = self.owner_of(id);
        // The round that is being served is closed to newcomers: those who come under new names do not prolong it.
        let next = self
            .accounts
            .entry(owner)
            .or_default()
            .next_rounds
            .entry((device, priority))
            .or_insert(served + 1);
        let round = served.max(*next);
        // The rest of a turn is no new one.
        if class != Class::Continuing {
            *next = round + 1;
        }
        queue_key(priority, class, round, self.arrivals)
    }

    /// The tenant's request, which stood there, is served.
    pub(crate) fn mark_served(&mut self, id: TenantId, place: u64) {
        let Some(tenant) = self.tenants.get(&id) else { return };
        let several = tenant.devices.len() > 1;
        if several {
            self.served_round = self.served_round.max(round_of(place));
        }
        for device in tenant.devices.keys() {
            let here = tenant.keys.get(device).copied().filter(|_| several).unwrap_or(place);
            if let Some(at) = self.devices.get_mut(device) {
                at.served_round = at.served_round.max(round_of(here));
            }
        }
    }

    /// The request was not served: it counts as no round of its owner's.
    pub(crate) fn refund_round(&mut self, id: TenantId, request: &Request) {
        let Some(tenant) = self.tenants.get(&id).filter(|_| request.continues.is_none()) else { return };
        let several = tenant.devices.len() > 1;
        let at = tenant.devices.keys().map(|device| Some(*device)).chain(several.then_some(None));
        let owner = self.owner_of(id);
        let Some(account) = self.accounts.get_mut(&owner) else { return };
        for device in at {
            if let Some(next) = account.next_rounds.get_mut(&(device, request.priority)) {
                *next = next.saturating_sub(1);
            }
        }
    }

    /// Nobody uses the device any more.
    pub(crate) fn drop_rounds(&mut self, device: DeviceId) {
        for account in self.accounts.values_mut() {
            account.next_rounds.retain(|(at, _), _| *at != Some(device));
        }
    }

    /// Time that others have lost because the tenant kept its devices beyond its turn: its owner's tenants stand back for twice
    /// as long, or four times where it gave no sign of life. The caller knows that others waited.
    pub(crate) fn charge(&mut self, id: TenantId, lost: Nanos, silent: bool) {
        if lost == Nanos::ZERO {
            return;
        }
        let times = if silent { SILENCE_FACTOR } else { OVERRUN_FACTOR };
        let (now, owner) = (self.now, self.owner_of(id));
        // Debts of those who have gone are remembered until they are over.
        self.debts.retain(|_, until| *until > now);
        let until = self.debts.entry(owner).or_insert(now);
        *until = until.saturating_add(Nanos(lost.0.saturating_mul(times))).min(now.saturating_add(MAX_DEBT));
    }

    /// A turn ends within its bounds. What others lost by it counts all the same: all of one that never began and that the
    /// tenant gave back, and what lasted longer after the revocation than its memory takes to move.
    pub(crate) fn charge_lateness(&mut self, id: TenantId, lease: &Lease, given_back: bool) {
        if lease.unresponsive || !self.others_wait_for(id, lease) {
            return;
        }
        let (since, moves, silent) = match (lease.ready_at, lease.revocation) {
            // It finds out whether others have said the truth.
            (None, _) if lease.is_trial || !given_back => return,
            (None, _) => (lease.granted_at, lease.peak_resident - lease.resident_at_grant, true),
            (_, Some(revocation)) => (revocation.first_at, revocation.resident_at_start, false),
            _ => return,
        };
        let since = since.max(lease.contended_since);
        let due = since.saturating_add(transfer_time(moves, MIN_FETCH_RATE)).saturating_add(FREE_LATENESS);
        self.charge(id, self.now.saturating_sub(due), silent);
    }

    /// Whether a tenant of another owner waits for one of the lease's devices, and it was told so.
    pub(crate) fn others_wait_for(&self, id: TenantId, lease: &Lease) -> bool {
        let owner = self.owner_of(id);
        let waits = |device: &DeviceId| {
            self.devices[device].queue.waiting().any(|other| self.owner_of(other) != owner)
        };
        lease.contended && lease.devices.iter().any(waits)
    }

    /// Until when the tenant stands back for what its owner owes to others: as long as some of these stand in line for one of
    /// its devices, or would have to leave one for it.
    pub(crate) fn debt_blocks_until(&self, id: TenantId) -> Option<Nanos> {
        if self.debts.is_empty() {
            return None;
        }
        let owner = self.owner_of(id);
        let until = self.debts.get(&owner).copied().filter(|until| *until > self.now)?;
        let is_other = |other: TenantId| self.owner_of(other) != owner;
        let devices = self.tenants.get(&id).into_iter().flat_map(|tenant| tenant.devices.keys());
        let waits = devices.flat_map(|device| self.devices[device].queue.waiting()).any(is_other);
        (waits || self.conflicting_holders(id).into_iter().any(is_other)).then_some(until)
    }

    /// Who stands back for a debt stands in line again where nobody else does and nobody has to leave for it; of several, the
    /// one whose debt is over first.
    pub(crate) fn release_idle_debtors(&mut self, devices: &BTreeSet<DeviceId>) {
        if self.debts.is_empty() {
            return;
        }
        for &device in devices {
            let Some(at) = self.devices.get(&device).filter(|at| at.queue.is_empty()) else { continue };
            let debtors = at.index.throttled.iter().map(|(_, id)| *id);
            let Some(id) =
                debtors.filter(|id| self.is_in_debt(*id)).find(|id| self.debt_blocks_until(*id).is_none())
            else {
                continue;
            };
            self.unthrottle(id);
        }
    }

    fn is_in_debt(&self, id: TenantId) -> bool {
        let tenant = self.tenants.get(&id);
        let defers = |tenant: &Tenant| matches!(&tenant.stage, Stage::Waiting(request) if request.in_debt);
        tenant.is_some_and(defers) && self.quota_blocks_until(id).is_none()
    }

    /// Whether the owner's tenants have had the device for less than its fair part of the time, of late, because they came
    /// before others: hand-overs to them count too.
    pub(crate) fn may_boost(&self, id: TenantId, device: DeviceId) -> bool {
        let owner = self.owner_of(id);
        let owners = &self.devices[&device].index.owners;
        let others = (owners.len() - usize::from(owners.contains_key(&owner))) as u64;
        let hasty = self.accounts.get(&owner).map(|account| account.boosted.at(self.now)).unwrap_or_default();
        hasty < Nanos(HeldTime::ALWAYS.0 / (others + 1).max(2))
    }

    pub(crate) fn charge_boost(&mut self, id: TenantId, held: Nanos) {
        let (now, owner) = (self.now, self.owner_of(id));
        if let Some(account) = self.accounts.get_mut(&owner) {
            DecayingSum::add(&mut account.boosted, now, held);
        }
    }
}

impl Tenant {
    /// Whether it wants a device, or has one.
    pub(crate) fn competes(&self) -> bool {
        match &self.stage {
            Stage::Idle => false,
            Stage::Waiting(_) => true,
            Stage::Leased(lease) => !lease.unresponsive,
        }
    }
}
