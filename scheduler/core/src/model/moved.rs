//! What a tenant has told of the way of its memory out and in, over all its devices.
use nvshare_protocol::Bytes;
use nvshare_protocol::tenant::Moves;

/// Sums of a tenant's counters. Wide, so that no report can make them wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub copied_in: u128,
    pub unchanged: u128,
    /// Both ways: a tenant moves its memory one way at a time.
    pub zero: u128,
}

impl Moved {
    pub fn and(self, told: &Moves) -> Self {
        Self {
            copied_in: self.copied_in + u128::from(told.copied_in.0),
            unchanged: self.unchanged + u128::from(told.unchanged.0),
            zero: self.zero + u128::from(told.zero_out.0) + u128::from(told.zero_in.0),
        }
    }
}

/// How much a counter has grown, of so much that has moved in all. One that has fallen has not grown.
pub(crate) fn growth(before: u128, now: u128, of: Bytes) -> Bytes {
    Bytes(u64::try_from(now.saturating_sub(before)).unwrap_or(u64::MAX)).min(of)
}
