//! The real daemon in a directory of its own, and a tenant that speaks the protocol by script.
#![allow(dead_code, unused_imports, reason = "each test file uses a part")]
mod daemon;
mod nvml;
mod peer;
mod tenant;

pub use daemon::{Daemon, Operator, Setup, ctl};
pub use nvml::{Nvml, on_gpu};
pub use peer::Peer;
pub use tenant::{GPU, Tenant, device, hello};

use std::time::Duration;

/// Longer than anything takes that works; nothing waits for so long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A part of a test that cannot run on this machine: said past the test harness, which hides what is printed, and a failure
/// with `NVSHARE_TEST_NO_SKIP`, which CI sets.
pub fn skip(why: &str) {
    use std::io::Write;
    assert!(std::env::var_os("NVSHARE_TEST_NO_SKIP").is_none(), "skipped: {why}");
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED: {why}").unwrap();
}
