//! Holders that no longer fit together.
use crate::engine::state::Engine;
use crate::engine::{leases, rounds};
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::lease::Lease;
use crate::policy::admission;
use nvshare_protocol::DeviceId;

/// The device has less room than before: if its holders do not fit any more, as many as necessary leave, the newest
/// last.
pub(crate) fn resolve_shrink(engine: &mut Engine, device: DeviceId) {
    let holders = engine.model.devices.get(&device).into_iter().flat_map(|at| &at.index().holders).copied();
    let youngest = holders.max_by_key(|id| engine.model.lease(*id).map(|lease| lease.granted_at));
    if let Some(id) = youngest {
        revoke_all(engine, admission::victims_on(&engine.model, device, id));
    }
}

/// A holder has grown, and may no longer fit beside the others. Those whose turns are over leave, if that is enough.
/// Otherwise the holder itself leaves and waits again: nobody's turn ends early because another has grown.
pub(crate) fn resolve_growth(engine: &mut Engine, id: TenantId, device: DeviceId) {
    if !admission::shares_devices(&engine.model)
        || !engine.model.devices[&device].index().holders.contains(&id)
    {
        return;
    }
    let victims = admission::victims_on(&engine.model, device, id);
    let goes_on = |lease: &Lease| !lease.is_revoked() && lease.turn_end() > engine.model.now;
    if !victims.iter().any(|other| engine.model.lease(*other).is_some_and(goes_on)) {
        return revoke_all(engine, victims);
    }
    if stays_as_gang(&engine.model, id, &victims) {
        return push_out(engine, id, &victims);
    }
    if engine.model.lease(id).is_some_and(|lease| !lease.is_revoked()) {
        engine.model.update_lease(id, |lease| lease.rerequested = true);
        leases::revoke(engine, id);
    }
}

/// A gang that has grown may not be able to leave: its other members may wait, in their kernels, for the one that waits
/// for room. So those of its priority or less leave for it, unless its owner is in debt. Its own turn ends when it would have ended.
fn stays_as_gang(model: &Model, id: TenantId, victims: &[TenantId]) -> bool {
    let Some(gang) = model.tenants.get(&id).filter(|tenant| tenant.gang.is_some()) else { return false };
    let rank = |id: TenantId| model.lease(id).map(Lease::rank);
    let own = gang.lease().map(Lease::rank);
    if model.debts.get(&model.owner_of(id)).is_some_and(|until| *until > model.now) {
        return false;
    }
    victims.iter().all(|other| rank(*other) <= own)
}

/// The gang's owner owes others a turn, as for silence: a gang may say that it has grown whenever it likes.
fn push_out(engine: &mut Engine, gang: TenantId, holders: &[TenantId]) {
    let owner = engine.model.owner_of(gang);
    let turn = engine.model.lease(gang).map(|lease| lease.quantum).unwrap_or_default();
    let are_others = holders.iter().any(|id| engine.model.owner_of(*id) != owner);
    if are_others {
        rounds::charge(&mut engine.model, gang, turn, true);
    }
    for &id in holders {
        if engine.model.lease(id).is_some_and(|lease| !lease.is_revoked()) {
            leases::preempt(engine, id);
        }
    }
}

fn revoke_all(engine: &mut Engine, holders: Vec<TenantId>) {
    for id in holders {
        if engine.model.lease(id).is_some_and(|lease| !lease.is_revoked()) {
            leases::revoke(engine, id);
        }
    }
}
