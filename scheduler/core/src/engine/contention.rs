//! Holders hear whether somebody waits.
use crate::engine::state::Engine;
use crate::event::Action;
use crate::model::ids::TenantId;
use crate::policy::admission;
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

/// Holders of these devices hear whether somebody waits, where that has changed.
pub(crate) fn notify_contention(engine: &mut Engine, devices: &BTreeSet<DeviceId>) {
    let mut recipients = BTreeSet::new();
    for &id in devices {
        let Some(device) = engine.model.devices.get(&id) else { continue };
        let contended = !device.queue().is_empty();
        let changed = device.contention_notified != contended;
        if !changed && device.stale_notices.is_empty() {
            continue;
        }
        if changed {
            recipients.extend(device.index().holders.iter().copied());
        }
        engine.model.update_device(id, |device| {
            recipients.append(&mut device.stale_notices);
            device.contention_notified = contended;
        });
    }
    recipients.into_iter().for_each(|id| notify_if_contended(engine, id));
}

/// The holder hears whether it may have to leave at any time, if that is news to it.
pub(crate) fn notify_if_contended(engine: &mut Engine, id: TenantId) {
    let model = &mut engine.model;
    let Some((tenant, lease)) = model.tenants.get(&id).zip(model.lease(id)) else { return };
    let contended = admission::is_contended(model, tenant, lease);
    if lease.devices.is_empty() || contended == lease.contended {
        return;
    }
    let now = model.now;
    model.update_lease(id, |lease| {
        (lease.contended, lease.contended_since) = (contended, now);
        lease.idle_since = lease.idle_since.filter(|_| contended);
    });
    engine.actions.push(Action::Contended { tenant: id, contended });
}
