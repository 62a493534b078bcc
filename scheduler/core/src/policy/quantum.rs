//! How long a turn lasts.
use crate::model::Model;
use crate::model::device::Device;
use crate::model::settings::{AUTO_FACTOR, AUTO_RANGE, Quantum, seconds};
use crate::model::tenant::Tenant;
use nvshare_protocol::{DeviceId, Nanos};

/// How long a turn of weight 1 lasts on the device, or on one of which nothing is known.
pub(crate) fn device_quantum(model: &Model, device: Option<DeviceId>) -> Nanos {
    match model.settings().quantum_of(device) {
        Quantum::Fixed(length) => length,
        Quantum::Auto => match device.and_then(|id| model.devices.get(&id)).map(Device::cost) {
            None | Some(Nanos::ZERO) => seconds(2),
            Some(cost) => Nanos(cost.0.saturating_mul(AUTO_FACTOR)).clamp(AUTO_RANGE.0, AUTO_RANGE.1),
        },
    }
}

/// How long the tenant's turns last: as long as the longest of its devices' turns, times its weight, within bounds.
pub(crate) fn tenant_quantum(model: &Model, tenant: &Tenant) -> Nanos {
    longest_quantum(model, tenant.devices.keys(), tenant)
}

pub(crate) fn longest_quantum<'a>(
    model: &Model,
    devices: impl Iterator<Item = &'a DeviceId>,
    tenant: &Tenant,
) -> Nanos {
    let longest = devices.map(|device| device_quantum(model, Some(*device))).max();
    let quantum = longest.unwrap_or_else(|| device_quantum(model, None));
    model.settings().weighted(quantum, tenant.weight())
}
