//! The driver: its functions ([`table`]), and what we keep of the application's devices, contexts, streams and captures.
//!
//! `driver::cuMemAlloc_v2(..)` and the like call the driver for our own purposes. None of them passes the gate.
pub mod captures;
pub mod context;
pub mod contexts;
pub mod device;
pub mod kernel;
pub mod pools;
pub mod stream;
pub mod table;
pub mod teardown;

pub use table::*;
