//! The three programs as engines and operators start them, with a script for the runtime below. No container is made.
mod ctk;
mod ground;
mod hook;
mod lifetime;
mod shim;
