//! Requests that have starved are promoted.
use crate::model::Model;
use crate::model::ids::{Owner, TenantId};
use crate::model::priority::Priority;
use crate::model::queue_key::QueueKey;
use crate::model::tenant::Tenant;
use crate::policy::priority;
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

/// Requests that have waited for too long while higher ones were served are promoted.
pub(crate) fn promote_starved(model: &mut Model, devices: &BTreeSet<DeviceId>) {
    for &device in devices {
        loop {
            let due = priority::starving_at(model, device).find(|(at, _)| *at <= model.now);
            let Some((_, id)) = due else { break };
            promote(model, id);
        }
    }
}

/// At each device, one of an owner's tenants is promoted at a time: for the others the time of starving begins anew.
fn restart_starvation_of_kin(model: &mut Model, id: TenantId) {
    let (now, owner) = (model.now, model.owner_of(id));
    let Owner::Named(_) = owner else { return };
    let Some(raised) = model.tenants.get(&id) else { return };
    let shares = |tenant: &Tenant| tenant.devices.keys().any(|device| raised.devices.contains_key(device));
    let kin = model.tenants.iter().filter(|(other, tenant)| **other != id && tenant.owner == Some(owner));
    let kin = kin.filter(|(_, tenant)| shares(tenant));
    let kin: Vec<TenantId> = kin.map(|(id, _)| *id).collect();
    for other in kin {
        if model.request(other).is_some_and(|request| !request.starved) {
            model.update_request(other, |request| request.requested_at = now);
        }
    }
}

/// It counts as one of high priority.
fn promote(model: &mut Model, id: TenantId) {
    model.update_request(id, |request| {
        (request.priority, request.starved, request.interactive, request.continues) =
            (Priority::High, true, false, None);
        request.place.change(QueueKey::promoted);
    });
    restart_starvation_of_kin(model, id);
}
