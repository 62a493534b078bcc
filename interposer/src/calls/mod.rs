//! What each kind of call means: a handler for each, in files by the chapters of CUDA's driver API. Ordinary functions:
//! no `extern`, and the application's own call goes to the driver by the dispatcher alone. What they ask the driver
//! themselves is what they need to know, or what takes that call's place.
//!
//! A handler takes what it needs of the call ([`crate::dispatch::FromCall`]) and the arguments that its row names, and
//! says what happens to the call.
mod alloc;
mod answer;
mod array;
mod context;
mod copy_between_devices;
mod device;
mod graph;
mod init;
mod ipc;
mod launch;
mod pointer;
mod pool;
mod stream;
mod vmm;

pub use alloc::*;
pub use array::*;
pub use context::*;
pub use copy_between_devices::*;
pub use device::*;
pub use graph::*;
pub use init::*;
pub use ipc::*;
pub use launch::*;
pub use pointer::*;
pub use pool::*;
pub use stream::*;
pub use vmm::*;
