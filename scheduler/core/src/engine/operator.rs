//! What an operator sets.
use crate::engine::state::Engine;
use crate::engine::{contention, growth, leases, migration, queueing, turns};
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

/// The tenant has no more turns, or has them again. The time of the pause is not time in which others kept it waiting.
pub(crate) fn on_paused(engine: &mut Engine, id: TenantId, paused: bool) {
    let model = &mut engine.model;
    if model.tenants.get(&id).is_none_or(|tenant| tenant.is_paused == paused) {
        return;
    }
    model.update(id, |tenant| tenant.is_paused = paused);
    if paused {
        queueing::pause(model, id);
        contention::notify_if_contended(engine, id);
        leases::dismiss(engine, id);
    } else {
        queueing::resume(model, id);
        contention::notify_if_contended(engine, id);
    }
}

/// All that the tenant can move is moved out, now or when it has left.
pub(crate) fn on_move_out(engine: &mut Engine, id: TenantId) {
    if engine.model.lease(id).is_none() {
        return migration::evict_all(engine, id);
    }
    engine.model.update(id, |tenant| tenant.evicts_all = true);
    leases::dismiss(engine, id);
}

/// Other rules from now on.
pub(crate) fn on_set_rules(engine: &mut Engine, rules: Settings) {
    let rules = rules.checked();
    engine.model.update_settings(|settings| {
        *settings = Settings { grace: settings.grace, record: settings.record, ..rules };
    });
    turns::update_turns(&mut engine.model);
    resolve_shrinks(engine);
}

/// Holders that do not fit together any more leave.
fn resolve_shrinks(engine: &mut Engine) {
    let devices: Vec<DeviceId> = engine.model.devices.keys().copied().collect();
    devices.into_iter().for_each(|device| growth::resolve_shrink(engine, device));
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
    resolve_shrinks(engine);
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
