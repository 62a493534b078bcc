//! A turn: since when, with what, and how it ends.
use crate::haste::BrokenOff;
use crate::priority::Priority;
use crate::record::SpanKind;
use crate::settings::{Settings, seconds};
use nvshare_protocol::{DeviceId, LeaseId, Nanos};
use std::collections::BTreeSet;

/// After the first cancelled drain, and at most between two revocations of one turn.
const RETRY: (Nanos, Nanos) = (seconds(1), seconds(10));

#[derive(Clone, Debug)]
pub(crate) struct Lease {
    /// 0: a hold that began without a grant of this run.
    pub id: LeaseId,
    pub granted: Nanos,
    pub ready: Option<Nanos>,
    /// From when on its memory counts as back in any case.
    pub late: Nanos,
    /// By when it gives a sign of life, or is not waited for.
    pub alive_by: Nanos,
    /// What it had when it was granted, and the most that it has had since: more is a sign of life.
    pub had: u128,
    pub most: u128,
    /// It was granted although others say that they keep what it needs.
    pub tries: bool,
    /// It came before others.
    pub is_hasty: bool,
    /// How long the turn lasts while somebody waits, once its memory is back.
    pub quantum: Nanos,
    /// Until when it goes on however eager the next one is; known once its memory is back.
    pub slice_end: Nanos,
    /// The devices that it keeps from others: all that the tenant has named, or fewer once it must leave.
    pub held: BTreeSet<DeviceId>,
    /// The devices whose turns say how long it lasts. One that it came upon while others waited for another is not of them,
    /// for they may count on its end.
    pub timed_by: BTreeSet<DeviceId>,
    pub phase: Phase,
    pub revocation: Option<Revocation>,
    pub priority: Priority,
    /// Nobody breaks it off, whatever their priority.
    pub protected: bool,
    /// When the turn of which this may be the rest was asked for.
    pub asked: Nanos,
    /// The turn of which this is the rest.
    pub goes_on: Option<BrokenOff>,
    /// What was left of this one when it was revoked.
    pub rest: Nanos,
    /// Its turn is lost; others go on beside it.
    pub stuck: bool,
    /// It has a quota, and is told to be ready to leave at any time.
    pub limited: bool,
    /// It was told to leave for its quota.
    pub throttled: bool,
    /// When it said that it has nothing to do, while somebody waited.
    pub idle: Option<Nanos>,
    /// Until when it is kept all the same.
    pub kept: Nanos,
    /// It was idle once, and not kept.
    pub slept: bool,
    /// It wants another turn after this one.
    pub again: bool,
    /// Another had one of its devices before.
    pub takes_over: bool,
    /// What it was told last.
    pub contended: bool,
    /// Since when.
    pub contended_since: Nanos,
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
    /// When it last gave a sign of life.
    pub alive: Nanos,
    /// What it had, and the least that it has had since: less is a sign of life.
    pub had: u128,
    pub least: u128,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Revoked then, not yet answered.
    Asked(Nanos),
    /// The drain was cancelled; to be revoked again then.
    Cancelled(Nanos),
}

impl Lease {
    pub fn new(id: LeaseId, now: Nanos, fetch_bound: Nanos, kind: SpanKind) -> Self {
        Self {
            id,
            granted: now,
            ready: None,
            late: now.saturating_add(fetch_bound),
            alive_by: now.saturating_add(fetch_bound),
            had: 0,
            most: 0,
            tries: false,
            is_hasty: false,
            quantum: Nanos::ZERO,
            slice_end: Nanos::MAX,
            held: BTreeSet::new(),
            timed_by: BTreeSet::new(),
            phase: Phase { kind, start: now },
            revocation: None,
            priority: Priority::default(),
            protected: false,
            asked: now,
            goes_on: None,
            rest: Nanos::ZERO,
            stuck: false,
            limited: false,
            throttled: false,
            idle: None,
            kept: Nanos::ZERO,
            slept: false,
            again: false,
            takes_over: false,
            contended: false,
            contended_since: now,
        }
    }

    /// Whether a message about `lease` means this one. A hold from before this run may bear the number
    /// that an earlier scheduler gave it.
    pub fn answers_to(&self, lease: LeaseId) -> bool {
        self.id == lease || self.id == LeaseId::default()
    }

    /// When the turn is over, should anybody wait.
    pub fn turn_end(&self) -> Nanos {
        let end = self.ready.map_or(self.late, |ready| ready.min(self.late)).saturating_add(self.quantum);
        if self.idle.is_some() { self.kept.min(end) } else { end }
    }

    /// For how long it has been of use to its tenant, with the hand-overs at both ends.
    pub fn busy(&self, now: Nanos) -> Nanos {
        let used = self.idle.unwrap_or(now).saturating_sub(self.granted);
        let leaves = self.revocation.map_or(now, |revocation| revocation.first);
        used.saturating_add(now.saturating_sub(leaves.max(self.idle.unwrap_or(now))))
    }

    /// Those of the least rank leave before others.
    pub fn rank(&self) -> Priority {
        if self.protected { Priority::High } else { self.priority }
    }

    /// The next time at which this lease asks for a decision by itself.
    pub fn due(&self, settings: &Settings) -> Option<Nanos> {
        let revocation = self.revocation?;
        let step = match revocation.step {
            Step::Asked(_) if self.stuck => None,
            Step::Asked(at) => {
                let silent = at.saturating_add(settings.drain_bound).max(revocation.alive);
                let silent = silent.saturating_add(settings.silence);
                Some(at.saturating_add(settings.answer_bound()).min(silent))
            }
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
