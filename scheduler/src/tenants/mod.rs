//! Tenants: their connections, what they may say, and what the daemon knows of them.
pub mod accept;
pub mod connection;
pub mod inbound;
pub mod mailbox;
pub mod permits;
pub mod reservations;
pub mod shared;
pub mod token_bucket;
pub mod validate;
