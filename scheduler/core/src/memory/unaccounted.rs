//! Memory that nobody reports: each process's context takes some, and so do external processes where NVML is silent. It
//! shows when the driver refuses a tenant what should fit. A refusal counts for this tenant alone: by reporting one, a
//! tenant needs more room itself, and takes none from others.
use crate::model::Model;
use crate::model::ids::TenantId;
use nvshare_protocol::{Bytes, DeviceId};

/// How much of the device is taken, for this tenant, though neither a tenant nor NVML has told of it.
#[must_use]
pub fn unaccounted(model: &Model, id: TenantId, device: DeviceId) -> Bytes {
    model.tenants.get(&id).map_or(Bytes::ZERO, |tenant| tenant.unaccounted(device))
}
