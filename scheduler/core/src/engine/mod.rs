//! What changes the model: what events do, and what follows from them.
pub(crate) mod leases;
pub(crate) mod liveness;
pub(crate) mod membership;
pub(crate) mod migration;
pub(crate) mod replies;
pub(crate) mod schedule;
