//! How a container gets the library and the scheduler's socket.
//!
//! Three programs, one library: [`shim`] is the OCI runtime shim, [`hook`] the OCI hook, [`ctk`] the set-up
//! tool. What they share, from the outside in:
//!
//! * [`argv`] reads a low-level runtime's command line, [`bundle`] a bundle's files;
//! * [`image_annotations`] knows what the image's manifest says, [`provenance`] takes that apart from what the user says, [`selection`]
//!   decides whether a container is ours, [`rootfs`] looks at what its libc can load;
//! * [`plan`] turns both into a plan, [`edit`] carries the plan out on the JSON document and nothing else;
//! * [`cleanup`] takes what is left of it out of a container that has ended;
//! * [`config`] and [`constants`] are the tables: every setting, every name;
//! * `json` and `file_size` keep a document from being written again with a loss, and a process from ending over it;
//! * [`logging`] says what went wrong, and [`panic_guard`] makes an error of a panic of ours.
//!
//! Invariants: `edit`, `settle` and `which` do no I/O. Nothing here prints while a container starts: without a
//! terminal, standard output and error are the container's own.

#![forbid(unsafe_code)]

pub mod argv;
pub mod bundle;
pub mod cleanup;
pub mod config;
pub mod constants;
pub mod ctk;
pub mod edit;
mod fsize_limit;
pub mod hook;
pub mod image_annotations;
mod json;
pub mod logging;
pub mod low_level_runtime;
pub mod panic_guard;
pub mod place;
pub mod plan;
pub mod provenance;
pub mod rootfs;
mod scratch;
pub mod selection;
pub mod shim;
pub mod spec;
mod stub_library;
