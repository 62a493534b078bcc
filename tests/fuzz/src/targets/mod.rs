//! The targets, by what is read.
pub mod container;
pub mod engines;
pub mod image;
pub mod operators;
pub mod settings;
pub mod tenants;
