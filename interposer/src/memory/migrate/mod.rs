//! How memory leaves its device and comes back.
pub mod batch;
pub mod look;
pub mod managed;
pub mod pieces;
pub mod plan;
pub mod residency;
pub mod swap_space;

use crate::driver::context::Context;
use crate::driver::contexts::Contexts;
use crate::memory::alloc::release::Releaser;
use crate::memory::dependencies::Dependencies;
use crate::memory::ledger::shared::SharedLedger;
use crate::memory::migrate::look::Findings;
use crate::memory::migrate::managed::ManagedMover;
use crate::memory::migrate::pieces::{PieceMover, TotalsOf};
use nvshare_protocol::Bytes;
use nvshare_protocol::tenant::Share;
use std::sync::Arc;

/// Moves whatever memory there is. Only the agent calls it, and only while nothing of this process is in flight.
#[derive(Debug)]
pub struct Migrator {
    ledger: Arc<SharedLedger>,
    releaser: Arc<Releaser>,
    contexts: Arc<Contexts>,
    pieces: Arc<PieceMover>,
    managed: ManagedMover,
}

impl Migrator {
    pub fn new(
        uses: &Dependencies,
        ledger: Arc<SharedLedger>,
        releaser: Arc<Releaser>,
        pieces: Arc<PieceMover>,
    ) -> Self {
        let managed = ManagedMover::new(ledger.clone());
        Self { ledger, releaser, contexts: uses.contexts.clone(), pieces, managed }
    }

    /// Brings back what belongs on each device, within its budget; without `bulk`, what page faults can bring is left
    /// to them and counted as there. `progress` is called after each batch.
    pub fn restore(&self, budget: &[Share], bulk: bool, mut progress: impl FnMut()) -> Vec<Share> {
        self.pieces.materialize_without_context();
        let mut restored = self.on_each(budget, |context, bytes| {
            let moved = self.pieces.restore(context, bytes, &mut progress);
            let rest = bytes.0.saturating_sub(self.managed.resident_besides(context.device.id));
            Bytes(moved.0 + self.managed.restore(context, Bytes(rest), bulk))
        });
        restored.extend(self.pieces.restore_without_context(budget, &mut progress));
        restored
    }

    /// Moves at least so many bytes out of each device, least recently used first, as far as they can leave. `progress`
    /// is called after each step, perhaps with the ledger locked: it must not ask this memory for anything but the
    /// sums.
    pub fn evict(&self, wanted: &[Share], mut progress: impl FnMut(TotalsOf<'_>)) -> Vec<Share> {
        self.on_each(wanted, |context, bytes| Bytes(self.evict_from(context, bytes.0, &mut progress)))
    }

    fn evict_from(&self, context: &Context, wanted: u64, progress: &mut dyn FnMut(TotalsOf<'_>)) -> u64 {
        if wanted == 0 {
            return 0;
        }
        // What nothing lies in need not be kept anywhere.
        let mut moved = self.releaser.release_empty_chunks(context.device.id, 0);
        let mut findings = Findings::new();
        while moved < wanted {
            let batch = self.pieces.evict_batch(context, wanted - moved, &mut findings, progress);
            let Some(batch) = batch else { break };
            moved += batch;
        }
        while moved < wanted {
            let batch = self.managed.evict(context, Bytes((wanted - moved).min(batch::COPIED)));
            if batch == 0 {
                break;
            }
            moved += batch;
            progress(&|device| self.ledger.totals(device));
        }
        moved
    }

    /// Does `act` in a context on each device that has one.
    fn on_each(&self, shares: &[Share], mut act: impl FnMut(&Context, Bytes) -> Bytes) -> Vec<Share> {
        let on_each = shares.iter().filter_map(|share| {
            let context = self.contexts.on(share.device)?;
            Some(Share { device: share.device, bytes: act(&context, share.bytes) })
        });
        on_each.collect()
    }
}
