//! Managed memory leaves its device and comes back: by prefetches.
#![allow(unsafe_code)] // prefetches managed memory through the driver
use crate::driver;
use crate::driver::context::Context;
use crate::memory::ledger::Backing;
use crate::memory::ledger::shared::SharedLedger;
use crate::memory::migrate::plan::{self, AddressRange, ManagedExtent};
use crate::sys::log;
use nvshare_abi::*;
use nvshare_protocol::{Bytes, DeviceId};
use std::sync::Arc;

/// One prefetch call's share: 50 GB/s in with pieces of 32 to 256 MiB, 27 GB/s with pieces of 2 MiB (one H200, driver
/// 580.159.04).
const PREFETCH_CHUNK: u64 = 64 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

#[derive(Debug)]
pub struct ManagedMover {
    ledger: Arc<SharedLedger>,
}

impl ManagedMover {
    pub fn new(ledger: Arc<SharedLedger>) -> Self {
        Self { ledger }
    }

    /// What lies on the device besides managed memory, bytes.
    pub fn resident_besides(&self, device: DeviceId) -> u64 {
        let ledger = self.ledger.lock();
        let managed: u64 = ledger
            .extents
            .values()
            .filter(|extent| extent.device == device)
            .map(|extent| if let Backing::Managed { resident } = extent.backing { resident } else { 0 })
            .sum();
        ledger.totals(device).resident - managed
    }

    fn managed_extents(&self, device: DeviceId) -> Vec<ManagedExtent> {
        let ledger = self.ledger.lock();
        let of_device = ledger.extents.iter().filter(|(_, extent)| extent.device == device);
        of_device
            .filter_map(|(start, extent)| match extent.backing {
                Backing::Managed { resident } => Some(ManagedExtent {
                    start: *start,
                    bytes: extent.bytes,
                    resident,
                    lru_seq: extent.lru_seq,
                }),
                _ => None,
            })
            .collect()
    }

    /// Brings managed memory back within a budget, and counts it as there; without `bulk`, page faults bring it. How
    /// many bytes were moved.
    pub fn restore(&self, context: &Context, budget: Bytes, bulk: bool) -> u64 {
        let ranges = plan::restore(&self.managed_extents(context.device.id), budget);
        if ranges.is_empty() {
            return 0;
        }
        let mut missing = 0;
        self.for_each_managed(&ranges, |range, start, bytes, resident| {
            let end = range.start - start + range.bytes;
            missing += end.saturating_sub(*resident);
            *resident = (*resident).max(end).min(bytes);
        });
        let fetched = if bulk { plan::sum(&prefetch(context, &ranges, Way::In)).0 } else { 0 };
        fetched.min(missing)
    }

    /// Moves managed memory out; how many bytes.
    pub fn evict(&self, context: &Context, wanted: Bytes) -> u64 {
        let ranges = plan::evict(&self.managed_extents(context.device.id), wanted);
        if ranges.is_empty() {
            return 0;
        }
        let gone = prefetch(context, &ranges, Way::Out);
        self.for_each_managed(&gone, |range, start, _, resident| {
            *resident = (*resident).min(range.start - start)
        });
        plan::sum(&gone).0
    }

    /// Every managed extent that is still there, with its range.
    fn for_each_managed(
        &self,
        ranges: &[AddressRange],
        mut act: impl FnMut(&AddressRange, u64, u64, &mut u64),
    ) {
        let mut ledger = self.ledger.lock();
        for range in ranges {
            if let Some((start, extent)) = ledger.extents.range_mut(..=range.start).next_back()
                && range.start < start + extent.bytes
                && let Backing::Managed { resident } = &mut extent.backing
            {
                act(range, *start, extent.bytes, resident);
            }
        }
    }
}

/// Prefetches every range to the device or the host on our own stream and waits. A part that cannot be
/// prefetched (the application freed it a moment ago) is left out; all are, if the wait fails.
fn prefetch(context: &Context, ranges: &[AddressRange], way: Way) -> Vec<AddressRange> {
    let place = if way == Way::In { context.device.ordinal } else { CU_DEVICE_CPU };
    let Some(mut entered) = context.enter() else { return Vec::new() };
    let stream = match entered.stream() {
        Ok(stream) => stream,
        Err(code) => {
            log::warning!("no stream to move memory on (CUDA error {}): it moves by page faults", code.0);
            return Vec::new();
        }
    };
    let (mut moved, mut refused) = (Vec::new(), None);
    for range in ranges {
        let mut start = range.start;
        let end = range.start + range.bytes;
        while start < end {
            let bytes = (end - start).min(PREFETCH_CHUNK);
            // SAFETY: only addresses; the driver answers with an error where no managed memory lies.
            match unsafe { driver::cuMemPrefetchAsync(start, bytes as usize, place, stream) } {
                CUresult::SUCCESS => moved.push(AddressRange { start, bytes }),
                code => refused = Some(code),
            }
            start += bytes;
        }
    }
    // SAFETY: our own stream of the context that `enter` has made current.
    let done = unsafe { driver::cuStreamSynchronize(stream) };
    if let Some(code) = refused.or((done != CUresult::SUCCESS).then_some(done)) {
        log::info!(
            "a bulk prefetch was refused in part (CUDA error {}): that part moves by page faults",
            code.0
        );
    }
    if done == CUresult::SUCCESS { moved } else { Vec::new() }
}
