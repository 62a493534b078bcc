//! A tenant asks for a turn.
use crate::engine::{queueing, rounds};
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::preempted::PreemptedTurn;
use crate::model::queue_key::Class;
use crate::model::request::Request;
use crate::model::tenant::Stage;
use crate::policy::interactive;

/// The tenant asks for its devices, after a turn that was ended.
fn note_early_return(model: &mut Model, id: TenantId, turn: PreemptedTurn) {
    let (went, since) =
        (turn.ended_at.saturating_sub(turn.revoked_at), model.now.saturating_sub(turn.revoked_at));
    if !turn.was_idle || since.0 / 3 > went.0 / 2 {
        return;
    }
    let devices = model.tenants.get(&id).into_iter().flat_map(|tenant| tenant.devices.keys());
    for device in devices {
        if let Some(device) = model.devices.get_mut(device) {
            device.thrash.add(model.now, went);
        }
    }
}

pub(crate) fn on_requested(model: &mut Model, id: TenantId) {
    let Some(tenant) = model.tenants.get_mut(&id).filter(|_| model.enabled) else { return };
    match &mut tenant.stage {
        Stage::Idle => {
            tenant.claims_hold = false;
            request_turn(model, id);
        }
        Stage::Leased(lease) if lease.revocation.is_some() => lease.rerequested = true,
        Stage::Leased(lease) if lease.hold_until > model.now => {
            lease.idle_since = None;
            model.reindex(id);
        }
        Stage::Waiting(_) | Stage::Leased(_) => {}
    }
}

/// At the end of the line for each of its devices.
pub(crate) fn request_turn(model: &mut Model, id: TenantId) {
    if let Some(turn) = model.tenants.get(&id).and_then(|tenant| tenant.preempted) {
        note_early_return(model, id, turn);
    }
    let (now, eager) = (model.now, interactive::is_interactive(model, id));
    let Some(tenant) = model.tenants.get_mut(&id) else { return };
    let broken_off = tenant.preempted.take().filter(|turn| turn.may_resume(now));
    let goes_on = broken_off.filter(|_| !eager);
    let class = match goes_on {
        _ if eager => Class::Interactive,
        Some(_) => Class::Continuing,
        None => Class::Regular,
    };
    let (priority, stopped) = (tenant.priority, tenant.is_stopped);
    let place = rounds::next_key(model, id, priority, class);
    let request = Request {
        key: place,
        since: now,
        requested_at: broken_off.map_or(now, |turn| turn.requested_at),
        priority,
        starved: false,
        unblocked_since: None,
        parked: false,
        throttled_until: None,
        throttled_since: now,
        in_debt: false,
        stopped,
        interactive: eager,
        continues: goes_on,
    };
    if let Some(tenant) = model.tenants.get_mut(&id) {
        tenant.stage = Stage::Waiting(request);
    }
    if request.is_queued() {
        queueing::enqueue(model, id);
    } else {
        model.reindex(id);
    }
}
