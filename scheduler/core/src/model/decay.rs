//! Sums of time that forget: what was spent of late.
use crate::model::settings::seconds;
use nvshare_protocol::Nanos;

/// Time that was spent, of which half is forgotten in so many seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DecayingSum<const HALF_LIFE: u64> {
    pub sum: Nanos,
    pub updated_at: Nanos,
}

/// With the gate open, while others waited.
pub(crate) type HeldTime = DecayingSum<10>;

impl<const HALF_LIFE: u64> DecayingSum<HALF_LIFE> {
    /// The sum's limit if all of the time is spent: the half-life divided by the natural logarithm of 2.
    pub const ALWAYS: Nanos = Nanos(seconds(HALF_LIFE).0 / 100 * 144);

    /// As it is `now`.
    pub fn at(self, now: Nanos) -> Nanos {
        let passed = now.saturating_sub(self.updated_at).0;
        let half_life = seconds(HALF_LIFE).0;
        let (halves, rest) = (passed / half_life, passed % half_life);
        let left = self.sum.0.checked_shr(u32::try_from(halves).unwrap_or(u32::MAX)).unwrap_or(0);
        // Linear within one half-life.
        let gone = u128::from(left) * u128::from(rest) / (2 * u128::from(half_life));
        Nanos(left - u64::try_from(gone).unwrap_or(left).min(left))
    }

    pub fn add(&mut self, now: Nanos, spent: Nanos) {
        self.sum = self.at(now).saturating_add(spent.min(seconds(15)));
        self.updated_at = now;
    }
}

/// Recent time spent on wasted hand-overs: a tenant was revoked for being idle, and asked again before one and a half
/// times as long had passed as its leaving took.
pub(crate) type ThrashMeter = DecayingSum<3>;
