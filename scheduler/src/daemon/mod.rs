//! The one loop between the sockets and the core.
mod accounting;
mod audit;
mod devices;
mod held_requests;
mod join;
mod leave;
mod liveness;
mod members;
mod operators;
mod reactor;
mod reports;
mod run;
mod swap_space;
mod trace_file;

pub use run::{Running, open};
pub use trace_file::TraceFile;

use crate::clock::Clock;
use crate::devices::{Devices, ProcessUsage};
use crate::nvml::{ExternalProcesses, Monitor};
use crate::process::Key;
use crate::settings::Settings;
use crate::swap::ledger::Ledger;
use crate::tenants::connection::Shared;
use crate::tenants::reservations::Reservations;
use held_requests::HeldRequests;
use members::Members;
use nvshare_core::Core;
use nvshare_protocol::Nanos;
use std::collections::HashMap;
use std::sync::Arc;

/// Everything that the loop knows.
pub struct Daemon {
    clock: Clock,
    core: Core,
    settings: Settings,
    members: Members,
    devices: Devices,
    process_usage: ProcessUsage,
    held_requests: HeldRequests,
    ledger: Ledger,
    /// Until then, what tenants say that they have of swap space is believed.
    claims_until: Option<Nanos>,
    /// Processes whose end is waited for.
    watched: HashMap<Key, leave::Watched>,
    reservations: Reservations,
    external_processes: ExternalProcesses,
    nvml: Monitor,
    polls: liveness::PollSchedule,
    trace: Option<TraceFile>,
    /// The last text for the metrics, and when it was made.
    exposition: Option<(Nanos, Arc<str>)>,
    shared: Arc<Shared>,
}
