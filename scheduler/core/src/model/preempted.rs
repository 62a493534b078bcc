//! A turn that ended before its time, and may be resumed.
use nvshare_protocol::Nanos;

/// A preempted turn is resumed if the tenant asks again within this time.
pub(crate) const RESUME_WITHIN: Nanos = Nanos::from_millis(50);

/// A turn that ended early because its tenant was revoked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreemptedTurn {
    /// How much of the turn was left.
    pub remaining: Nanos,
    /// How long the whole turn lasts, and when its first part was granted.
    pub whole: Nanos,
    pub began_at: Nanos,
    /// When the tenant was revoked, and when it had released its devices.
    pub revoked_at: Nanos,
    pub ended_at: Nanos,
    /// When the turn was requested.
    pub requested_at: Nanos,
    /// The tenant was idle.
    pub was_idle: bool,
}

impl PreemptedTurn {
    /// Whether a request at this time resumes the turn. A turn takes at most twice its length, interruptions included:
    /// otherwise, with others that come first, it would keep waiting tenants from their turns.
    pub fn may_resume(&self, now: Nanos) -> bool {
        let in_time = now.saturating_sub(self.began_at) <= Nanos(self.whole.0.saturating_mul(2));
        self.remaining > Nanos::ZERO && now.saturating_sub(self.ended_at) <= RESUME_WITHIN && in_time
    }
}
