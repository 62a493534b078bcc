//! A turn's length is set when its memory is there, and anew when a setting changes.
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::policy::{interactive, quantum};

/// The tenant's turn, should it have one, lasts as long as the settings, its weight and what hand-overs cost say now.
pub(crate) fn update_turn(model: &mut Model, id: TenantId) {
    let Some(tenant) = model.tenants.get(&id) else { return };
    let Some(lease) = tenant.lease() else { return };
    let whole = || quantum::longest_quantum(model, lease.quantum_devices.iter(), tenant);
    let quantum = lease.continues.map_or_else(whole, |turn| turn.remaining);
    let preemptible_at = interactive::preemptible_at(model, lease);
    model.update_lease(id, |lease| (lease.quantum, lease.preemptible_at) = (quantum, preemptible_at));
}

/// The same of all tenants.
pub(crate) fn update_turns(model: &mut Model) {
    let ids: Vec<TenantId> = model.tenants.iter().map(|(id, _)| *id).collect();
    ids.into_iter().for_each(|id| update_turn(model, id));
}
