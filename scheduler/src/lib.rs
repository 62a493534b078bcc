//! The hands of the scheduler: sockets, clock, log and settings around [`nvshare_core`], which
//! decides; and `nvsharectl`, which shows it to an operator.
//!
//! One thread. Each tenant's connection is a task ([`tenants::connection`]) that validates what comes
//! in and puts it into one bounded queue; one loop ([`daemon`]) hands it to the core and carries the
//! actions out. Nothing that a peer does or leaves undone makes the loop wait. What may block by itself has a
//! thread of its own: the log, the allocation of swap space, NVML.
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
pub mod stdout;
pub mod swap;
pub mod systemd;
pub mod tenants;
pub mod text;
