//! Who may hold, who comes next, who must leave and until when.
pub(crate) mod admission;
pub(crate) mod backfill;
pub(crate) mod bandwidth;
pub(crate) mod claims;
pub(crate) mod fairness;
pub(crate) mod families;
pub(crate) mod grants;
pub(crate) mod interactive;
pub(crate) mod liveness;
pub(crate) mod priority;
pub(crate) mod quantum;
pub(crate) mod revocations;
pub(crate) mod run_queue;
pub(crate) mod thrash;
pub(crate) mod timers;
pub(crate) mod waits;
