//! A tenant's request for a turn.
use crate::model::preempted::PreemptedTurn;
use crate::model::priority::Priority;
use crate::model::queue_key::QueueKey;
use nvshare_protocol::Nanos;

/// A place in line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// At its device, or in the order of those that use several.
    pub key: QueueKey,
    pub since: Nanos,
    /// When it asked for the turn of which this may be the rest; later by the time in which it was paused.
    pub requested_at: Nanos,
    /// What it counts as: its own, or high where it has starved.
    pub priority: Priority,
    pub starved: bool,
    /// Since when nobody has been in its way but for memory that others are moving out.
    pub unblocked_since: Option<Nanos>,
    /// It stands in no line as long as there cannot be room for it, whoever leaves.
    pub parked: bool,
    /// It stands in no line until then, for it has used up its quota.
    pub throttled_until: Option<Nanos>,
    pub throttled_since: Nanos,
    /// It is paused for what its owner owes to others, and not for a quota.
    pub in_debt: bool,
    /// Its process is stopped.
    pub stopped: bool,
    /// It has used little lately, and holders give way to it before their turn is over.
    pub interactive: bool,
    /// It is for the rest of this turn.
    pub continues: Option<PreemptedTurn>,
}

impl Request {
    pub fn is_queued(&self) -> bool {
        !self.parked && self.throttled_until.is_none() && !self.stopped
    }
}
