//! Every decision of the scheduler, and nothing else: no clock, no socket, no thread.
#![forbid(unsafe_code)]
pub mod event;
