//! Holders that no longer fit together.
use crate::Core;
use crate::engine::leases;
use crate::model::ids::TenantId;
use crate::model::lease::Lease;
use crate::policy::admission;
use nvshare_protocol::DeviceId;

/// Holders that fitted may not any more: all but the youngest leave, as far as must be.
pub(crate) fn resolve_shrink(core: &mut Core, device: DeviceId) {
    let holders = core.model.devices.get(&device).into_iter().flat_map(|at| &at.holders).copied();
    let youngest = holders.max_by_key(|id| core.model.lease(*id).map(|lease| lease.granted_at));
    if let Some(id) = youngest {
        revoke_all(core, admission::victims_on(&core.model, device, id));
    }
}

/// A holder has grown, and no longer fits beside the others. Those whose turns are over leave, if that is enough;
/// otherwise it leaves itself, and has its turn when it is next: nobody's turn ends early because another has grown.
pub(crate) fn resolve_growth(core: &mut Core, id: TenantId, device: DeviceId) {
    if !admission::shares_devices(&core.model) || !core.model.devices[&device].holders.contains(&id) {
        return;
    }
    let way = admission::victims_on(&core.model, device, id);
    let stays = |lease: &Lease| lease.revocation.is_none() && lease.turn_end() > core.model.now;
    if !way.iter().any(|other| core.model.lease(*other).is_some_and(stays)) {
        return revoke_all(core, way);
    }
    if let Some(lease) = core.model.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut())
        && lease.revocation.is_none()
    {
        lease.rerequested = true;
        leases::revoke(core, id);
    }
}

fn revoke_all(core: &mut Core, holders: Vec<TenantId>) {
    for id in holders {
        if core.model.lease(id).is_some_and(|lease| lease.revocation.is_none()) {
            leases::revoke(core, id);
        }
    }
}
