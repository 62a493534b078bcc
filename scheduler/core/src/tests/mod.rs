//! The core under random operations, with its invariants checked after each, and under virtual tenants
//! in virtual time.
mod attacks;
mod bounds;
mod budgets;
mod claims;
mod clients;
mod cost;
mod faults;
mod figures;
mod gang_views;
mod gangs;
mod idleness;
mod interactive;
mod invariants;
mod liars;
mod mixes;
mod moves;
mod operations;
mod operators;
mod owners;
mod priorities;
mod quanta;
mod sharing;
mod spans;
mod thrash;
mod time_shares;
mod unaccounted;
mod unresponsive;
mod world;

use crate::event::TenantId;
use nvshare_protocol::{Bytes, DeviceId};

const GIB: u64 = 1 << 30;

fn device(n: u8) -> DeviceId {
    let mut id = DeviceId::default();
    id.0[15] = n;
    id
}

fn tenant(n: u64) -> TenantId {
    TenantId(n)
}

fn gib(n: u64) -> Bytes {
    Bytes(n * GIB)
}
