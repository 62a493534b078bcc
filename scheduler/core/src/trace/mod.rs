//! The core's story as text: lines printed and read back, replays, pictures of one moment.
pub(crate) mod field;
pub mod parse;
pub mod print;
pub(crate) mod replay;
pub mod snapshot;
