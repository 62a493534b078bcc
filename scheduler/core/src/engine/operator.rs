//! What an operator sets.
use crate::Core;
use crate::engine::{leases, queueing, turns};
use crate::event::Action;
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::priority::Priority;
use crate::model::tenant::Stage;

/// Of the tenant, for its present request or turn as for those to come.
pub(crate) fn on_priority(model: &mut Model, id: TenantId, priority: Priority) {
    let Some(tenant) = model.tenants.get_mut(&id) else { return };
    tenant.priority = priority;
    match &mut tenant.stage {
        Stage::Idle => {}
        Stage::Waiting(request) if request.starved => {}
        Stage::Waiting(request) => {
            request.priority = priority;
            queueing::rekey(model, id, |was| was.with_priority(priority));
        }
        Stage::Leased(lease) => lease.priority = priority,
    }
    model.reindex(id);
}

pub(crate) fn on_enabled(core: &mut Core, enabled: bool) {
    if std::mem::replace(&mut core.model.enabled, enabled) == enabled {
        return;
    }
    let ids: Vec<TenantId> = core.model.tenants.iter().map(|(id, _)| *id).collect();
    for tenant in ids {
        leases::end_stage(core, tenant, None);
        if let Some(tenant) = core.model.tenants.get_mut(&tenant) {
            tenant.claims_hold = false;
        }
        core.actions.push(Action::Enabled { tenant, enabled });
    }
}

pub(crate) fn on_weight(model: &mut Model, id: TenantId, weight: u32) {
    if let Some(tenant) = model.tenants.get_mut(&id) {
        tenant.weight = weight.clamp(1, crate::model::settings::MAX_WEIGHT);
    }
    turns::update_turn(model, id);
    model.reindex(id);
}
