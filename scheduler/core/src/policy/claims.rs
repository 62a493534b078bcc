//! What tenants say that they keep on a device, and how far that is believed.
//!
//! What the driver shows of a process ([`crate::event::Event::Seen`]) bounds what it can keep. Where the driver shows
//! nothing, a tenant that is blocked by the claims of others waits for [`crate::Settings::claim_bound`]. Then it
//! ignores claims: it is granted its devices as if only running tenants kept memory, and the driver decides (a trial).
//! If that works, the tenant goes on ignoring claims, and so do the other tenants of its owner (its kin). If not, the
//! claims were true, and the tenant waits twice as long before the next trial.
use crate::memory::capacity;
use crate::model::Model;
use crate::model::ids::TenantId;
use crate::model::index::TenantFacts;
use nvshare_protocol::{Bytes, DeviceId};

/// Whether the tenant has no room because of claims, and would have room beside the verified memory alone.
pub(crate) fn is_blocked_by_claims(model: &Model, id: TenantId) -> bool {
    let Some(tenant) = model.tenants.get(&id) else { return false };
    tenant.devices.keys().any(|&device| {
        let own = model.facts(id, device);
        let (claimed, verified) =
            (claimed_unevictable(model, own, device), verified_unevictable(model, own, device));
        let others = model.devices[&device].index().held_allocated;
        let (wants, needs) = (others + u128::from(own.allocated.0), u128::from(own.needs.0));
        let usable = u128::from(capacity::usable_for(model, own, device).0);
        claimed > verified && wants + claimed > usable && needs + verified <= usable
    })
}

/// Memory on the device that is unevictable by the word of tenants that do not hold it, this one excepted.
fn claimed_unevictable(model: &Model, own: &TenantFacts, device: DeviceId) -> u128 {
    let index = model.devices[&device].index();
    let own = if own.holds() { Bytes::ZERO } else { own.unevictable };
    index.unevictable.saturating_sub(index.held_unevictable + u128::from(own.0))
}

/// As much of that as the driver confirms.
pub(crate) fn verified_unevictable(model: &Model, own: &TenantFacts, device: DeviceId) -> u128 {
    model.devices[&device].index().verified - u128::from(own.verified.0)
}

/// As much of that as counts for this tenant.
pub(crate) fn credited_unevictable(model: &Model, own: &TenantFacts, device: DeviceId) -> u128 {
    if own.ignores_claims {
        verified_unevictable(model, own, device)
    } else {
        claimed_unevictable(model, own, device)
    }
}
