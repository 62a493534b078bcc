//! The one loop between the sockets and the core.
mod act;
mod answer;
mod members;
mod run;
mod trace_file;

pub use run::{Running, open};
pub use trace_file::TraceFile;

use crate::clock::Clock;
use crate::settings::Settings;
use crate::tenants::connection::Shared;
use crate::tenants::registry::Registry;
use members::Members;
use nvshare_core::Core;
use std::sync::Arc;

/// Everything that the loop knows.
pub struct Daemon {
    clock: Clock,
    core: Core,
    settings: Settings,
    members: Members,
    registry: Registry,
    trace: Option<TraceFile>,
    shared: Arc<Shared>,
}
