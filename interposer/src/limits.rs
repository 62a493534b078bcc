//! How much memory the application may have, and sees.
use crate::refusals::{By, Refusals};
use nvshare_protocol::Bytes;
use nvshare_protocol::tenant::usable;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Held back of every device while no scheduler has said how much.
const DEFAULT_RESERVE: Bytes = Bytes(1 << 30);

/// The settings' bounds and the scheduler's.
#[derive(Debug)]
pub struct Limits {
    /// By this process's own settings.
    own: Option<Bytes>,
    oversubscribe: bool,
    /// Held back of every device, by the scheduler, bytes.
    reserve: AtomicU64,
    /// The scheduler's limit for this tenant, bytes; `u64::MAX`: none.
    limit: AtomicU64,
    pub refusals: Refusals,
}

impl Limits {
    pub fn new(own: Option<Bytes>, oversubscribe: bool) -> Self {
        let (reserve, limit) = (AtomicU64::new(DEFAULT_RESERVE.0), AtomicU64::new(u64::MAX));
        Self { own, oversubscribe, reserve, limit, refusals: Refusals::default() }
    }

    /// What the scheduler said of this tenant's memory.
    pub fn set_terms(&self, reserve: Bytes, limit: Option<Bytes>) {
        self.reserve.store(reserve.0, Relaxed);
        self.limit.store(limit.map_or(u64::MAX, |limit| limit.0), Relaxed);
    }

    /// The memory that the application sees on a device of `capacity`.
    pub fn visible(&self, capacity: Bytes) -> u64 {
        let usable = usable(capacity, Bytes(self.reserve.load(Relaxed))).0;
        usable.min(self.limit().unwrap_or(u64::MAX))
    }

    /// The tenant's limit, by its own setting or the scheduler's, whichever is less.
    pub fn limit(&self) -> Option<u64> {
        let own = self.own.unwrap_or(Bytes::MAX).0;
        Some(own.min(self.limit.load(Relaxed))).filter(|limit| *limit != u64::MAX)
    }

    /// What a bound of this process comes from.
    pub fn source(&self, bound: u64) -> By {
        if self.own == Some(Bytes(bound)) {
            By::Own(bound)
        } else if self.limit.load(Relaxed) == bound {
            By::Operator(bound)
        } else {
            By::Device(bound)
        }
    }

    /// The most that may be allocated on a device, if there is a bound.
    pub fn bound(&self, capacity: Bytes) -> Option<u64> {
        (!self.oversubscribe).then(|| self.visible(capacity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_limit_counts_and_who_oversubscribes_has_no_bound() {
        let limits = Limits::new(Some(Bytes(300)), false);
        let capacity = Bytes(2 << 30);
        assert_eq!((limits.limit(), limits.bound(capacity)), (Some(300), Some(300)));
        limits.set_terms(Bytes::ZERO, Some(Bytes(200)));
        assert_eq!((limits.limit(), limits.visible(capacity)), (Some(200), 200));
        limits.set_terms(Bytes::ZERO, None);
        assert_eq!(limits.limit(), Some(300));
        assert_eq!(Limits::new(None, true).bound(capacity), None);
    }

    #[test]
    fn a_bound_is_known_by_its_source() {
        let limits = Limits::new(Some(Bytes(300)), false);
        limits.set_terms(Bytes::ZERO, Some(Bytes(200)));
        let sources = [300, 200, 100].map(|bound| limits.source(bound));
        assert_eq!(sources, [By::Own(300), By::Operator(200), By::Device(100)]);
    }
}
