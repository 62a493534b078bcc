//! The one loop between the sockets and the core.
//!
//! * `run` starts the daemon and waits for whatever comes next;
//! * `reactor` holds `Daemon`: it turns what comes in into events of the core, and carries out the
//!   core's actions; `join_leave` does so for tenants that come and go, `device_events` for devices and NVML's answers;
//! * `audit` tells operators what happens, `accounting` counts it, `metering` counts what tenants use; `queries` answers
//!   operators, with what `operators` makes of their requests;
//! * `tenant_table` knows the tenants, with what they have reported (`reports`) and whether their processes are halted
//!   (`liveness`); `exits` waits for the end of processes;
//! * `why` says in words what a tenant waits for; `tenant_rules` sets what holds for one tenant (`rules`), `reload` reads
//!   the settings again;
//! * `wishes` decides what a tenant gets of its wishes, `swap_space` what it gets of the swap space;
//! * `gangs` has the numbers of jobs of several processes;
//! * `families` finds who may be of one job, `learned_gangs` takes processes for a job whose work waits for each other;
//! * `held_requests` keeps requests back until NVML has answered.
mod accounting;
mod audit;
mod content;
mod device_events;
mod engine;
mod exits;
mod families;
mod gangs;
mod held_requests;
mod job_shares;
mod jobs;
mod join_leave;
mod learned_gangs;
mod liveness;
mod metering;
mod operators;
mod queries;
mod reactor;
mod reload;
mod reports;
mod rules;
mod run;
mod swap_space;
mod tenant_rules;
mod tenant_table;
mod trace_file;
mod usage;
mod why;
mod wishes;

pub use run::{Places, Running, open};
pub use trace_file::TraceFile;
