//! An owner's rounds.
use crate::model::decay::HeldTime;
use crate::model::priority::Priority;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub(crate) struct OwnerAccount {
    pub tenants: usize,
    /// The rounds in which its next requests of each priority are served: at each device, and of tenants with several.
    pub next_rounds: BTreeMap<(Option<DeviceId>, Priority), u64>,
    /// Recent time that its tenants held devices as interactive ones.
    pub boosted: HeldTime,
    /// When one of its tenants was last found unable to end its work while the owner owed nobody anything.
    pub clean_stall_at: Option<Nanos>,
}
