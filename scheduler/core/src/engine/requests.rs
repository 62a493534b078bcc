//! A tenant asks for a turn.
use crate::engine::rounds;
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::preempted::PreemptedTurn;
use crate::model::queue_key::Class;
use crate::model::request::{Request, Wait};
use crate::model::tenant::Stage;
use crate::policy::interactive;

/// The tenant asks for its devices again after a turn that was ended. If that was for idleness, and it comes back
/// before one and a half times as long has passed as its leaving took, the hand-over was wasted.
fn note_early_return(model: &mut Model, id: TenantId, turn: PreemptedTurn) {
    let now = model.now;
    let (took, since) = (turn.ended_at.saturating_sub(turn.revoked_at), now.saturating_sub(turn.revoked_at));
    if !turn.was_idle || since.0 / 3 > took.0 / 2 {
        return;
    }
    for device in model.devices_of(id) {
        model.update_device(device, |device| device.thrash.add(now, took));
    }
}

/// The tenant has work: it asks for a turn, or for another one after this, or goes on with this one.
pub(crate) fn on_requested(model: &mut Model, id: TenantId) {
    let now = model.now;
    let Some(tenant) = model.tenants.get(&id).filter(|_| model.enabled) else { return };
    match &tenant.stage {
        Stage::Idle => request_turn(model, id),
        Stage::Leased(lease) if lease.is_revoked() => {
            model.update_lease(id, |lease| lease.rerequested = true);
        }
        Stage::Leased(lease) if lease.hold_until > now => {
            model.update_lease(id, |lease| lease.idle_since = None);
        }
        Stage::Waiting(_) | Stage::Leased(_) => {}
    }
}

/// The tenant waits for all its devices, at the end of their queues.
pub(crate) fn request_turn(model: &mut Model, id: TenantId) {
    if let Some(turn) = model.tenants.get(&id).and_then(|tenant| tenant.preempted) {
        note_early_return(model, id, turn);
    }
    let (now, interactive) = (model.now, interactive::is_interactive(model, id));
    let Some(tenant) = model.tenants.get(&id) else { return };
    let resumable = tenant.preempted.filter(|turn| turn.may_resume(now));
    let continues = resumable.filter(|_| !interactive);
    let class = match continues {
        _ if interactive => Class::Interactive,
        Some(_) => Class::Continuing,
        None => Class::Regular,
    };
    let (priority, devices) = (tenant.priority, model.devices_of(id));
    let wait = if tenant.is_paused { Wait::Paused { since: now } } else { Wait::Queued };
    let request = Request {
        place: rounds::next_place(model, id, &devices, priority, class),
        since: now,
        requested_at: resumable.map_or(now, |turn| turn.requested_at),
        priority,
        starved: false,
        unblocked_since: None,
        wait,
        interactive,
        continues,
    };
    model.update(id, |tenant| {
        tenant.claims_hold = false;
        tenant.preempted = None;
        tenant.stage = Stage::Waiting(Box::new(request));
    });
}
