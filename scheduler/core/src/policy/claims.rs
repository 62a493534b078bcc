//! What tenants say that they keep on a device, and how far that is believed.
//!
//! What the driver shows of a process ([`crate::event::Event::Seen`]) bounds what it can keep. Where nothing is shown, a
//! tenant that has no room because of what others say they keep waits for [`crate::Settings::claim_bound`]; then it
//! insists: it is granted its devices as if nobody kept anything but those that run, and finds out by the driver. If that
//! works, it goes on insisting, and so do the other tenants of its owner (its kin); if not, what was said is true, and it
//! waits twice as long before it tries again.
use crate::memory::capacity;
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::index::TenantFacts;
use nvshare_protocol::{Bytes, DeviceId};

/// Whether it would have room if nothing were kept there but what is shown, and what runs.
pub(crate) fn is_blocked_by_claims(model: &Model, id: TenantId) -> bool {
    let Some(tenant) = model.tenants.get(&id) else { return false };
    tenant.devices.keys().any(|&device| {
        let own = model.facts(id, device);
        let (all, shown) =
            (claimed_unevictable(model, own, device), verified_unevictable(model, own, device));
        let others = model.devices[&device].index().held_allocated;
        let (wants, needs) = (others + u128::from(own.allocated.0), u128::from(own.needs.0));
        let usable = u128::from(capacity::usable_for(model, own, device).0);
        all > shown && wants + all > usable && needs + shown <= usable
    })
}

/// What others than this one and the holders say that they keep on the device.
fn claimed_unevictable(model: &Model, own: &TenantFacts, device: DeviceId) -> u128 {
    let standings = model.devices[&device].index();
    let own = if own.holds() { Bytes::ZERO } else { own.unevictable };
    standings.unevictable.saturating_sub(standings.held_unevictable + u128::from(own.0))
}

/// As much of that as the driver shows.
pub(crate) fn verified_unevictable(model: &Model, own: &TenantFacts, device: DeviceId) -> u128 {
    model.devices[&device].index().verified - u128::from(own.verified.0)
}

/// What of it counts for this tenant.
pub(crate) fn credited_unevictable(model: &Model, own: &TenantFacts, device: DeviceId) -> u128 {
    if own.ignores_claims {
        verified_unevictable(model, own, device)
    } else {
        claimed_unevictable(model, own, device)
    }
}
