//! Which tenants with several devices have reserved a device, and from when on.
use crate::model::ids::TenantId;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeMap;

/// For each device: the next tenant that uses several devices, and when it could begin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan(pub BTreeMap<DeviceId, (Nanos, TenantId)>);
