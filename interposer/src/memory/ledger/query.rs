//! What the application may know of an address. The driver is not asked: its answer would show how we made the memory.
use crate::memory::ledger::Backing;
use crate::memory::ledger::shared::SharedLedger;
use nvshare_protocol::DeviceId;

/// One allocation, as the application should see it: plain device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocInfo {
    pub start: u64,
    pub bytes: u64,
    pub device: DeviceId,
    pub context: usize,
    pub id: u64,
    pub pool: usize,
    /// Whether it was taken of a pool, though that may be gone.
    pub pooled: bool,
    /// Whether the application asked for managed memory itself: then the driver's answers are right.
    pub managed: bool,
    /// Whether the driver's own memory is behind it.
    pub plain: bool,
    /// Whether it is plain memory made of pieces, which other processes may open, or can become such.
    pub shareable: bool,
    pub convertible: bool,
}

impl SharedLedger {
    /// The allocation at an address.
    pub fn alloc_info(&self, address: u64) -> Option<AllocInfo> {
        let ledger = self.lock();
        let (start, allocation) = ledger.allocation_at(address)?;
        let extent = ledger.extents.get(&allocation.extent);
        let backing = extent.map(|extent| &extent.backing);
        let own = !allocation.pooled && !allocation.managed;
        Some(AllocInfo {
            start,
            bytes: allocation.bytes,
            device: allocation.device,
            context: allocation.context,
            id: allocation.id,
            pool: allocation.pool,
            pooled: allocation.pooled,
            managed: allocation.managed,
            plain: backing == Some(&Backing::Plain),
            shareable: own && matches!(backing, Some(Backing::Pieces(_))),
            convertible: own && extent.is_some_and(|extent| extent.is_convertible(allocation.extent)),
        })
    }

    /// Whether this is still the allocation that it was.
    pub fn is_allocation(&self, start: u64, id: u64) -> bool {
        self.lock().allocations.get(&start).is_some_and(|allocation| allocation.id == id)
    }

    /// Whether an address lies in a chunk of ours, but in no allocation: for the application, nothing is there.
    pub fn is_unused_chunk_space(&self, address: u64) -> bool {
        let ledger = self.lock();
        ledger.is_in_a_chunk(address) && ledger.allocation_at(address).is_none()
    }

    /// Whether any of a range is managed memory only because this engine makes plain memory of it: the application must
    /// not be able to tell.
    pub fn is_managed_by_engine(&self, start: u64, bytes: u64) -> bool {
        let ledger = self.lock();
        let before = ledger.extents.range(..start.saturating_add(bytes.max(1))).rev();
        let mut within = before.take_while(|(at, extent)| start < **at + extent.bytes);
        within.any(|(at, extent)| {
            let asked_for = || ledger.allocations.get(at).is_some_and(|allocation| allocation.managed);
            matches!(extent.backing, Backing::Managed { .. }) && (extent.arena.is_some() || !asked_for())
        })
    }

    /// The devices of two allocations, by addresses in them, if these are two devices and at least one allocation is
    /// made of pieces, which the other device cannot reach.
    pub fn on_distinct_devices(&self, one: u64, other: u64) -> Option<(DeviceId, DeviceId)> {
        let ledger = self.lock();
        let on = |address: u64| {
            let (_, allocation) = ledger.allocation_at(address)?;
            let extent = ledger.extents.get(&allocation.extent)?;
            Some((allocation.device, !extent.is_the_drivers()))
        };
        let ((one, is_ours), (other, is_too)) = (on(one)?, on(other)?);
        (one != other && (is_ours || is_too)).then_some((one, other))
    }
}
