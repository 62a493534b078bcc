//! The hands of the scheduler: sockets, clock, log and settings around [`nvshare_core`], which
//! decides; and `nvsharectl`, which shows it to an operator.
//!
//! One thread. Each tenant's connection is a task ([`tenants::connection`]) that validates what comes
//! in and puts it into one bounded queue; one loop ([`daemon`]) hands it to the core and carries the
//! actions out. Nothing that a peer does or leaves undone makes the loop wait. What may block by itself has a
//! thread of its own: the log, the allocation of swap space, NVML.
pub mod cgroup;
pub mod cli;
pub mod clock;
pub mod control;
pub mod ctl;
pub mod daemon;
pub mod feed;
pub mod identity;
pub mod ledger;
pub mod logging;
pub mod machine;
pub mod metrics;
pub mod notify;
pub mod outside;
pub mod pages;
pub mod process;
pub mod process_state;
pub mod record;
pub mod seldom;
pub mod settings;
pub mod sockets;
pub mod subordinate;
pub mod swap;
pub mod tenants;
pub mod text;
