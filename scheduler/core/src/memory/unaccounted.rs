//! Memory that nobody has told of: each process's context takes some, and so do programs outside of nvshare where NVML is
//! silent. It shows when the driver refuses a tenant what should fit. That is believed of this tenant alone: whoever says so
//! needs more room itself, and takes none from others by it.
use crate::model::Model;
use crate::model::ids::TenantId;
use nvshare_protocol::{Bytes, DeviceId};

/// How much of the device is taken, for this tenant, though neither a tenant nor NVML has told of it.
#[must_use]
pub fn unaccounted(model: &Model, id: TenantId, device: DeviceId) -> Bytes {
    model.tenants.get(&id).map_or(Bytes::ZERO, |tenant| tenant.unaccounted(device))
}
