//! What the application has of each device: one account of all of it, whatever it is made of.
use super::allocate::SHARED_BELOW;
use super::arena::Arena;
use super::peers::Peers;
use super::piece::Piece;
use nvshare_abi::CUresult;
use nvshare_protocol::DeviceId;
use std::collections::{BTreeMap, BTreeSet};

pub type PieceId = u64;

/// Where small allocations lie together: on a device, and within a context if their chunks go with it (else 0).
pub type Shelf = (DeviceId, usize);

/// Small allocations begin at multiples of this, as the driver's own do.
pub const ALIGNMENT: u64 = 512;

/// What an extent of addresses is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// Managed memory, of which the first `resident` bytes are on the device, as far as we know.
    Managed { resident: u64 },
    /// Pieces, one after the other.
    Pieces(Vec<PieceId>),
    /// The driver's own; it stays.
    Plain,
}

/// A stretch of addresses with one kind of memory.
#[derive(Clone, Debug)]
pub struct Extent {
    pub device: DeviceId,
    pub bytes: u64,
    pub home: Home,
    /// The context that it goes with.
    pub context: usize,
    /// Rises with every extent: the newest counts as the most recently used, for what kernels use is not seen.
    pub stamp: u64,
    /// Where its parts are given out, if small allocations share it.
    pub shelf: Option<Shelf>,
}

impl Extent {
    /// Whether the driver made it and frees it with its context.
    pub fn is_the_drivers(&self) -> bool {
        !matches!(self.home, Home::Pieces(_))
    }
}

/// What the application was given by one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    pub device: DeviceId,
    pub bytes: u64,
    pub context: usize,
    /// The start of the extent that it lies in.
    pub extent: u64,
    /// The pool it came from, or 0.
    pub pool: usize,
    /// Whether the application asked for managed memory itself.
    pub managed: bool,
    /// Whether it came from a pool: then it belongs to no context, but to the device.
    pub pooled: bool,
    /// No other allocation ever has it.
    pub id: u64,
    /// Whether the application has freed it, in a stream's order or beside a capture.
    pub freed: bool,
}

/// Memory that stays on the device, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    pub device: DeviceId,
    pub bytes: u64,
    pub reason: &'static str,
    /// The context that it goes with, or 0.
    pub context: usize,
}

/// One device's sums, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub allocated: u64,
    pub resident: u64,
    pub immovable: u64,
}

/// What was taken of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUse {
    pub used: u64,
    pub high: u64,
    /// The most that was used since the pool was trimmed: a driver's pool would still have it.
    pub kept: u64,
}

#[derive(Debug, Default)]
pub struct Book {
    /// By start address.
    pub allocations: BTreeMap<u64, Allocation>,
    pub extents: BTreeMap<u64, Extent>,
    pub pieces: BTreeMap<PieceId, Piece>,
    /// Where each mapping of a piece begins.
    pub maps: BTreeMap<u64, PieceId>,
    /// By device, the smallest memory that the driver refused for want of room since the scheduler was last told,
    /// bytes.
    pub refused: BTreeMap<DeviceId, u64>,
    /// Pieces that the agent is to make anew, so that they can be exported, and managed memory that is to become
    /// pieces.
    pub remake: BTreeSet<PieceId>,
    pub replace: BTreeSet<u64>,
    /// By the driver's handle.
    pub fixed: BTreeMap<usize, Fixed>,
    pub pools: BTreeMap<usize, PoolUse>,
    /// What pools keep of what was freed, by the application's wish, bytes.
    pub thresholds: BTreeMap<usize, (DeviceId, u64)>,
    pub arenas: BTreeMap<Shelf, Arena>,
    pub peers: Peers,
    /// What counts against the limit: what was asked for, and what is being made.
    charged: BTreeMap<DeviceId, u64>,
    /// Whether new memory may be put on the device now: while the GPU is ours.
    pub placing: bool,
    stamp: u64,
}

/// Between two stamps, so that the parts of a piece have their places in between.
pub(super) const STAMPS: u64 = 64;

impl Book {
    pub fn stamp(&mut self) -> u64 {
        self.stamp += STAMPS;
        self.stamp
    }

    /// Counts `bytes` against the device, before the driver is asked.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY`, with nothing counted, if that would pass `limit`.
    pub fn charge(&mut self, device: DeviceId, bytes: u64, limit: Option<u64>) -> Result<(), CUresult> {
        let charged = self.charged.entry(device).or_default();
        let sum = charged.checked_add(bytes).ok_or(CUresult::ERROR_OUT_OF_MEMORY)?;
        if limit.is_some_and(|limit| sum > limit) {
            return Err(CUresult::ERROR_OUT_OF_MEMORY);
        }
        *charged = sum;
        Ok(())
    }

    pub fn refund(&mut self, device: DeviceId, bytes: u64) {
        let charged = self.charged.entry(device).or_default();
        *charged = charged.saturating_sub(bytes);
    }

    pub fn charged(&self, device: DeviceId) -> u64 {
        self.charged.get(&device).copied().unwrap_or_default()
    }

    /// The allocation that an address lies in, with its start.
    pub fn allocation_at(&self, address: u64) -> Option<(u64, &Allocation)> {
        let (start, allocation) = self.allocations.range(..=address).next_back()?;
        (address - start < allocation.bytes).then_some((*start, allocation))
    }

    /// Whether an address lies in what an allocation of the application's is made of, and not in what it maps itself.
    pub fn is_allocated(&self, address: u64) -> bool {
        let extent = self.extents.range(..=address).next_back();
        extent.is_some_and(|(start, extent)| address - start < extent.bytes)
    }

    /// Whether an address lies in what small allocations share.
    pub fn is_in_a_chunk(&self, address: u64) -> bool {
        let extent = self.extents.range(..=address).next_back();
        extent.is_some_and(|(start, extent)| extent.shelf.is_some() && address - start < extent.bytes)
    }

    /// How much of a shelf's chunks may be free before one of them is given back, bytes.
    pub fn kept(&self, shelf: Shelf) -> u64 {
        let chunks = self.arenas.get(&shelf).map_or(0, Arena::total);
        (chunks / 4).max(SHARED_BELOW).saturating_add(self.wished(shelf.0))
    }

    /// How much the pools of a device may keep by the application's wish, bytes.
    pub fn wished(&self, device: DeviceId) -> u64 {
        let of_device = self.thresholds.values().filter(|(of, _)| *of == device);
        of_device.fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    /// An allocation is out of the book and out of use.
    pub fn uncharge(&mut self, allocation: &Allocation) {
        self.refund(allocation.device, allocation.bytes.next_multiple_of(ALIGNMENT));
        if let Some(pool) = self.pools.get_mut(&allocation.pool) {
            pool.used = pool.used.saturating_sub(allocation.bytes);
        }
    }

    /// The piece mapped at an address.
    pub fn piece_at(&self, address: u64) -> Option<PieceId> {
        let (start, id) = self.maps.range(..=address).next_back()?;
        let map = self.pieces.get(id)?.maps.iter().find(|map| map.at == *start)?;
        (address < map.end()).then_some(*id)
    }

    /// Whether a mapping of a piece lies on both sides of an address.
    pub fn is_within_a_map(&self, address: u64) -> bool {
        !self.maps.contains_key(&address) && self.piece_at(address).is_some()
    }

    /// Counts what has stayed where it is.
    pub fn fix(&mut self, key: usize, fixed: Fixed) {
        if let Some(old) = self.fixed.insert(key, fixed) {
            // The driver has given the handle out again: the old one went where we did not see it.
            self.refund(old.device, old.bytes);
        }
    }

    /// Physical memory that was wanted for a piece was refused.
    pub fn refuse(&mut self, device: DeviceId, bytes: u64, code: CUresult) {
        if code == CUresult::ERROR_OUT_OF_MEMORY {
            let least = self.refused.entry(device).or_insert(bytes);
            *least = bytes.min(*least);
        }
    }

    pub fn unfix(&mut self, key: usize) -> Option<Fixed> {
        let fixed = self.fixed.remove(&key)?;
        self.refund(fixed.device, fixed.bytes);
        Some(fixed)
    }

    pub fn totals(&self, device: DeviceId) -> Totals {
        let mut totals = Totals::default();
        let mut count = |bytes: u64, resident: u64, stays: bool| {
            totals.allocated += bytes;
            totals.resident += resident;
            totals.immovable += if stays { resident } else { 0 };
        };
        for extent in self.extents.values().filter(|extent| extent.device == device) {
            match &extent.home {
                Home::Managed { resident } => count(extent.bytes, *resident, false),
                Home::Plain => count(extent.bytes, extent.bytes, true),
                Home::Pieces(_) => {}
            }
        }
        for piece in self.pieces.values().filter(|piece| piece.device == device) {
            count(piece.bytes, if piece.is_there() { piece.bytes } else { 0 }, !piece.can_leave());
        }
        for fixed in self.fixed.values().filter(|fixed| fixed.device == device) {
            count(fixed.bytes, fixed.bytes, true);
        }
        totals
    }

    /// What stays on the device, by reason.
    pub fn staying(&self, device: DeviceId) -> BTreeMap<&'static str, u64> {
        let mut sums = BTreeMap::new();
        for fixed in self.fixed.values().filter(|fixed| fixed.device == device) {
            *sums.entry(fixed.reason).or_default() += fixed.bytes;
        }
        for piece in self.pieces.values().filter(|piece| piece.device == device && piece.is_there()) {
            match (piece.pinned, piece.slot) {
                (Some(reason), _) => *sums.entry(reason).or_default() += piece.bytes,
                (None, None) => *sums.entry("no swap space").or_default() += piece.bytes,
                _ => {}
            }
        }
        for extent in self.extents.values().filter(|e| e.device == device && e.home == Home::Plain) {
            *sums.entry("plain").or_default() += extent.bytes;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: DeviceId = DeviceId([1; 16]);

    fn extent(bytes: u64, home: Home) -> Extent {
        Extent { device: GPU, bytes, home, context: 7, stamp: 0, shelf: None }
    }

    #[test]
    fn the_limit_is_a_sum_over_what_is_there() {
        let mut book = Book::default();
        book.charge(GPU, 60, Some(100)).unwrap();
        assert_eq!(book.charge(GPU, 41, Some(100)), Err(CUresult::ERROR_OUT_OF_MEMORY));
        assert_eq!(book.charge(GPU, u64::MAX, None), Err(CUresult::ERROR_OUT_OF_MEMORY));
        book.charge(GPU, 40, Some(100)).unwrap();
        book.refund(GPU, 60);
        assert_eq!(book.charged(GPU), 40);
    }

    #[test]
    fn an_address_within_an_allocation_finds_it_and_one_behind_it_does_not() {
        let mut book = Book::default();
        let allocation = Allocation {
            device: GPU,
            bytes: 64,
            context: 7,
            extent: 0x1000,
            pool: 0,
            managed: false,
            pooled: false,
            id: 1,
            freed: false,
        };
        book.allocations.insert(0x1000, allocation);
        assert_eq!(book.allocation_at(0x103f), Some((0x1000, &allocation)));
        assert_eq!(book.allocation_at(0x1040), None);
        assert_eq!(book.allocation_at(0xfff), None);
    }

    #[test]
    fn sums_tell_what_is_there_and_what_stays() {
        let mut book = Book::default();
        book.extents.insert(0x1000, extent(64, Home::Managed { resident: 48 }));
        book.extents.insert(0x2000, extent(10, Home::Plain));
        book.charge(GPU, 5, None).unwrap();
        book.fix(3, Fixed { device: GPU, bytes: 5, reason: "array", context: 7 });
        assert_eq!(book.totals(GPU), Totals { allocated: 79, resident: 63, immovable: 15 });
        assert_eq!(book.staying(GPU), BTreeMap::from([("array", 5), ("plain", 10)]));
        assert!(book.unfix(3).is_some());
        assert!(book.unfix(3).is_none());
        assert_eq!(book.totals(GPU).immovable, 10);
        assert_eq!(book.charged(GPU), 0);
    }
}
