//! What pools have taken and keep (`cuMemPool*`).
use crate::driver::captures::Captures;
use crate::memory::alloc::release::Releaser;
use crate::memory::ledger::PoolUsage;
use crate::memory::ledger::shared::SharedLedger;
use nvshare_protocol::DeviceId;
use std::sync::Arc;

/// The account of each pool.
#[derive(Debug)]
pub struct PoolAccounts {
    ledger: Arc<SharedLedger>,
    releaser: Arc<Releaser>,
    captures: Arc<Captures>,
}

impl PoolAccounts {
    pub fn new(ledger: Arc<SharedLedger>, releaser: Arc<Releaser>, captures: Arc<Captures>) -> Self {
        Self { ledger, releaser, captures }
    }

    /// What was taken of a pool, if anything ever was.
    pub fn usage(&self, pool: usize) -> Option<PoolUsage> {
        self.ledger.lock().pools.get(&pool).copied()
    }

    /// The pool's high-water mark begins anew.
    pub fn reset_high_water(&self, pool: usize) {
        if let Some(of) = self.ledger.lock().pools.get_mut(&pool) {
            of.high_water = of.used;
        }
    }

    /// The pool keeps so much at most from now on, and what is used.
    pub fn trim(&self, pool: usize, keep: u64) {
        let mut ledger = self.ledger.lock();
        if let Some(of) = ledger.pools.get_mut(&pool) {
            of.reserved = of.reserved.min(keep.max(of.used));
        }
        let device = ledger.thresholds.get(&pool).map(|(device, _)| *device);
        drop(ledger);
        if let Some(device) = device {
            self.release_chunks_unless_captured(device, keep);
        }
    }

    /// Gives chunks back that nothing lies in, but not beside a capture, which the driver's free would end.
    fn release_chunks_unless_captured(&self, device: DeviceId, keep: u64) {
        self.captures.while_none(|| self.releaser.release_empty_chunks(device, keep));
    }

    /// The pool keeps so much of what is freed.
    pub fn set_threshold(&self, pool: usize, device: DeviceId, bytes: u64) {
        self.ledger.lock().thresholds.insert(pool, (device, bytes));
    }

    /// A pool ends, and with it what it kept. What was taken of it stays until it is freed; its handle may become
    /// another's.
    pub fn forget(&self, pool: usize) {
        let mut ledger = self.ledger.lock();
        ledger.pools.remove(&pool);
        let kept_on = ledger.thresholds.remove(&pool).map(|(device, _)| device);
        let rest = kept_on.map_or(0, |device| ledger.thresholds_on(device));
        for allocation in ledger.allocations.values_mut().filter(|allocation| allocation.pool == pool) {
            allocation.pool = 0;
        }
        drop(ledger);
        self.ledger.drop_access_of_pool(pool);
        if let Some(device) = kept_on {
            self.release_chunks_unless_captured(device, rest);
        }
    }
}
