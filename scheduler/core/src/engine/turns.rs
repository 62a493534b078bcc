//! A turn's length is set when its memory is there, and anew when a setting changes.
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::lease::Lease;
use crate::model::tenant::Tenant;
use crate::policy::{interactive, quantum};
use nvshare_protocol::Nanos;

/// How long the tenant's turn lasts, and until when no interactive tenant preempts it, by what the settings, its weight
/// and the cost of hand-overs say now.
pub(crate) fn length(
    model: &Model,
    tenant: &Tenant,
    lease: &Lease,
    ready_at: Option<Nanos>,
) -> (Nanos, Nanos) {
    let whole = || quantum::longest_quantum(model, lease.quantum_devices.iter(), tenant);
    let quantum = lease.continues.map_or_else(whole, |turn| turn.remaining);
    (quantum, interactive::preemptible_at(model, lease, ready_at))
}

/// The tenant's turn, should it have one, lasts as long as that says now.
pub(crate) fn update_turn(model: &mut Model, id: TenantId) {
    let Some((tenant, lease)) = model.tenants.get(&id).zip(model.lease(id)) else { return };
    let length = length(model, tenant, lease, lease.ready_at);
    model.update_lease(id, |lease| (lease.quantum, lease.preemptible_at) = length);
}

/// The same of all tenants.
pub(crate) fn update_turns(model: &mut Model) {
    let ids: Vec<TenantId> = model.tenants.iter().map(|(id, _)| *id).collect();
    ids.into_iter().for_each(|id| update_turn(model, id));
}
