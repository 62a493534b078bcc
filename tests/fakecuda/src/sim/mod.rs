//! The device: what all processes share of it, what each has on it, and how its work takes time.
pub mod capture;
pub mod clock;
pub mod context;
pub mod executor;
pub mod kernels;
pub mod memory;
pub mod oplog;
pub mod process;
pub mod residency;
pub mod shared;
pub mod stream;
pub mod work;
