//! The scheduler's daemon, and `nvsharectl`. [`nvshare_core`] decides; the daemon adds sockets, clock, log and settings.
//!
//! The daemon has one thread. Each tenant's connection is a task ([`tenants::connection`]) that validates messages and puts
//! them into one bounded queue. One loop ([`daemon`]) hands them to the core and carries out its actions. The loop never
//! waits for a peer. What may block has a thread of its own: the log, the allocation of swap space, NVML.
//!
//! * [`identity`] and [`process`] find out who a peer is, by the kernel; [`sockets`] makes the sockets;
//! * [`tenants`] serves the tenants, [`operator_api`] the operators, [`metrics`] the scrapes;
//! * [`devices`] and [`nvml`] know the host's devices; [`swap`] allocates swap space and counts it; [`usage`] keeps what was used;
//! * [`settings`] is the table of settings; [`command_line`] reads the daemon's flags, [`cli`] is `nvsharectl`;
//! * [`rate_limited_log`], [`event_bus`] and [`logging`] tell operators what happens; [`systemd`] is notified.
pub mod cli;
pub mod clock;
pub mod command_line;
pub mod daemon;
pub mod devices;
pub mod event_bus;
pub mod identity;
pub mod logging;
pub mod metrics;
pub mod nvml;
pub mod operator_api;
pub mod process;
pub mod rate_limited_log;
pub mod settings;
pub mod sockets;
pub mod swap;
pub mod systemd;
pub mod tenants;
pub mod text;
pub mod usage;

use nvshare_protocol::console as stdout;
