//! Holders hear whether somebody waits.
use crate::Core;
use crate::event::Action;
use crate::model::ids::TenantId;
use crate::policy::admission;
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;

pub(crate) fn notify_contention(core: &mut Core, devices: &BTreeSet<DeviceId>) {
    let mut told = BTreeSet::new();
    for name in devices {
        let Some(device) = core.model.devices.get_mut(name) else { continue };
        let contended = !device.queue.is_empty();
        told.append(&mut device.stale_notices);
        if std::mem::replace(&mut device.contention_notified, contended) != contended {
            told.extend(device.holders.iter().copied());
        }
    }
    told.into_iter().for_each(|id| notify_if_contended(core, id));
}

/// The holder hears whether it may have to leave at any time, if that is news to it.
pub(crate) fn notify_if_contended(core: &mut Core, id: TenantId) {
    let Some(lease) = core.model.lease(id) else { return };
    let contended = admission::is_contended(&core.model, lease);
    if lease.devices.is_empty() || contended == lease.contended {
        return;
    }
    core.actions.push(Action::Contended { tenant: id, contended });
    if let Some(lease) = core.model.tenants.get_mut(&id).and_then(|tenant| tenant.lease_mut()) {
        lease.contended = contended;
        lease.contended_since = core.model.now;
        lease.idle_since = lease.idle_since.filter(|_| contended);
    }
    core.model.reindex(id);
}
