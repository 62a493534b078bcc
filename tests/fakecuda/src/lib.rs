//! A `libcuda.so.1` without a GPU: memory with a capacity, residency, page faults, copy engines, streams that
//! take time, shared by all processes that name the same `FAKECUDA_DIR`. For tests and the demo; never ships.
//!
//! `calls` is the C face, `sim` the device, `settings` the one list of what can be set.
#![allow(unsafe_code)] // it is a C library, maps shared memory, and computes on its callers' addresses
#![allow(
    non_snake_case,
    clippy::missing_safety_doc,
    clippy::too_many_arguments,
    reason = "the functions are NVIDIA's, with their names, their arguments and what they ask of callers"
)]

#[macro_use]
mod driver;
mod calls;
mod fail;
mod lookup;
mod ptx;
mod settings;
mod sim;
mod stubs;
