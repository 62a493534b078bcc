//! How a container gets the library and the scheduler's socket.
//!
//! Three programs, one library: [`exec`] is the OCI runtime shim, [`hook`] the OCI hook, [`ctk`] the set-up
//! tool. What they share, from the outside in:
//!
//! * [`argv`] reads a low-level runtime's command line, [`bundle`] a bundle's files;
//! * [`storage`] knows what the image's manifest says, [`settle`] takes that apart from what the user says, [`which`]
//!   decides whether a container is ours, [`rootfs`] looks at what its libc can load;
//! * [`inject`] turns both into a plan, [`edit`] carries the plan out on the JSON document and nothing else;
//! * [`tidy`] takes what is left of it out of a container that has ended;
//! * [`config`] and [`names`] are the tables: every setting, every name;
//! * `json` and `file_size` keep a document from being written again with a loss, and a process from ending over it;
//! * [`report`] says what went wrong, and [`defects`] makes an error of a panic of ours.
//!
//! Invariants: `edit`, `settle` and `which` do no I/O. Nothing here prints while a container starts: without a
//! terminal, standard output and error are the container's own.

#![forbid(unsafe_code)]

pub mod argv;
pub mod bundle;
pub mod config;
pub mod ctk;
pub mod defects;
pub mod edit;
pub mod exec;
mod file_size;
pub mod hook;
pub mod inject;
mod json;
pub mod lowlevel;
pub mod names;
pub mod report;
pub mod rootfs;
mod scratch;
pub mod settle;
pub mod storage;
mod stub;
pub mod tidy;
pub mod which;
