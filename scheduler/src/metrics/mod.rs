//! Numbers for Prometheus: what is counted, how it is written, and where it is served.
pub mod counts;
pub mod exposition;
pub mod listen;
pub mod server;
pub mod table;
