//! Holders that give no sign of life lose their turns where others wait.
use crate::Core;
use crate::engine::{leases, trust};
use crate::event::Stuck;
use crate::model::ids::TenantId;
use crate::policy::admission;
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

/// Holders that are stopped, those that were granted a device and give no sign of life, and those that only say that
/// they hold since before this run and do not answer, lose their turns where others wait for it.
pub(crate) fn quarantine_lifeless(core: &mut Core, devices: &BTreeSet<DeviceId>) {
    for id in core.model.collect_at(devices, |standings| &standings.stopped_holders) {
        if core.model.lease(id).is_some_and(|lease| admission::is_waited_for(&core.model, lease)) {
            give_up(core, id, Stuck::Stopped);
        }
    }
    for &device in devices {
        let Some(at) = core.model.devices.get(&device).filter(|at| !at.queue.is_empty()) else { continue };
        let due = at.index.liveness_timers.iter().take_while(|(by, _)| *by <= core.model.now);
        let due: Vec<TenantId> = due.map(|(_, id)| *id).collect();
        due.into_iter().for_each(|id| quarantine_silent(core, id));
    }
}

fn quarantine_silent(core: &mut Core, id: TenantId) {
    match core.model.lease(id).and_then(|lease| lease.revocation) {
        None => give_up(core, id, Stuck::Silent),
        Some(revocation) => {
            give_up(core, id, Stuck::NoAnswer);
            trust::doubt_claims_since(&mut core.model, id, revocation.first_at);
        }
    }
}

fn give_up(core: &mut Core, id: TenantId, why: Stuck) {
    let Some(lease) = core.model.lease(id).filter(|lease| !lease.unresponsive) else { return };
    // It hears of it when it goes on, and gives its memory back then.
    if lease.revocation.is_none() {
        leases::revoke(core, id);
    }
    leases::quarantine(core, id, why);
}
