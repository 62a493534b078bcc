//! Where the application's memory lies, and how it moves.
use crate::contexts::{Context, Contexts};
use nvshare_abi::{CUdeviceptr, CUresult};
use nvshare_protocol::Bytes;
use nvshare_protocol::tenant::Share;

mod ledger;
mod managed;
mod plan;
pub use ledger::{Allocation, Ledger, Totals};
pub use managed::Managed;
pub use plan::Range;

/// How memory is allocated, moved out and brought back.
pub trait Engine: Send + Sync {
    /// Its name in the settings and to the scheduler.
    fn name(&self) -> &'static str;
    /// Memory in the current context, and whether it can be moved.
    ///
    /// # Errors
    /// The code for the application.
    fn allocate(&self, context: &Context, bytes: usize) -> Result<(CUdeviceptr, bool), CUresult>;
    /// Brings ranges to the device and waits for them. Returns what came; what did not comes by page
    /// faults or not at all, as the engine's kind has it.
    fn fetch(&self, context: &Context, ranges: &[Range]) -> Vec<Range>;
    /// Moves ranges out of the device and waits for them. Returns what went: no more is booked as gone.
    fn evict(&self, context: &Context, ranges: &[Range]) -> Vec<Range>;
}

/// Brings back what belongs on each device, most recently used first, within its budget. Without
/// `bulk` nothing is brought, and counted as there all the same: the kernels' page faults will bring it.
pub fn fetch(
    engine: &dyn Engine,
    contexts: &Contexts,
    ledger: &Ledger,
    budget: &[Share],
    bulk: bool,
) -> Vec<Share> {
    each(contexts, budget, |context, bytes| {
        let ranges = plan::fetch(&ledger.on(context.device.id), bytes);
        let missing = ledger.missing(&ranges);
        let fetched = if bulk { plan::sum(&engine.fetch(context, &ranges)) } else { Bytes::ZERO };
        ledger.arrived(&ranges);
        Bytes(fetched.0.min(missing.0))
    })
}

/// Moves at least so many bytes out of each device, least recently used first.
pub fn evict(engine: &dyn Engine, contexts: &Contexts, ledger: &Ledger, wanted: &[Share]) -> Vec<Share> {
    each(contexts, wanted, |context, bytes| {
        let ranges = plan::evict(&ledger.on(context.device.id), bytes);
        if ranges.is_empty() {
            return Bytes::ZERO;
        }
        let gone = engine.evict(context, &ranges);
        ledger.left(&gone);
        plan::sum(&gone)
    })
}

fn each(contexts: &Contexts, shares: &[Share], mut act: impl FnMut(&Context, Bytes) -> Bytes) -> Vec<Share> {
    shares
        .iter()
        .filter_map(|share| {
            let context = contexts.on(share.device)?;
            Some(Share { device: share.device, bytes: act(&context, share.bytes) })
        })
        .collect()
}
