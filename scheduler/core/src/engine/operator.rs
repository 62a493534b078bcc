//! What an operator sets.
use crate::engine::state::Engine;
use crate::engine::{growth, leases, turns};
use crate::event::Action;
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::priority::Priority;
use crate::model::settings::{EvictMode, MAX_WEIGHT, Quantum, Settings};
use crate::model::tenant::Stage;
use nvshare_protocol::{DeviceId, Nanos};

/// The tenant's priority, for its present request or turn as for later ones.
pub(crate) fn on_priority(model: &mut Model, id: TenantId, priority: Priority) {
    model.update(id, |tenant| {
        tenant.priority = priority;
        match &mut tenant.stage {
            Stage::Idle => {}
            Stage::Waiting(request) if request.starved => {}
            Stage::Waiting(request) => {
                request.priority = priority;
                request.place.change(|key| key.with_priority(priority));
            }
            Stage::Leased(lease) => lease.priority = priority,
        }
    });
}

/// The tenant's turns last so many times as long as those of others.
pub(crate) fn on_weight(model: &mut Model, id: TenantId, weight: u32) {
    model.update(id, |tenant| tenant.weight = weight.clamp(1, MAX_WEIGHT));
    turns::update_turn(model, id);
}

/// How long turns last where nothing else is said.
pub(crate) fn on_set_quantum(model: &mut Model, quantum: Nanos) {
    set_turns(model, |settings| settings.quantum = Quantum::Fixed(quantum).checked());
}

/// Turns last as what hand-overs cost says.
pub(crate) fn on_set_auto(model: &mut Model) {
    set_turns(model, |settings| settings.quantum = Quantum::Auto);
}

/// How long turns last on one device; none: as on the others.
pub(crate) fn on_set_device_quantum(model: &mut Model, device: DeviceId, quantum: Option<Quantum>) {
    set_turns(model, |settings| {
        match quantum {
            Some(quantum) => settings.quanta.insert(device, quantum.checked()),
            None => settings.quanta.remove(&device),
        };
    });
}

fn set_turns(model: &mut Model, change: impl FnOnce(&mut Settings)) {
    model.update_settings(change);
    turns::update_turns(model);
}

/// What tenants that lose their turns move out.
pub(crate) fn on_set_evict(engine: &mut Engine, mode: EvictMode) {
    engine.model.update_settings(|settings| settings.evict = mode);
    let devices: Vec<DeviceId> = engine.model.devices.keys().copied().collect();
    devices.into_iter().for_each(|device| growth::resolve_shrink(engine, device));
}

/// Switched off, nobody holds and nobody waits.
pub(crate) fn on_set_enabled(engine: &mut Engine, enabled: bool) {
    if std::mem::replace(&mut engine.model.enabled, enabled) == enabled {
        return;
    }
    let ids: Vec<TenantId> = engine.model.tenants.iter().map(|(id, _)| *id).collect();
    for tenant in ids {
        leases::end_stage(engine, tenant, None);
        engine.model.update(tenant, |tenant| tenant.claims_hold = false);
        engine.actions.push(Action::Enabled { tenant, enabled });
    }
}
