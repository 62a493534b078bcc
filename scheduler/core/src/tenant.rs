//! One tenant: what it has, and where it stands in its turn.
use crate::record::SpanKind;
use crate::settings::{Settings, seconds};
use nvshare_protocol::{Bytes, DeviceId, LeaseId, Nanos};
use std::collections::{BTreeMap, BTreeSet};

/// More devices than this one tenant cannot name.
pub const MAX_DEVICES: usize = 64;
/// After the first cancelled drain, and at most between two revocations of one turn.
const RETRY: (Nanos, Nanos) = (seconds(1), seconds(10));

#[derive(Clone, Debug, Default)]
pub(crate) struct Tenant {
    /// What it named, and what it has there.
    pub devices: BTreeMap<DeviceId, Memory>,
    /// It said that it is running, and has not yet said where.
    pub resumes: bool,
    pub stage: Stage,
    /// Of how many devices it is first in line.
    pub leads: usize,
    /// Time with a lease, without the present one.
    pub held: Nanos,
    pub grants: u64,
}

/// A tenant's bytes on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub allocated: Bytes,
    pub resident: Bytes,
    /// Part of `resident`.
    pub immovable: Bytes,
}

impl Memory {
    /// A report as far as it is possible: nothing beyond what the device has, the parts within the whole.
    pub(crate) fn plausible(allocated: Bytes, resident: Bytes, immovable: Bytes, capacity: Bytes) -> Self {
        let immovable = immovable.min(allocated).min(capacity);
        let resident = resident.min(allocated).min(capacity).max(immovable);
        Self { allocated, resident, immovable }
    }

    pub(crate) fn movable(&self) -> Bytes {
        self.resident.saturating_sub(self.immovable)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Stage {
    #[default]
    Idle,
    Waiting(Request),
    Leased(Box<Lease>),
}

/// A place in line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// The order of arrival over all devices.
    pub place: u64,
    pub since: Nanos,
}

#[derive(Clone, Debug)]
pub(crate) struct Lease {
    /// 0: a hold that began without a grant of this run.
    pub id: LeaseId,
    pub granted: Nanos,
    pub ready: Option<Nanos>,
    /// The devices that it keeps from others: all that the tenant has named, or fewer once it must leave.
    pub held: BTreeSet<DeviceId>,
    pub phase: Phase,
    pub revocation: Option<Revocation>,
    /// Its turn is lost; others go on beside it.
    pub stuck: bool,
    /// It said that it has nothing to do, while somebody waited.
    pub idle: bool,
    /// It wants another turn after this one.
    pub again: bool,
    /// What it was told last.
    pub contended: bool,
}

/// What the lease is spent on at present.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub kind: SpanKind,
    pub start: Nanos,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Revocation {
    /// The first one of this turn.
    pub first: Nanos,
    pub cancelled: u32,
    pub step: Step,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Revoked then, not yet answered.
    Asked(Nanos),
    /// The drain was cancelled; to be revoked again then.
    Cancelled(Nanos),
}

impl Tenant {
    pub fn lease(&self) -> Option<&Lease> {
        match &self.stage {
            Stage::Leased(lease) => Some(lease),
            _ => None,
        }
    }

    pub fn lease_mut(&mut self) -> Option<&mut Lease> {
        match &mut self.stage {
            Stage::Leased(lease) => Some(lease),
            _ => None,
        }
    }
}

impl Lease {
    pub fn new(id: LeaseId, now: Nanos, kind: SpanKind) -> Self {
        Self {
            id,
            granted: now,
            ready: None,
            held: BTreeSet::new(),
            phase: Phase { kind, start: now },
            revocation: None,
            stuck: false,
            idle: false,
            again: false,
            contended: false,
        }
    }

    /// Whether a message about `lease` means this one. A hold from before this run may bear the number
    /// that an earlier scheduler gave it.
    pub fn answers_to(&self, lease: LeaseId) -> bool {
        self.id == lease || self.id == LeaseId::default()
    }

    /// When the turn is over, should anybody wait.
    pub fn turn_end(&self, settings: &Settings) -> Nanos {
        if self.idle {
            return Nanos::ZERO;
        }
        let late = self.granted.saturating_add(settings.fetch_bound);
        self.ready.map_or(late, |ready| ready.min(late)).saturating_add(settings.quantum)
    }

    /// The next time at which this lease asks for a decision by itself.
    pub fn due(&self, settings: &Settings) -> Option<Nanos> {
        let revocation = self.revocation?;
        let step = match revocation.step {
            Step::Asked(_) if self.stuck => None,
            Step::Asked(at) => Some(at.saturating_add(settings.answer_bound())),
            Step::Cancelled(retry) => Some(retry),
        };
        let patience = (!self.stuck && revocation.cancelled > 0)
            .then(|| revocation.first.saturating_add(settings.patience));
        step.into_iter().chain(patience).min()
    }
}

impl Revocation {
    /// How long to wait after the cancelled drains so far: 1, 2, 4, 8, 10, 10 … seconds.
    pub fn backoff(&self) -> Nanos {
        let doubled = RETRY.0.0 << self.cancelled.saturating_sub(1).min(8);
        Nanos(doubled).min(RETRY.1)
    }
}
