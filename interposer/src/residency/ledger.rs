//! What the application has allocated: its addresses, its sum per device, and what of it is resident.
use super::Range;
use crate::gate::now_or_never;
use nvshare_abi::CUresult;
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// One allocation. Its resident part is its beginning, as far as we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    pub start: u64,
    pub bytes: u64,
    pub resident: u64,
    /// Rises with every allocation: the newest counts as the most recently used, for what kernels use is
    /// not seen.
    pub stamp: u64,
    pub movable: bool,
    /// The context that it goes with.
    pub context: usize,
}

/// One device's sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub allocated: u64,
    pub resident: u64,
    pub immovable: u64,
}

#[derive(Debug, Default)]
pub struct Ledger {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    allocations: BTreeMap<u64, (DeviceId, Allocation)>,
    /// Allocated, and charged for allocations that the driver is making.
    charged: BTreeMap<DeviceId, u64>,
    stamp: u64,
}

impl Inner {
    fn refund(&mut self, device: DeviceId, bytes: u64) {
        let charged = self.charged.entry(device).or_default();
        *charged = charged.saturating_sub(bytes);
    }
}

impl Ledger {
    /// Counts `bytes` against the device, before the driver is asked.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY`, with nothing counted, if that would pass `limit`.
    pub fn charge(&self, device: DeviceId, bytes: u64, limit: Option<u64>) -> Result<(), CUresult> {
        let mut inner = now_or_never(self.inner.lock());
        let charged = inner.charged.entry(device).or_default();
        let sum = charged.checked_add(bytes).ok_or(CUresult::ERROR_OUT_OF_MEMORY)?;
        if limit.is_some_and(|limit| sum > limit) {
            return Err(CUresult::ERROR_OUT_OF_MEMORY);
        }
        *charged = sum;
        Ok(())
    }

    /// Takes a charge back: the driver refused.
    pub fn refund(&self, device: DeviceId, bytes: u64) {
        now_or_never(self.inner.lock()).refund(device, bytes);
    }

    /// Notes what was charged and then made.
    pub fn add(&self, device: DeviceId, allocation: Allocation) {
        let mut inner = now_or_never(self.inner.lock());
        inner.stamp += 1;
        let stamp = inner.stamp;
        let noted = Allocation { stamp, ..allocation };
        if let Some((device, old)) = inner.allocations.insert(allocation.start, (device, noted)) {
            // The address is the driver's to give out again: the old allocation went where we did not see it.
            inner.refund(device, old.bytes);
        }
    }

    /// Takes out the allocation at `start`, if it is one of ours, before the driver frees it: afterwards
    /// the address may be somebody else's at once. It stays charged until [`Self::refund`].
    pub fn take(&self, start: u64) -> Option<(DeviceId, Allocation)> {
        now_or_never(self.inner.lock()).allocations.remove(&start)
    }

    /// Puts back what was taken out: the driver did not free it.
    pub fn put_back(&self, (device, allocation): (DeviceId, Allocation)) {
        now_or_never(self.inner.lock()).allocations.insert(allocation.start, (device, allocation));
    }

    /// Forgets everything that goes with a context that is gone.
    pub fn remove_context(&self, context: usize) {
        let mut inner = now_or_never(self.inner.lock());
        let gone: Vec<_> = inner
            .allocations
            .extract_if(.., |_, (_, allocation)| allocation.context == context)
            .map(|(_, (device, allocation))| (device, allocation.bytes))
            .collect();
        for (device, bytes) in gone {
            inner.refund(device, bytes);
        }
    }

    /// The allocations on one device.
    pub fn on(&self, device: DeviceId) -> Vec<Allocation> {
        let inner = now_or_never(self.inner.lock());
        inner
            .allocations
            .values()
            .filter(|(on, _)| *on == device)
            .map(|(_, allocation)| *allocation)
            .collect()
    }

    pub fn charged(&self, device: DeviceId) -> u64 {
        now_or_never(self.inner.lock()).charged.get(&device).copied().unwrap_or_default()
    }

    pub fn totals(&self, device: DeviceId) -> Totals {
        let mut totals = Totals { allocated: self.charged(device), ..Totals::default() };
        for allocation in self.on(device) {
            totals.resident += if allocation.movable { allocation.resident } else { allocation.bytes };
            totals.immovable += if allocation.movable { 0 } else { allocation.bytes };
        }
        totals
    }

    /// How much of `ranges` is not resident.
    pub fn missing(&self, ranges: &[Range]) -> Bytes {
        let mut missing = 0;
        self.each(ranges, |range, allocation| {
            missing += (range.start - allocation.start + range.bytes).saturating_sub(allocation.resident);
        });
        Bytes(missing)
    }

    pub fn arrived(&self, ranges: &[Range]) {
        self.each(ranges, |range, allocation| {
            let end = range.start - allocation.start + range.bytes;
            allocation.resident = allocation.resident.max(end).min(allocation.bytes);
        });
    }

    pub fn left(&self, ranges: &[Range]) {
        self.each(ranges, |range, allocation| {
            allocation.resident = allocation.resident.min(range.start - allocation.start);
        });
    }

    /// Every allocation that is still there, with its range.
    fn each(&self, ranges: &[Range], mut act: impl FnMut(&Range, &mut Allocation)) {
        let mut inner = now_or_never(self.inner.lock());
        for range in ranges {
            if let Some((_, (_, allocation))) = inner.allocations.range_mut(..=range.start).next_back()
                && range.start < allocation.start + allocation.bytes
            {
                act(range, allocation);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: DeviceId = DeviceId([1; 16]);

    fn made(ledger: &Ledger, start: u64, bytes: u64) {
        ledger.charge(GPU, bytes, None).unwrap();
        ledger.add(GPU, Allocation { start, bytes, resident: bytes, stamp: 0, movable: true, context: 7 });
    }

    #[test]
    fn the_limit_is_a_sum_over_what_is_there() {
        let ledger = Ledger::default();
        ledger.charge(GPU, 60, Some(100)).unwrap();
        assert_eq!(ledger.charge(GPU, 41, Some(100)), Err(CUresult::ERROR_OUT_OF_MEMORY));
        assert_eq!(ledger.charge(GPU, u64::MAX, None), Err(CUresult::ERROR_OUT_OF_MEMORY));
        ledger.charge(GPU, 40, Some(100)).unwrap();
        ledger.refund(GPU, 60);
        assert_eq!(ledger.charged(GPU), 40);
    }

    #[test]
    fn what_is_freed_is_given_back_once() {
        let ledger = Ledger::default();
        made(&ledger, 0x1000, 64);
        let taken = ledger.take(0x1000).unwrap();
        assert!(ledger.take(0x1000).is_none());
        assert_eq!(ledger.totals(GPU).allocated, 64, "charged until the driver has freed it");
        ledger.put_back(taken);
        let (device, allocation) = ledger.take(0x1000).unwrap();
        ledger.refund(device, allocation.bytes);
        assert_eq!(ledger.totals(GPU), Totals::default());
    }

    #[test]
    fn a_context_takes_its_allocations_along() {
        let ledger = Ledger::default();
        made(&ledger, 0x1000, 64);
        ledger.remove_context(8);
        assert_eq!(ledger.totals(GPU).allocated, 64);
        ledger.remove_context(7);
        assert_eq!(ledger.totals(GPU).allocated, 0);
    }

    #[test]
    fn what_left_is_missing_until_it_has_arrived() {
        let ledger = Ledger::default();
        made(&ledger, 0x1000, 64);
        let tail = [Range { start: 0x1000 + 48, bytes: 16 }];
        ledger.left(&tail);
        assert_eq!(ledger.totals(GPU).resident, 48);
        let whole = [Range { start: 0x1000, bytes: 64 }];
        assert_eq!(ledger.missing(&whole), Bytes(16));
        ledger.arrived(&whole);
        assert_eq!(ledger.missing(&whole), Bytes::ZERO);
        ledger.left(&[Range { start: 0x9000, bytes: 16 }]);
        assert_eq!(ledger.totals(GPU).resident, 64);
    }
}
