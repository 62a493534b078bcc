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
