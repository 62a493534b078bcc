//! What is known: tenants, devices and what follows from them. Nothing here decides anything.
pub(crate) mod device;
pub(crate) mod dirty;
pub(crate) mod index;
pub(crate) mod lease;
pub(crate) mod queue;
pub(crate) mod run_queue;
pub mod settings;
pub mod span;
pub(crate) mod tenant;
pub(crate) mod tenants;
