//! A lease: one turn of a tenant with its devices.
use crate::model::moved::Moved;
use crate::model::preempted::PreemptedTurn;
use crate::model::priority::Priority;
use crate::model::settings::{Settings, seconds};
use crate::model::span::SpanKind;
use nvshare_protocol::{DeviceId, LeaseId, Nanos};
use std::collections::BTreeSet;

/// After the first cancelled drain, and at most between two revocations of one turn.
const DRAIN_RETRY: (Nanos, Nanos) = (seconds(1), seconds(10));

#[derive(Clone, Debug)]
pub(crate) struct Lease {
    /// 0: a hold that began before this run of the scheduler.
    pub id: LeaseId,
    pub granted_at: Nanos,
    pub ready_at: Option<Nanos>,
    /// From when on its memory counts as resident in any case.
    pub ready_deadline: Nanos,
    /// By when it has to give a sign of life.
    pub alive_until: Nanos,
    /// What was resident at the grant, and the most since: more is a sign of life.
    pub resident_at_grant: u128,
    pub peak_resident: u128,
    /// It was granted against the claims of others, to find out whether they are true.
    pub is_trial: bool,
    /// It was granted before others because its tenant is interactive.
    pub is_boosted: bool,
    /// How long the turn lasts while somebody waits, from the moment its memory is resident.
    pub quantum: Nanos,
    /// Until when no interactive tenant preempts it. Known once its memory is resident.
    pub preemptible_at: Nanos,
    /// The devices that it keeps from others: all that the tenant has named, or fewer once it has to leave.
    pub devices: BTreeSet<DeviceId>,
    /// The devices whose quantum counts for its length. A device that it named while others waited for another one does
    /// not count, because these may rely on the turn's end.
    pub quantum_devices: BTreeSet<DeviceId>,
    pub phase: Phase,
    pub state: TurnState,
    pub priority: Priority,
    /// Nobody preempts it, whatever their priority.
    pub non_preemptible: bool,
    /// When this turn, or the one that it resumes, was requested.
    pub requested_at: Nanos,
    /// The turn that it resumes.
    pub continues: Option<PreemptedTurn>,
    /// How much of it was left when it was revoked.
    pub remaining: Nanos,
    /// It was revoked whether or not anybody waits: the tenant's quota is used up, a holder with a quota is idle, or an
    /// operator wants it to leave.
    pub leaves_alone: bool,
    /// Since when the tenant has been idle while somebody waited.
    pub idle_since: Option<Nanos>,
    /// Until when it is kept although it is idle, against thrashing.
    pub hold_until: Nanos,
    /// It was idle once, and was not kept against thrashing.
    pub went_idle: bool,
    /// The tenant wants another turn after this one.
    pub rerequested: bool,
    /// Another tenant had one of its devices before.
    pub is_switch: bool,
    /// Whether the tenant was last told that somebody waits.
    pub contended: bool,
    /// Since when.
    pub contended_since: Nanos,
}

/// Whether the turn goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TurnState {
    /// It goes on.
    Running,
    /// Its tenant was asked to release its devices.
    Revoked(Revocation),
    /// Its tenant did not release them: the turn is lost, and others go on beside it.
    Unresponsive(Revocation),
}

/// What the lease's time is spent on at present.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub kind: SpanKind,
    pub start: Nanos,
    /// What its tenant had told by then of the way of its memory.
    pub moved: Option<Moved>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Revocation {
    /// When it was first sent in this turn.
    pub first_at: Nanos,
    pub cancelled_drains: u32,
    pub step: Step,
    /// When the tenant last gave a sign of life.
    pub last_sign: Nanos,
    /// What was resident then, and the least since: less is a sign of life.
    pub resident_at_start: u128,
    pub least_resident: u128,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// It was sent then and is not answered yet.
    Asked(Nanos),
    /// The tenant cancelled its drain; the revocation is sent again then.
    Cancelled(Nanos),
}

impl Lease {
    pub fn new(id: LeaseId, now: Nanos, fetch_bound: Nanos, kind: SpanKind) -> Self {
        Self {
            id,
            granted_at: now,
            ready_at: None,
            ready_deadline: now.saturating_add(fetch_bound),
            alive_until: now.saturating_add(fetch_bound),
            resident_at_grant: 0,
            peak_resident: 0,
            is_trial: false,
            is_boosted: false,
            quantum: Nanos::ZERO,
            preemptible_at: Nanos::MAX,
            devices: BTreeSet::new(),
            quantum_devices: BTreeSet::new(),
            phase: Phase { kind, start: now, moved: None },
            state: TurnState::Running,
            priority: Priority::default(),
            non_preemptible: false,
            requested_at: now,
            continues: None,
            remaining: Nanos::ZERO,
            leaves_alone: false,
            idle_since: None,
            hold_until: Nanos::ZERO,
            went_idle: false,
            rerequested: false,
            is_switch: false,
            contended: false,
            contended_since: now,
        }
    }

    pub fn revocation(&self) -> Option<Revocation> {
        match self.state {
            TurnState::Running => None,
            TurnState::Revoked(revocation) | TurnState::Unresponsive(revocation) => Some(revocation),
        }
    }

    pub fn revocation_mut(&mut self) -> Option<&mut Revocation> {
        match &mut self.state {
            TurnState::Running => None,
            TurnState::Revoked(revocation) | TurnState::Unresponsive(revocation) => Some(revocation),
        }
    }

    /// Whether its tenant was asked to release its devices.
    pub fn is_revoked(&self) -> bool {
        !matches!(self.state, TurnState::Running)
    }

    pub fn is_unresponsive(&self) -> bool {
        matches!(self.state, TurnState::Unresponsive(_))
    }

    /// Its memory is resident, and it was not revoked.
    pub fn is_active(&self) -> bool {
        self.ready_at.is_some() && !self.is_revoked()
    }

    /// By when a holder has to prove that it is alive. Only for a tenant that claims to hold since before this scheduler
    /// started, and whose lease is revoked. An answer to the revocation proves it, or another sign of life. The time until
    /// its work ends is included.
    pub fn proof_deadline(&self, silence: Nanos) -> Option<Nanos> {
        let unproven = self.id == LeaseId(0) && !self.is_unresponsive();
        let revocation =
            self.revocation().filter(|revocation| unproven && revocation.cancelled_drains == 0)?;
        matches!(revocation.step, Step::Asked(_)).then(|| revocation.last_sign.saturating_add(silence))
    }

    /// Whether a message about `lease` means this one. A hold from before this run may bear the number
    /// that an earlier scheduler gave it.
    pub fn answers_to(&self, lease: LeaseId) -> bool {
        self.id == lease || self.id == LeaseId::default()
    }

    /// When the turn is over, should anybody wait.
    pub fn turn_end(&self) -> Nanos {
        let end = self
            .ready_at
            .map_or(self.ready_deadline, |ready| ready.min(self.ready_deadline))
            .saturating_add(self.quantum);
        if self.idle_since.is_some() { self.hold_until.min(end) } else { end }
    }

    /// How long the lease kept its devices busy, with the hand-overs at both ends.
    pub fn busy(&self, now: Nanos) -> Nanos {
        let used = self.idle_since.unwrap_or(now).saturating_sub(self.granted_at);
        let revoked_at = self.revocation().map_or(now, |revocation| revocation.first_at);
        used.saturating_add(now.saturating_sub(revoked_at.max(self.idle_since.unwrap_or(now))))
    }

    /// What may be resumed of the turn, which ends now, if it was revoked.
    pub fn preempted(&self, now: Nanos) -> Option<PreemptedTurn> {
        let revocation = self.revocation()?;
        let whole = self.continues.map_or(self.quantum, |turn| turn.whole);
        Some(PreemptedTurn {
            remaining: self.remaining,
            whole,
            began_at: self.continues.map_or(self.granted_at, |turn| turn.began_at),
            revoked_at: revocation.first_at,
            ended_at: now,
            requested_at: self.requested_at,
            was_idle: self.idle_since.is_some() && !self.leaves_alone,
        })
    }

    /// Leases of lower rank are revoked before others.
    pub fn rank(&self) -> Priority {
        if self.non_preemptible { Priority::High } else { self.priority }
    }

    /// When this lease next needs a decision without anything happening.
    pub fn next_timer(&self, settings: &Settings) -> Option<Nanos> {
        let revocation = self.revocation()?;
        let step = match revocation.step {
            Step::Asked(_) if self.is_unresponsive() => None,
            Step::Asked(at) => {
                let silent = at.saturating_add(settings.drain_bound).max(revocation.last_sign);
                let silent = silent.saturating_add(settings.silence);
                Some(at.saturating_add(settings.answer_bound()).min(silent))
            }
            Step::Cancelled(retry) => Some(retry),
        };
        let patience = (!self.is_unresponsive() && revocation.cancelled_drains > 0)
            .then(|| revocation.first_at.saturating_add(settings.patience));
        step.into_iter().chain(patience).min()
    }
}

impl Revocation {
    pub fn new(now: Nanos, resident: u128) -> Self {
        Self {
            first_at: now,
            cancelled_drains: 0,
            step: Step::Asked(now),
            last_sign: now,
            resident_at_start: resident,
            least_resident: resident,
        }
    }

    /// How long to wait after the cancelled drains so far: 1, 2, 4, 8, 10, 10 … seconds.
    pub fn backoff(&self) -> Nanos {
        let doubled = DRAIN_RETRY.0.0 << self.cancelled_drains.saturating_sub(1).min(8);
        Nanos(doubled).min(DRAIN_RETRY.1)
    }
}
