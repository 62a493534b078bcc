//! The C face: what each driver call means for the simulated device.
mod context;
mod copy;
mod device;
mod errors;
mod graph;
mod init;
mod launch;
mod memory;
mod module;
mod stream;

pub use context::*;
pub use copy::*;
pub use device::*;
pub use errors::*;
pub use graph::*;
pub use init::*;
pub use launch::*;
pub use memory::*;
pub use module::*;
pub use stream::*;
