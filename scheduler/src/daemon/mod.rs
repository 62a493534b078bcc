//! The one loop between the sockets and the core.
mod act;
mod answer;
mod count;
mod join;
mod leave;
mod machine;
mod members;
mod news;
mod reports;
mod run;
mod stopped;
mod swapping;
mod trace_file;
mod unshown;

pub use run::{Running, open};
pub use trace_file::TraceFile;

use crate::clock::Clock;
use crate::ledger::Ledger;
use crate::machine::{Machine, Seen};
use crate::outside::{Strangers, Watch};
use crate::process::Key;
use crate::settings::Settings;
use crate::tenants::connection::Shared;
use crate::tenants::promises::Promises;
use members::Members;
use nvshare_core::Core;
use nvshare_protocol::Nanos;
use std::collections::HashMap;
use std::sync::Arc;
use unshown::Unshown;

/// Everything that the loop knows.
pub struct Daemon {
    clock: Clock,
    core: Core,
    settings: Settings,
    members: Members,
    machine: Machine,
    seen: Seen,
    unshown: Unshown,
    ledger: Ledger,
    /// Until then, what tenants say that they have of swap space is believed.
    claims_until: Option<Nanos>,
    /// Processes whose end is waited for.
    watched: HashMap<Key, leave::Watched>,
    promises: Promises,
    strangers: Strangers,
    watch: Watch,
    looks: stopped::Looks,
    trace: Option<TraceFile>,
    /// The last text for the metrics, and when it was made.
    exposition: Option<(Nanos, Arc<str>)>,
    shared: Arc<Shared>,
}
