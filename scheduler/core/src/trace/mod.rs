//! Events, actions and settings as text: lines printed and read back, replays, and snapshots of one moment.
pub(crate) mod field;
pub mod parse;
pub mod print;
pub(crate) mod replay;
pub mod snapshot;
