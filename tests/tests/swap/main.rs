//! The swap engine from outside: real processes and a real scheduler on the simulated card. Memory that was moved out
//! and back is right, no more moves than is lacking, and what fails on the way is an error or a delay, never wrong data.
mod content;
mod failures;
mod later;
mod turns;

use anyhow::{Result, ensure};
use nvshare_protocol::control::{Status, TenantStatus};
use nvshare_tests::world::{Scheduler, Tenant, World, until};
use serde_json::Value;
use std::path::Path;

const MIB: u64 = 1 << 20;
/// Simulated bytes for a real one.
const SCALE: u64 = 64;
/// The card: 256 MiB that can be seen, of which the scheduler keeps a quarter back.
const CARD: &[(&str, &str)] = &[
    ("FAKECUDA_CARD", "report"),
    ("FAKECUDA_BYTE_SCALE", "64"),
    ("FAKECUDA_TIME_SCALE", "25"),
    ("NVSHARE_ENGINE", "swap"),
];
const USABLE: u64 = 192 * MIB;
/// An allocation of so much is one piece, which moves as a whole.
const PIECE: u64 = 32 * MIB;
const SWAP: &str = "[swap]\nbudget = \"8GiB\"\n";

/// A tenant of so many pieces.
fn load(world: &World, pieces: u64, more: &[&str], settings: &[(&str, &str)]) -> Result<Tenant> {
    let (bytes, blocks) = ((pieces * PIECE).to_string(), pieces.to_string());
    let arguments = [&["--bytes", &bytes, "--blocks", &blocks], more].concat();
    world.load(&arguments, settings)
}

fn right(last: &Value) {
    assert_eq!(last["wrong"], 0, "{last}");
    assert!(last["steps"].as_u64() > Some(0), "{last}");
}

fn find(status: &Status, pid: u32) -> Option<&TenantStatus> {
    status.tenants.iter().find(|tenant| tenant.pid == pid)
}

/// What the tenant of that process has on the card; none once it is gone.
fn resident(scheduler: &Scheduler, pid: u32) -> Result<Option<u64>> {
    Ok(find(&scheduler.status()?, pid).map(|tenant| tenant.resident_bytes))
}

/// Waits until the tenant of that process has nothing on the card.
fn until_moved_out(scheduler: &Scheduler, pid: u32) -> Result<()> {
    until("all its memory is moved out", || Ok(resident(scheduler, pid)? == Some(0)))
}

fn turns(scheduler: &Scheduler) -> Result<usize> {
    Ok(scheduler.trace()?.spans.iter().filter(|span| span.kind == "run").count())
}

/// The sum of the pieces that the card has copied in, or out, in real bytes. What the load itself copies is smaller.
fn copied(log: &Path, operation: &str) -> u64 {
    copied_by(log, operation, PIECE)
}

/// The same of copies of at least so many bytes.
fn copied_by(log: &Path, operation: &str, least: u64) -> u64 {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let operations = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let bytes =
        operations.filter(|part| part[2] == operation).map(|part| part[3].parse::<u64>().expect("bytes"));
    bytes.filter(|bytes| *bytes >= least * SCALE).sum::<u64>() / SCALE
}
