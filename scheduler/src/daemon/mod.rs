//! The one loop between the sockets and the core.
mod act;
mod answer;
mod count;
mod machine;
mod members;
mod news;
mod reports;
mod run;
mod trace_file;

pub use run::{Running, open};
pub use trace_file::TraceFile;

use crate::clock::Clock;
use crate::machine::{Machine, Seen};
use crate::outside::{Strangers, Watch};
use crate::settings::Settings;
use crate::swap::Budget;
use crate::tenants::connection::Shared;
use crate::tenants::promises::Promises;
use members::Members;
use nvshare_core::Core;
use nvshare_protocol::Nanos;
use std::sync::Arc;

/// Everything that the loop knows.
pub struct Daemon {
    clock: Clock,
    core: Core,
    settings: Settings,
    members: Members,
    machine: Machine,
    seen: Seen,
    swap: Budget,
    promises: Promises,
    strangers: Strangers,
    watch: Watch,
    trace: Option<TraceFile>,
    /// The last text for the metrics, and when it was made.
    exposition: Option<(Nanos, Arc<str>)>,
    shared: Arc<Shared>,
}
