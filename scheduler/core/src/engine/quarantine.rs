//! Holders that give no sign of life lose their turns where others wait.
use crate::engine::state::Engine;
use crate::engine::{leases, trust};
use crate::event::Stuck;
use crate::model::ids::TenantId;
use crate::policy::admission;
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

/// Takes the turn from a lifeless holder, if another tenant waits for it. A holder is lifeless if its process is stopped.
/// It is lifeless if it was granted a device and gives no sign of life. It is lifeless also if it only claims to hold
/// since before this scheduler started, and does not answer.
pub(crate) fn quarantine_lifeless(engine: &mut Engine, devices: &BTreeSet<DeviceId>) {
    for id in engine.model.collect_at(devices, |index| &index.stopped_holders) {
        if engine.model.lease(id).is_some_and(|lease| admission::is_waited_for(&engine.model, lease)) {
            give_up(engine, id, Stuck::Stopped);
        }
    }
    for &device in devices {
        let Some(at) = engine.model.devices.get(&device).filter(|at| !at.queue().is_empty()) else {
            continue;
        };
        let due = at.index().liveness_timers.iter().take_while(|(by, _)| *by <= engine.model.now);
        let due: Vec<TenantId> = due.map(|(_, id)| *id).collect();
        due.into_iter().for_each(|id| quarantine_silent(engine, id));
    }
}

fn quarantine_silent(engine: &mut Engine, id: TenantId) {
    match engine.model.lease(id).and_then(|lease| lease.revocation()) {
        None => give_up(engine, id, Stuck::Silent),
        Some(revocation) => {
            give_up(engine, id, Stuck::NoAnswer);
            trust::doubt_claims_since(&mut engine.model, id, revocation.first_at);
        }
    }
}

fn give_up(engine: &mut Engine, id: TenantId, why: Stuck) {
    let Some(lease) = engine.model.lease(id).filter(|lease| !lease.is_unresponsive()) else { return };
    // It hears of it when it goes on, and gives its memory back then.
    if !lease.is_revoked() {
        leases::revoke(engine, id);
    }
    leases::quarantine(engine, id, why);
}
