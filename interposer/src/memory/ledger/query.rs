//! What is known of an address, without asking the driver, which would tell how the memory is made.
use crate::memory::Memory;
use crate::memory::ledger::piece::Piece;
use crate::memory::ledger::{Backing, PoolUsage};
use crate::sys::lock::ReadGuard;
use nvshare_protocol::DeviceId;

/// While it lives, no memory leaves.
#[must_use]
#[derive(Debug)]
pub struct ResidencyGuard<'a>(#[expect(dead_code, reason = "held until dropped")] ReadGuard<'a, ()>);

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

impl Memory {
    /// The allocation at an address.
    pub fn alloc_info(&self, address: u64) -> Option<AllocInfo> {
        let ledger = self.ledger();
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

    /// Whether an address lies in a chunk of ours, but in no allocation: for the application, nothing is there.
    pub fn is_unused_chunk_space(&self, address: u64) -> bool {
        let ledger = self.ledger();
        ledger.is_in_a_chunk(address) && ledger.allocation_at(address).is_none()
    }

    /// Whether any of a range is managed memory only because this engine makes plain memory of it: the application must
    /// not be able to tell.
    pub fn is_managed_by_engine(&self, start: u64, bytes: u64) -> bool {
        let ledger = self.ledger();
        let before = ledger.extents.range(..start.saturating_add(bytes.max(1))).rev();
        let mut within = before.take_while(|(at, extent)| start < **at + extent.bytes);
        within.any(|(at, extent)| {
            let asked_for = || ledger.allocations.get(at).is_some_and(|allocation| allocation.managed);
            matches!(extent.backing, Backing::Managed { .. }) && (extent.arena.is_some() || !asked_for())
        })
    }

    /// The devices on which two addresses lie, if both are in allocations, on two, and at least one in pieces of ours,
    /// which the other device cannot reach.
    pub fn on_distinct_devices(&self, one: u64, other: u64) -> Option<(DeviceId, DeviceId)> {
        let ledger = self.ledger();
        let on = |address: u64| {
            let (_, allocation) = ledger.allocation_at(address)?;
            let extent = ledger.extents.get(&allocation.extent)?;
            Some((allocation.device, !extent.is_the_drivers()))
        };
        let ((one, is_ours), (other, is_too)) = (on(one)?, on(other)?);
        (one != other && (is_ours || is_too)).then_some((one, other))
    }

    /// Keeps what lies at an address there; none if it is away.
    pub fn hold_resident_at(&self, address: u64) -> Option<ResidencyGuard<'_>> {
        let guard = ResidencyGuard(self.residency.read());
        let ledger = self.ledger();
        let piece = ledger.piece_at(address).and_then(|id| ledger.pieces.get(&id));
        piece.is_none_or(Piece::is_resident).then_some(guard)
    }

    /// Keeps all memory where it is; none if any is away.
    pub fn hold_all_resident(&self) -> Option<ResidencyGuard<'_>> {
        let guard = ResidencyGuard(self.residency.read());
        let ledger = self.ledger();
        (ledger.placement_allowed || ledger.pieces.values().all(Piece::is_resident)).then_some(guard)
    }

    /// What was taken of a pool, if anything ever was.
    pub fn pool_usage(&self, pool: usize) -> Option<PoolUsage> {
        self.ledger().pools.get(&pool).copied()
    }

    /// The pool's high-water mark begins anew.
    pub fn reset_pool_high_water(&self, pool: usize) {
        if let Some(of) = self.ledger().pools.get_mut(&pool) {
            of.high_water = of.used;
        }
    }

    /// The pool keeps so much at most from now on, and what is used.
    pub fn trim_pool(&self, pool: usize, keep: u64) {
        let mut ledger = self.ledger();
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
        self.captures.while_none(|| self.release_empty_chunks(device, keep));
    }

    /// The pool keeps so much of what is freed.
    pub fn set_pool_threshold(&self, pool: usize, device: DeviceId, bytes: u64) {
        self.ledger().thresholds.insert(pool, (device, bytes));
    }

    /// A pool ends, and with it what it kept. What was taken of it stays until it is freed; its handle may become
    /// another's.
    pub fn forget_pool(&self, pool: usize) {
        let mut ledger = self.ledger();
        ledger.pools.remove(&pool);
        let kept_on = ledger.thresholds.remove(&pool).map(|(device, _)| device);
        let rest = kept_on.map_or(0, |device| ledger.thresholds_on(device));
        for allocation in ledger.allocations.values_mut().filter(|allocation| allocation.pool == pool) {
            allocation.pool = 0;
        }
        drop(ledger);
        self.drop_access_of_pool(pool);
        if let Some(device) = kept_on {
            self.release_chunks_unless_captured(device, rest);
        }
    }
}
