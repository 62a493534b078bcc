//! The only place of this process that reads a clock.
use nvshare_protocol::Nanos;
use std::time::Instant;

pub fn instant() -> Instant {
    Instant::now()
}

/// The time since `start`.
pub fn since(start: Instant) -> Nanos {
    Nanos(u64::try_from(instant().saturating_duration_since(start).as_nanos()).unwrap_or(u64::MAX))
}
