//! The ledger as threads share it, and how they hear of its changes.
use crate::limits::Limits;
use crate::memory::ledger::content::Spared;
use crate::memory::ledger::{Ledger, Totals, Unevictable};
use crate::refusals::{By, Refusal, SENT_WITHIN};
use crate::sys::detached::{Detached, Transaction};
use crate::sys::lock::{Condvar, Mutex, MutexGuard, rank};
use crate::sys::waker::Waker;
use nvshare_abi::CUresult;
use nvshare_protocol::tenant::Share;
use nvshare_protocol::{Bytes, DeviceId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::time::Duration;

#[derive(Debug)]
pub struct SharedLedger {
    ledger: Mutex<Ledger, { rank::LEDGER }>,
    /// Memory has come or gone, or a request of a waiting call has been answered.
    moved: Condvar,
    /// Whether there is more or less memory than the agent was told of.
    changed: AtomicBool,
    /// Whether a scheduler can make room for us.
    scheduler_attached: AtomicBool,
    /// Wakes the agent.
    waker: Arc<Waker>,
}

impl SharedLedger {
    pub fn new(waker: Arc<Waker>) -> Self {
        Self {
            ledger: Mutex::default(),
            moved: Condvar::new(),
            changed: AtomicBool::new(false),
            scheduler_attached: AtomicBool::new(false),
            waker,
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock()
    }

    /// What hand-overs did not have to copy since the process began.
    pub fn spared(&self) -> Spared {
        Spared::of(self.lock().moved.values())
    }

    /// Waits until memory has moved, for `left` at most.
    pub fn wait<'a>(&self, ledger: MutexGuard<'a, Ledger>, left: Duration) -> MutexGuard<'a, Ledger> {
        ledger.wait_timeout(&self.moved, left)
    }

    /// Memory has moved.
    pub fn notify(&self) {
        self.moved.notify_all();
    }

    /// There is more or less memory than before.
    pub fn mark_changed(&self) {
        self.changed.store(true, Release);
    }

    /// Wakes the agent if there is more or less memory than it knows of.
    pub fn report_changes(&self) {
        if self.changed.load(Relaxed) && self.changed.swap(false, AcqRel) {
            self.waker.wake();
        }
    }

    pub fn set_scheduler_attached(&self, attached: bool) {
        self.scheduler_attached.store(attached, Release);
        self.notify();
    }

    pub fn is_scheduler_attached(&self) -> bool {
        self.scheduler_attached.load(Acquire)
    }

    pub fn charged(&self, device: DeviceId) -> u64 {
        self.lock().charged(device)
    }

    pub fn totals(&self, device: DeviceId) -> Totals {
        self.lock().totals(device)
    }

    /// On each device, the smallest memory that the driver has refused since this was last asked.
    pub fn take_refusals(&self) -> Vec<Share> {
        let refused = std::mem::take(&mut self.lock().refused);
        refused.into_iter().map(|(device, bytes)| Share { device, bytes: Bytes(bytes) }).collect()
    }

    /// What cannot leave the device, in words: reason and bytes.
    pub fn unevictable_by_reason(&self, device: DeviceId) -> Vec<(&'static str, u64)> {
        self.lock().unevictable_by_reason(device).into_iter().collect()
    }

    /// Counts memory that stays where it is, before the driver makes it.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY`, with nothing counted.
    pub fn charge(&self, device: DeviceId, bytes: u64, limit: Option<u64>) -> Result<(), CUresult> {
        self.lock().charge(device, bytes, limit)
    }

    /// A bound, or without one the lack of swap space, refuses an allocation: the first time, the user and the operator
    /// are told. Returns the code for the application.
    pub fn refuse(&self, limits: &Limits, device: DeviceId, asked: u64, bound: Option<u64>) -> CUresult {
        let by = bound.map_or(By::Swap, |bound| limits.source(bound));
        let refusal = || Refusal { by, device, asked, used: self.charged(device) };
        if limits.refusals.tell(refusal) && self.is_scheduler_attached() {
            self.waker.wake();
            limits.refusals.wait_until_sent(SENT_WITHIN);
        }
        CUresult::ERROR_OUT_OF_MEMORY
    }

    pub fn refund(&self, device: DeviceId, bytes: u64) {
        self.lock().refund(device, bytes);
    }

    /// The driver has made what was charged.
    pub fn add_unevictable(&self, key: usize, entry: Unevictable) {
        self.lock().add_unevictable(key, entry);
    }

    /// Takes out memory that the driver is about to free: afterwards its handle may be another's at once. It is counted
    /// no more.
    pub fn detach_unevictable(&self, key: usize) -> Option<Detached<FreeingUnevictable<'_>>> {
        let entry = self.lock().take_unevictable(key)?;
        Some(Detached::new(FreeingUnevictable { ledger: self, key, entry }))
    }
}

/// Memory that stays on the device, and that the driver is freeing.
#[derive(Debug)]
pub struct FreeingUnevictable<'a> {
    ledger: &'a SharedLedger,
    key: usize,
    entry: Unevictable,
}

impl Transaction for FreeingUnevictable<'_> {
    fn commit(self) {}

    fn rollback(self) {
        let mut ledger = self.ledger.lock();
        if ledger.charge(self.entry.device, self.entry.bytes, None).is_ok() {
            ledger.add_unevictable(self.key, self.entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: DeviceId = DeviceId([1; 16]);

    #[test]
    fn memory_that_the_driver_keeps_is_counted_again() {
        let ledger = SharedLedger::new(Arc::default());
        ledger.charge(GPU, 5, None).unwrap();
        ledger.add_unevictable(3, Unevictable { device: GPU, bytes: 5, reason: "arrays", context: 7 });
        let freeing = ledger.detach_unevictable(3).unwrap();
        assert_eq!(ledger.charged(GPU), 0);
        freeing.rollback();
        assert_eq!((ledger.charged(GPU), ledger.totals(GPU).unevictable), (5, 5));
        ledger.detach_unevictable(3).unwrap().commit();
        assert!(ledger.detach_unevictable(3).is_none());
        assert_eq!(ledger.charged(GPU), 0);
    }
}
