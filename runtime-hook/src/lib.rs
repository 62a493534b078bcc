//! How a container gets the library and the scheduler's socket.
//!
//! Three programs, one library: [`shim`] is the OCI runtime shim, [`hook`] the OCI hook, [`ctk`] the set-up tool. They
//! share the modules below, listed in the order in which a container's start uses them:
//!
//! * [`argv`] reads a low-level runtime's command line, [`bundle`] the files of a bundle, [`spec`] the fields of OCI
//!   documents;
//! * [`image_annotations`] finds out which annotations came with the image, [`provenance`] separates them from the
//!   user's, [`selection`] decides whether a container is to be managed;
//! * [`wishes`] finds what a container asks for and does not get, so that nobody takes a mistake for a limit;
//! * [`rootfs`] finds out which loader and C library a container's programs have;
//! * [`preload`] finds out how that loader can be told of the library, or why the container is [`unmanageable`];
//! * [`plan`] turns the decision into a plan, [`place`] chooses where our files go in the container, [`scratch`] where
//!   they lie on the host, and [`edit`] carries the plan out on the JSON document;
//! * [`low_level_runtime`] finds and executes the runtime below;
//! * [`start_record`] keeps what a start found until the container is deleted; [`cleanup`] then removes our files and
//!   restores the bundle;
//! * [`settings`] is the table of settings, [`constants`] the table of names;
//! * `json` and `fsize_limit` prevent that a document loses a key, or that a process is killed, when a file is written;
//! * [`logging`] reports failures, and [`panic_guard`] turns our panics into errors.
//!
//! Invariants: `spec`, `provenance`, `selection`, `wishes`, `place` and `edit` do no I/O. Nothing here prints while a container
//! starts: without a terminal, standard output and error are the container's own.

#![forbid(unsafe_code)]

pub mod argv;
pub mod bundle;
pub mod cleanup;
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
pub mod preload;
pub mod provenance;
pub mod rootfs;
pub mod scratch;
pub mod selection;
pub mod settings;
pub mod shim;
pub mod spec;
pub mod start_record;
mod stub_library;
pub mod unmanageable;
pub mod wishes;
