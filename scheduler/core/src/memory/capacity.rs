//! How much of a device there is for tenants.
use crate::model::Model;
use crate::model::index::TenantFacts;
use nvshare_protocol::tenant::usable;
use nvshare_protocol::{Bytes, DeviceId};

/// What tenants may have of the device together.
pub(crate) fn usable_on(model: &Model, device: DeviceId) -> Bytes {
    let at = &model.devices[&device];
    let left = usable(at.capacity, model.settings().reserve).saturating_sub(at.external);
    left.min(model.settings().most)
}

/// What one tenant may have: what tenants may have together, at most the capacity that it named, less the memory that is unaccounted for it.
pub(crate) fn usable_for(model: &Model, own: &TenantFacts, device: DeviceId) -> Bytes {
    let most = own.capacity.map_or(Bytes::MAX, |capacity| usable(capacity, model.settings().reserve));
    usable_on(model, device).min(most).saturating_sub(own.unaccounted)
}
