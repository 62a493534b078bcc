//! How far a gang is: with its coming together, with its turn, and with its end.
use crate::model::ids::TenantId;
use nvshare_protocol::tenant::{Grant, Share};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};
use std::collections::{BTreeMap, BTreeSet};

/// What a member makes of its gang's turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MemberTurn {
    /// It has no part in it.
    #[default]
    None,
    /// Its gate is open, or will be when its memory is there.
    Granted { ready: bool, idle: bool },
    /// It was asked to drain.
    Asked,
    /// It has drained.
    Drained,
    /// The gang has no turn, and the member cannot end its work.
    Beside,
}

#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub lease: LeaseId,
    pub budget: Vec<Share>,
    pub contended: bool,
    /// The engine knows that all memory is there.
    pub ready: bool,
    /// What the members have said about bringing in.
    pub fetched: BTreeMap<DeviceId, u64>,
    pub took: Nanos,
    pub stage: Stage,
}

#[derive(Clone, Debug)]
pub(crate) enum Stage {
    Runs,
    Drains(Drain),
    /// Members that have drained go on, because another could not drain; all are asked again then.
    Reopened(Drain, Nanos),
    /// All have drained; those that were asked to evict have not all answered.
    Evicts {
        drain: Nanos,
        since: Nanos,
        waiting: BTreeSet<TenantId>,
        /// What was resident when that began.
        resident: BTreeMap<DeviceId, u64>,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Drain {
    pub since: Nanos,
    pub attempt: u32,
    /// How long all attempts may take.
    pub bound: Nanos,
    /// What is to move out at the end.
    pub evict: Vec<Share>,
}

impl Turn {
    pub fn new(grant: &Grant) -> Self {
        Self {
            lease: grant.lease,
            budget: grant.budget.clone(),
            contended: grant.contended,
            ready: false,
            fetched: BTreeMap::new(),
            took: Nanos::ZERO,
            stage: Stage::Runs,
        }
    }
}

/// How far a gang has come together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Gathering {
    /// No member has asked for a turn yet.
    #[default]
    Before,
    /// One has, and the gang waits for the others until then.
    Until(Nanos),
    Over,
}

/// Members that keep their memory on a device where they do not fit together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Excess {
    pub device: DeviceId,
    pub wants: Bytes,
    pub usable: Bytes,
}

/// Members that cannot end their work go on without a turn. They are asked again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside {
    pub since: Nanos,
    /// The turn in which they began.
    pub lease: LeaseId,
    /// When they are asked next, and how long after the last time.
    pub ask_at: Nanos,
    pub pause: Nanos,
}
