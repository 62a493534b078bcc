//! How much memory a tenant may have on a device, and how much is in its way.
pub(crate) mod budget;
pub(crate) mod capacity;
pub(crate) mod headroom;
pub(crate) mod prefetch;
pub(crate) mod unaccounted;
