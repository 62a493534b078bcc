//! Tenants: their connections, what they may say, and what the daemon knows of them.
pub mod accept;
pub mod connection;
pub mod limits;
pub mod mailbox;
pub mod promises;
pub mod rate;
pub mod told;
pub mod validate;
