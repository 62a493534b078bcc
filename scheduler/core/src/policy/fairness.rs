//! Fairness between owners. They are served in rounds, however many tenants each has: the second request of an owner
//! stands behind the first ones of all others. Time that an owner's tenants kept from others beyond their turns is a
//! debt.
use crate::model::Model;
use crate::model::decay::HeldTime;
use crate::model::ids::TenantId;
use crate::model::lease::Lease;
use crate::model::request::{Request, Throttle, Wait};
use crate::policy::liveness::{MIN_FETCH_RATE, transfer_time};
use crate::policy::{admission, bandwidth};
use nvshare_protocol::{DeviceId, Nanos};

/// An answer may be this late, beyond the time that its memory takes, without a debt.
const FREE_LATENESS: Nanos = Nanos::from_millis(500);

/// How much time tenants of other owners have lost by a lease that ends within its bounds, and whether its tenant gave no
/// sign of life. None if that counts for nothing. If the turn never began and was given back, the whole turn is lost.
/// Otherwise the lost time begins at the revocation. The time that moving the lease's memory takes is not lost.
pub(crate) fn lateness(
    model: &Model,
    id: TenantId,
    lease: &Lease,
    given_back: bool,
) -> Option<(Nanos, bool)> {
    if lease.is_unresponsive() || !others_wait_for(model, id, lease) {
        return None;
    }
    let (since, moves, silent) = match (lease.ready_at, lease.revocation()) {
        // The turn never began: it was a trial, or the tenant did not give the lease back.
        (None, _) if lease.is_trial || !given_back => return None,
        (None, _) => (lease.granted_at, lease.peak_resident - lease.resident_at_grant, true),
        (Some(_), Some(revocation)) => (revocation.first_at, revocation.resident_at_start, false),
        (Some(_), None) => return None,
    };
    let since = since.max(lease.contended_since);
    let due = since.saturating_add(transfer_time(moves, MIN_FETCH_RATE)).saturating_add(FREE_LATENESS);
    Some((model.now.saturating_sub(due), silent))
}

/// Whether a tenant of another owner waits for one of the lease's devices, and the holder was told so.
pub(crate) fn others_wait_for(model: &Model, id: TenantId, lease: &Lease) -> bool {
    let owner = model.owner_of(id);
    let waits = |device: &DeviceId| {
        model.devices[device].queue().waiting().any(|other| model.owner_of(other) != owner)
    };
    lease.contended && lease.devices.iter().any(waits)
}

/// Until when the tenant is throttled for its owner's debt: only while tenants of others wait for one of its devices,
/// or would have to leave one for it.
pub(crate) fn debt_blocks_until(model: &Model, id: TenantId) -> Option<Nanos> {
    if model.debts.is_empty() {
        return None;
    }
    let owner = model.owner_of(id);
    let until = model.debts.get(&owner).copied().filter(|until| *until > model.now)?;
    let is_other = |other: TenantId| model.owner_of(other) != owner;
    let devices = model.tenants.get(&id).into_iter().flat_map(|tenant| tenant.devices.keys());
    let waits = devices.flat_map(|device| model.devices[device].queue().waiting()).any(is_other);
    (waits || admission::conflicting_holders(model, id).into_iter().any(is_other)).then_some(until)
}

pub(crate) fn is_in_debt(model: &Model, id: TenantId) -> bool {
    let in_debt = |request: &Request| matches!(request.wait, Wait::Throttled { why: Throttle::Debt, .. });
    model.request(id).is_some_and(in_debt) && bandwidth::quota_blocks_until(model, id).is_none()
}

/// Whether the owner's interactive tenants have recently had less than its fair part of the device's time, hand-overs
/// included.
pub(crate) fn may_boost(model: &Model, id: TenantId, device: DeviceId) -> bool {
    let owner = model.owner_of(id);
    let owners = &model.devices[&device].index().owners;
    let others = (owners.len() - usize::from(owners.contains_key(&owner))) as u64;
    let boosted = model.accounts.get(&owner).map(|account| account.boosted.at(model.now)).unwrap_or_default();
    boosted < Nanos(HeldTime::ALWAYS.0 / (others + 1).max(2))
}
