//! A turn that ended before its time, and may be resumed.
use nvshare_protocol::Nanos;

/// A turn that was broken off goes on if the tenant asks so soon.
pub(crate) const RESUME_WITHIN: Nanos = Nanos::from_millis(50);

/// A turn that ended before its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PreemptedTurn {
    /// What was left of it.
    pub remaining: Nanos,
    /// How long all of it lasts, and when its first part was granted.
    pub whole: Nanos,
    pub began_at: Nanos,
    /// When the tenant was told to leave, and when it had.
    pub revoked_at: Nanos,
    pub ended_at: Nanos,
    /// When it was asked for.
    pub requested_at: Nanos,
    /// It had nothing to do.
    pub was_idle: bool,
}

impl PreemptedTurn {
    /// Whether a request at this time is for the rest of it. A turn takes no more than twice its length, interruptions
    /// included: with others that come first it would keep those that wait from theirs.
    pub fn may_resume(&self, now: Nanos) -> bool {
        let in_time = now.saturating_sub(self.began_at) <= Nanos(self.whole.0.saturating_mul(2));
        self.remaining > Nanos::ZERO && now.saturating_sub(self.ended_at) <= RESUME_WITHIN && in_time
    }
}
