//! What is known of an address, without asking the driver, which would tell how the memory is made.
use super::Memory;
use super::book::{Home, PoolUse};
use super::piece::Piece;
use crate::process::Process;
use crate::sys::sync::ignore_poison;
use nvshare_protocol::DeviceId;
use std::sync::RwLockReadGuard;

/// While it lives, no memory leaves.
#[must_use]
#[derive(Debug)]
pub struct Stay<'a>(#[expect(dead_code, reason = "held until dropped")] RwLockReadGuard<'a, ()>);

/// One allocation, as the application should see it: plain device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
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
    pub replaceable: bool,
}

impl Memory {
    /// The allocation at an address.
    pub fn known(&self, address: u64) -> Option<Known> {
        let book = self.book();
        let (start, allocation) = book.allocation_at(address)?;
        let extent = book.extents.get(&allocation.extent);
        let home = extent.map(|extent| &extent.home);
        let own = !allocation.pooled && !allocation.managed;
        Some(Known {
            start,
            bytes: allocation.bytes,
            device: allocation.device,
            context: allocation.context,
            id: allocation.id,
            pool: allocation.pool,
            pooled: allocation.pooled,
            managed: allocation.managed,
            plain: home == Some(&Home::Plain),
            shareable: own && matches!(home, Some(Home::Pieces(_))),
            replaceable: own && extent.is_some_and(|extent| extent.is_replaceable(allocation.extent)),
        })
    }

    /// Whether an address lies in a chunk of ours, but in no allocation: for the application, nothing is there.
    pub fn is_spare(&self, address: u64) -> bool {
        let book = self.book();
        book.is_in_a_chunk(address) && book.allocation_at(address).is_none()
    }

    /// Whether any of a range is managed memory only because this engine makes plain memory of it: the application must
    /// not be able to tell.
    pub fn is_managed_for_us(&self, start: u64, bytes: u64) -> bool {
        let book = self.book();
        let before = book.extents.range(..start.saturating_add(bytes.max(1))).rev();
        let mut within = before.take_while(|(at, extent)| start < **at + extent.bytes);
        within.any(|(at, extent)| {
            let asked_for = || book.allocations.get(at).is_some_and(|allocation| allocation.managed);
            matches!(extent.home, Home::Managed { .. }) && (extent.shelf.is_some() || !asked_for())
        })
    }

    /// The devices on which two addresses lie, if both are in allocations, on two, and at least one in pieces of ours,
    /// which the other device cannot reach.
    pub fn apart(&self, one: u64, other: u64) -> Option<(DeviceId, DeviceId)> {
        let book = self.book();
        let on = |address: u64| {
            let (_, allocation) = book.allocation_at(address)?;
            let extent = book.extents.get(&allocation.extent)?;
            Some((allocation.device, !extent.is_the_drivers()))
        };
        let ((one, is_ours), (other, is_too)) = (on(one)?, on(other)?);
        (one != other && (is_ours || is_too)).then_some((one, other))
    }

    /// Keeps what lies at an address there; none if it is away.
    pub fn stay_at(&self, address: u64) -> Option<Stay<'_>> {
        let stay = Stay(ignore_poison(self.leaving.read()));
        let book = self.book();
        let piece = book.piece_at(address).and_then(|id| book.pieces.get(&id));
        piece.is_none_or(Piece::is_there).then_some(stay)
    }

    /// Keeps all memory where it is; none if any is away.
    pub fn stay_all(&self) -> Option<Stay<'_>> {
        let stay = Stay(ignore_poison(self.leaving.read()));
        let book = self.book();
        (book.placing || book.pieces.values().all(Piece::is_there)).then_some(stay)
    }

    /// What was taken of a pool, if anything ever was.
    pub fn pool(&self, pool: usize) -> Option<PoolUse> {
        self.book().pools.get(&pool).copied()
    }

    /// The pool's high-water mark begins anew.
    pub fn reset_pool_high(&self, pool: usize) {
        if let Some(of) = self.book().pools.get_mut(&pool) {
            of.high = of.used;
        }
    }

    /// The pool keeps so much at most from now on, and what is used.
    pub fn trim_pool(&self, process: &Process, pool: usize, keep: u64) {
        let mut book = self.book();
        if let Some(of) = book.pools.get_mut(&pool) {
            of.kept = of.kept.min(keep.max(of.used));
        }
        let device = book.thresholds.get(&pool).map(|(device, _)| *device);
        drop(book);
        if let Some(device) = device {
            self.shed_unless_captured(process, device, keep);
        }
    }

    /// Gives chunks back that nothing lies in, but not beside a capture, which the driver's free would end.
    fn shed_unless_captured(&self, process: &Process, device: DeviceId, keep: u64) {
        process.captures.while_none(|| self.shed(&process.contexts, device, keep));
    }

    /// The pool keeps so much of what is freed.
    pub fn keep_of_pool(&self, pool: usize, device: DeviceId, bytes: u64) {
        self.book().thresholds.insert(pool, (device, bytes));
    }

    /// A pool ends, and with it what it kept. What was taken of it stays until it is freed; its handle may become
    /// another's.
    pub fn forget_pool(&self, process: &Process, pool: usize) {
        let mut book = self.book();
        book.pools.remove(&pool);
        let kept_on = book.thresholds.remove(&pool).map(|(device, _)| device);
        let rest = kept_on.map_or(0, |device| book.wished(device));
        for allocation in book.allocations.values_mut().filter(|allocation| allocation.pool == pool) {
            allocation.pool = 0;
        }
        drop(book);
        self.forget_access_of_pool(pool);
        if let Some(device) = kept_on {
            self.shed_unless_captured(process, device, rest);
        }
    }
}
