//! For whom devices are kept free, and from when on.
use crate::model::ids::TenantId;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeMap;

/// For whom each device is next of those that use several, and when it could begin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan(pub BTreeMap<DeviceId, (Nanos, TenantId)>);
