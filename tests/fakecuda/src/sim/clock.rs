//! Simulated time: nanoseconds since the devices came to be, the same for all processes. The only clock here.
use crate::settings::settings;
use std::time::Duration;

/// The host's monotonic clock, nanoseconds.
pub fn monotonic() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a pointer to a local.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Simulated nanoseconds since `epoch`, a value of [`monotonic`].
pub fn since(epoch: u64) -> u64 {
    (monotonic().saturating_sub(epoch) as f64 * settings().time_scale) as u64
}

/// How long the host waits for so many simulated nanoseconds.
pub fn wall(nanos: u64) -> Duration {
    Duration::from_nanos((nanos as f64 / settings().time_scale) as u64)
}
