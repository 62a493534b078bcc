//! The protocols between a tenant's library and the scheduler, and between an operator and the scheduler.
//!
//! # Compatibility law
//!
//! A library in a running container is never upgraded together with the daemon, so every pair of
//! versions has to understand each other:
//!
//! 1. A frame is a `u32` length (little endian, the body's bytes, 1 to [`frame::MAX_BODY`]) and a body: one CBOR item.
//! 2. The numbers in `#[n(…)]` are the protocol. They are never changed, never used again for something else.
//! 3. A new field goes at the end, under a new number, as an `Option`; a peer that does not know it skips it,
//!    a peer that misses it acts as before the field existed.
//! 4. A new message gets a new number; a peer that does not know it skips the frame ([`frame::Received::Unknown`]).
//! 5. [`VERSION`] says which messages a peer may send, not whether it may connect. It rises with every new message.
//! 6. `tests/frozen.rs` holds the bytes of every message of every version. They are only ever added to.
//!
//! This crate is a leaf: it knows no clock, no socket and no policy. What all programs read or write alike is here too
//! ([`quantity`], [`wishes`], [`runtime_settings`], [`job_rules`], [`plugin_arguments`]); what the library has no use for needs the feature
//! `control`.
#![forbid(unsafe_code)]

#[cfg(feature = "control")]
pub mod check;
#[cfg(feature = "control")]
pub mod console;
#[cfg(feature = "control")]
pub mod control;
#[cfg(feature = "messages")]
pub mod frame;
pub mod job_rules;
pub mod paths;
pub mod plugin_arguments;
pub mod quantity;
pub mod runtime_settings;
#[cfg(feature = "messages")]
pub mod tenant;
mod units;
pub mod wishes;

pub use units::{Bytes, DeviceId, InstanceId, LeaseId, Nanos};

/// The version of the tenants' protocol that this build speaks.
pub const VERSION: u32 = 5;
