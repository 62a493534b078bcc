//! A tenant's request for a turn.
use crate::model::preempted::PreemptedTurn;
use crate::model::priority::Priority;
use crate::model::queue_key::QueueKey;
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub place: QueuePosition,
    pub since: Nanos,
    /// When the tenant asked for the turn of which this may be the rest; later by the time in which it was throttled.
    pub requested_at: Nanos,
    /// What it counts as: the tenant's own, or high where it has starved.
    pub priority: Priority,
    pub starved: bool,
    /// Since when nobody has been in its way but for memory that others are moving out.
    pub unblocked_since: Option<Nanos>,
    pub wait: Wait,
    /// It has used little lately, and holders give way to it before their turn is over.
    pub interactive: bool,
    /// It is for the rest of this turn.
    pub continues: Option<PreemptedTurn>,
}

/// Where a request stands in the queues of its devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueuePosition {
    /// In the queue of the tenant's device, or in the one order of tenants that use several.
    pub key: QueueKey,
    /// If the tenant uses several devices: at each of them, among those that use that one alone.
    pub at: BTreeMap<DeviceId, QueueKey>,
}

impl QueuePosition {
    pub fn key_at(&self, device: DeviceId) -> QueueKey {
        self.at.get(&device).copied().unwrap_or(self.key)
    }

    pub fn change(&mut self, change: impl Fn(QueueKey) -> QueueKey) {
        self.key = change(self.key);
        self.at.values_mut().for_each(|key| *key = change(*key));
    }
}

/// How a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// In the queues of its devices, unless the tenant is stopped.
    Queued,
    /// In no queue, as long as there cannot be room for the tenant, whoever leaves.
    Parked,
    /// In no queue, until an operator lets the tenant have turns again.
    Paused { since: Nanos },
    /// In no queue until then.
    Throttled { since: Nanos, until: Nanos, why: Throttle },
}

/// Why a request is throttled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Throttle {
    /// The tenant's group has used up its quota.
    Quota,
    /// The tenant's owner has kept devices from others beyond its turns.
    Debt,
}

impl Wait {
    pub fn throttled_until(self) -> Option<Nanos> {
        match self {
            Self::Throttled { until, .. } => Some(until),
            Self::Queued | Self::Parked | Self::Paused { .. } => None,
        }
    }

    pub fn is_paused(self) -> bool {
        matches!(self, Self::Paused { .. })
    }
}
