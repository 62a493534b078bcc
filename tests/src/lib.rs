//! The product from outside: a world of real processes over a simulated or a real GPU.
pub mod cuda;
pub mod demo;
pub mod soak;
pub mod world;
