//! NVIDIA's facts: the part of the CUDA driver's ABI that we touch. Types, and two tables of entry points.
//!
//! A leaf: it calls nothing, and nothing of it runs. Handles, plain structures and addresses are those of
//! `cuda-driver-sys` (CUDA 10.2), used for its types only; what is newer stands in `types.rs`.
#![no_std]
#![forbid(unsafe_code)]

mod passthrough;
mod result;
mod table;
mod types;

pub use passthrough::{PASSTHROUGH, PassthroughGroup};
pub use result::{CUresult, RESULTS};
pub use types::*;
