//! The one loop between the sockets and the core.
//!
//! * `run` starts the daemon and waits for whatever comes next;
//! * `reactor` holds `Daemon`: it turns what comes in into events of the core, and carries out the
//!   core's actions; `join_leave` does so for tenants that come and go, `device_events` for devices and NVML's answers;
//! * `audit` tells operators what happens, `accounting` counts it, `operators` answers their questions;
//! * `tenant_table` knows the tenants, with what they have reported (`reports`) and whether their processes are halted
//!   (`liveness`); `exits` waits for the end of processes;
//! * `why` says in words what a tenant waits for; `tenant_rules` holds what operators set for one, `reload` reads the
//!   settings again;
//! * `wishes` decides what a tenant gets of its wishes, `swap_space` what it gets of the swap space;
//! * `held_requests` keeps requests back until NVML has answered.
mod accounting;
mod audit;
mod device_events;
mod engine;
mod exits;
mod held_requests;
mod join_leave;
mod liveness;
mod operators;
mod reactor;
mod reload;
mod reports;
mod run;
mod swap_space;
mod tenant_rules;
mod tenant_table;
mod trace_file;
mod usage;
mod why;
mod wishes;

pub use reload::Source;
pub use run::{Places, Running, open};
pub use trace_file::TraceFile;
