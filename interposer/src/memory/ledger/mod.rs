//! The ledger: all memory that the application has of each device, whatever it is made of.
//!
//! An [`Allocation`] is what one call gave to the application. It lies in an [`Extent`]: a range of addresses with one
//! kind of memory behind it. An extent is backed by pieces of physical memory that can be evicted ([`piece`]), by
//! managed memory, or by the driver's own memory. A large allocation has an extent of its own. Small ones share an
//! extent, their chunk, whose parts an [`Arena`] gives out.
pub mod arena;
pub mod content;
pub mod peers;
pub mod piece;
pub mod pieces;
pub mod query;
pub mod shared;
pub mod sizes;

use crate::memory::ledger::arena::Arena;
use crate::memory::ledger::peers::PeerAccess;
use crate::memory::ledger::piece::Piece;
use crate::memory::ledger::sizes::{ALIGNMENT, CHUNK_MAX, GRANULE};
use nvshare_abi::CUresult;
use nvshare_protocol::tenant::Moves;
use nvshare_protocol::{Bytes, DeviceId};
use std::collections::{BTreeMap, BTreeSet};

pub type PieceId = u64;

/// Whose arena it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArenaKey {
    pub device: DeviceId,
    /// The context that its chunks go with, or 0.
    pub context: usize,
}

/// The device that memory lies on, and the context that it goes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtentOwner {
    pub device: DeviceId,
    pub context: usize,
}

/// What an extent of addresses is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
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
    pub backing: Backing,
    /// The context that it goes with.
    pub context: usize,
    /// Rises with every extent. What kernels use cannot be seen, so that the newest counts as the most recently used.
    pub lru_seq: u64,
    /// The arena that gives out its parts, if it is a chunk.
    pub arena: Option<ArenaKey>,
}

impl Extent {
    /// An extent for a single allocation. [`Ledger::add_extent`] gives it its place in the order of use.
    pub fn new(owner: ExtentOwner, bytes: u64, backing: Backing) -> Self {
        Self { device: owner.device, bytes, backing, context: owner.context, lru_seq: 0, arena: None }
    }

    /// Whether it could become pieces, if the driver gives its addresses back.
    pub fn is_convertible(&self, start: u64) -> bool {
        matches!(self.backing, Backing::Managed { .. })
            && self.bytes >= CHUNK_MAX
            && start.is_multiple_of(GRANULE)
            && self.bytes.is_multiple_of(GRANULE)
    }

    /// The same extent as a chunk of an arena.
    pub fn in_arena(self, arena: Option<ArenaKey>) -> Self {
        Self { arena, ..self }
    }

    /// Whether the driver made it and frees it with its context.
    pub fn is_the_drivers(&self) -> bool {
        !matches!(self.backing, Backing::Pieces(_))
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
    /// Unique in this process: an address may be given out again, an id never.
    pub id: u64,
    /// Whether the application has freed it, in a stream's order or beside a capture.
    pub freed: bool,
}

impl Allocation {
    /// A plain allocation in the extent that begins at `extent`.
    pub fn new(id: u64, owner: ExtentOwner, extent: u64, bytes: u64) -> Self {
        Self {
            device: owner.device,
            bytes,
            context: owner.context,
            extent,
            pool: 0,
            managed: false,
            pooled: false,
            id,
            freed: false,
        }
    }
}

/// Memory that stays on the device, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unevictable {
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
    pub unevictable: u64,
}

/// What was taken of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUsage {
    pub used: u64,
    pub high_water: u64,
    /// The most that was used since the pool was last trimmed: what a pool of the driver's would still hold.
    pub reserved: u64,
}

#[derive(Debug, Default)]
pub struct Ledger {
    /// By start address.
    pub allocations: BTreeMap<u64, Allocation>,
    pub extents: BTreeMap<u64, Extent>,
    pub pieces: BTreeMap<PieceId, Piece>,
    /// Where each mapping of a piece begins.
    pub mappings: BTreeMap<u64, PieceId>,
    /// By device, the smallest memory that the driver refused for want of room since the scheduler was last told,
    /// bytes.
    pub refused: BTreeMap<DeviceId, u64>,
    /// Requests to the agent: pieces to create again so that they can be exported, and managed memory to convert into
    /// pieces.
    pub to_recreate: BTreeSet<PieceId>,
    pub to_convert: BTreeSet<u64>,
    /// By the driver's handle.
    pub unevictable: BTreeMap<usize, Unevictable>,
    pub pools: BTreeMap<usize, PoolUsage>,
    /// What pools keep of what was freed, as the application has set it (release thresholds), bytes.
    pub thresholds: BTreeMap<usize, (DeviceId, u64)>,
    pub arenas: BTreeMap<ArenaKey, Arena>,
    pub peers: PeerAccess,
    /// What hand-overs have moved, by device: the counters alone.
    pub moved: BTreeMap<DeviceId, Moves>,
    /// What counts against the limit, bytes: allocations, also those that are being made.
    charged: BTreeMap<DeviceId, u64>,
    /// Whether new memory may be put on the device now: while the GPU is ours.
    pub placement_allowed: bool,
    lru_seq: u64,
}

/// The distance of two sequence numbers: the parts of a piece get the numbers in between.
pub const SEQ_STRIDE: u64 = 64;

impl Ledger {
    pub fn next_seq(&mut self) -> u64 {
        self.lru_seq += SEQ_STRIDE;
        self.lru_seq
    }

    /// A new extent, which counts as the most recently used.
    pub fn add_extent(&mut self, start: u64, extent: Extent) {
        let lru_seq = self.next_seq();
        self.extents.insert(start, Extent { lru_seq, ..extent });
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

    /// Whether an address lies in an extent: in memory that we have mapped, not the application itself.
    pub fn is_allocated(&self, address: u64) -> bool {
        let extent = self.extents.range(..=address).next_back();
        extent.is_some_and(|(start, extent)| address - start < extent.bytes)
    }

    /// Whether an address lies in a chunk.
    pub fn is_in_a_chunk(&self, address: u64) -> bool {
        let extent = self.extents.range(..=address).next_back();
        extent.is_some_and(|(start, extent)| extent.arena.is_some() && address - start < extent.bytes)
    }

    /// How much of an arena's chunks may be free before one of them is given back, bytes.
    pub fn retained_free(&self, arena_key: ArenaKey) -> u64 {
        let chunks = self.arenas.get(&arena_key).map_or(0, Arena::capacity);
        (chunks / 4).max(CHUNK_MAX).saturating_add(self.thresholds_on(arena_key.device))
    }

    /// How much the pools of a device may keep as the application has set it (release thresholds), bytes.
    pub fn thresholds_on(&self, device: DeviceId) -> u64 {
        let of_device = self.thresholds.values().filter(|(of, _)| *of == device);
        of_device.fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    /// Refunds an allocation that is out of the ledger and out of use.
    pub fn uncharge(&mut self, allocation: &Allocation) {
        self.refund(allocation.device, allocation.bytes.next_multiple_of(ALIGNMENT));
        if let Some(pool) = self.pools.get_mut(&allocation.pool) {
            pool.used = pool.used.saturating_sub(allocation.bytes);
        }
    }

    /// The piece mapped at an address.
    pub fn piece_at(&self, address: u64) -> Option<PieceId> {
        let (start, id) = self.mappings.range(..=address).next_back()?;
        let map = self.pieces.get(id)?.mappings.iter().find(|map| map.at == *start)?;
        (address < map.end()).then_some(*id)
    }

    /// Whether a mapping of a piece lies on both sides of an address.
    pub fn is_inside_mapping(&self, address: u64) -> bool {
        !self.mappings.contains_key(&address) && self.piece_at(address).is_some()
    }

    /// Records memory that the driver has made and that cannot be evicted. It was charged before.
    pub fn add_unevictable(&mut self, key: usize, unevictable: Unevictable) {
        if let Some(old) = self.unevictable.insert(key, unevictable) {
            // The driver has given the handle out again: we did not see the old object's end.
            self.refund(old.device, old.bytes);
        }
    }

    /// The driver has refused physical memory for a piece.
    pub fn note_refusal(&mut self, device: DeviceId, bytes: u64, code: CUresult) {
        if code == CUresult::ERROR_OUT_OF_MEMORY {
            let least = self.refused.entry(device).or_insert(bytes);
            *least = bytes.min(*least);
        }
    }

    pub fn take_unevictable(&mut self, key: usize) -> Option<Unevictable> {
        let unevictable = self.unevictable.remove(&key)?;
        self.refund(unevictable.device, unevictable.bytes);
        Some(unevictable)
    }

    pub fn totals(&self, device: DeviceId) -> Totals {
        let mut totals = Totals::default();
        let mut count = |bytes: u64, resident: u64, stays: bool| {
            totals.allocated += bytes;
            totals.resident += resident;
            totals.unevictable += if stays { resident } else { 0 };
        };
        for extent in self.extents.values().filter(|extent| extent.device == device) {
            match &extent.backing {
                Backing::Managed { resident } => count(extent.bytes, *resident, false),
                Backing::Plain => count(extent.bytes, extent.bytes, true),
                Backing::Pieces(_) => {}
            }
        }
        for piece in self.pieces.values().filter(|piece| piece.device == device) {
            count(piece.bytes, if piece.is_resident() { piece.bytes } else { 0 }, !piece.is_evictable());
        }
        for unevictable in self.unevictable.values().filter(|unevictable| unevictable.device == device) {
            count(unevictable.bytes, unevictable.bytes, true);
        }
        totals
    }

    /// What is on a device is copied again when it leaves: nobody knows what the slots have. What is away has nothing
    /// else.
    pub fn forget_copies(&mut self) {
        self.pieces.values_mut().filter(|piece| piece.is_resident()).for_each(|piece| piece.content.forget());
    }

    /// How its memory moves.
    pub fn moves(&self, device: DeviceId) -> Moves {
        let moved = self.moved.get(&device).copied().unwrap_or_default();
        let (mut away_content, mut clean) = (0, 0);
        for piece in self.pieces.values().filter(|piece| piece.device == device) {
            if piece.is_resident() {
                clean += if piece.is_evictable() { piece.content.known() } else { 0 };
            } else if piece.saved {
                away_content += piece.content.copied_back(piece.bytes);
            }
        }
        Moves { device, away_content: Bytes(away_content), clean: Bytes(clean), ..moved }
    }

    /// What stays on the device, by reason.
    pub fn unevictable_by_reason(&self, device: DeviceId) -> BTreeMap<&'static str, u64> {
        let mut sums = BTreeMap::new();
        for unevictable in self.unevictable.values().filter(|unevictable| unevictable.device == device) {
            *sums.entry(unevictable.reason).or_default() += unevictable.bytes;
        }
        for piece in self.pieces.values().filter(|piece| piece.device == device && piece.is_resident()) {
            match (piece.pinned, piece.slot) {
                (Some(reason), _) => *sums.entry(reason).or_default() += piece.bytes,
                (None, None) => *sums.entry("no swap space").or_default() += piece.bytes,
                _ => {}
            }
        }
        for extent in self.extents.values().filter(|e| e.device == device && e.backing == Backing::Plain) {
            *sums.entry("plain").or_default() += extent.bytes;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::content::{Content, Found};
    use super::*;

    const GPU: DeviceId = DeviceId([1; 16]);

    const OWNER: ExtentOwner = ExtentOwner { device: GPU, context: 7 };

    fn extent(bytes: u64, backing: Backing) -> Extent {
        Extent::new(OWNER, bytes, backing)
    }

    #[test]
    fn the_limit_is_a_sum_over_what_is_there() {
        let mut ledger = Ledger::default();
        ledger.charge(GPU, 60, Some(100)).unwrap();
        assert_eq!(ledger.charge(GPU, 41, Some(100)), Err(CUresult::ERROR_OUT_OF_MEMORY));
        assert_eq!(ledger.charge(GPU, u64::MAX, None), Err(CUresult::ERROR_OUT_OF_MEMORY));
        ledger.charge(GPU, 40, Some(100)).unwrap();
        ledger.refund(GPU, 60);
        assert_eq!(ledger.charged(GPU), 40);
    }

    #[test]
    fn an_address_within_an_allocation_finds_it_and_one_behind_it_does_not() {
        let mut ledger = Ledger::default();
        let allocation = Allocation::new(1, OWNER, 0x1000, 64);
        ledger.allocations.insert(0x1000, allocation);
        assert_eq!(ledger.allocation_at(0x103f), Some((0x1000, &allocation)));
        assert_eq!(ledger.allocation_at(0x1040), None);
        assert_eq!(ledger.allocation_at(0xfff), None);
    }

    #[test]
    fn what_is_on_a_device_is_copied_again_when_nobody_keeps_its_copy() {
        let (mut ledger, known) = (Ledger::default(), Content::of(Some(&[Found::Bytes([1, 2, 3])])));
        for (id, driver_handle) in [(1, Some(7)), (2, None)] {
            let prop = piece::device_prop(0);
            let content = known.clone();
            ledger.pieces.insert(
                id,
                Piece { driver_handle, content, saved: true, ..Piece::new(id, GPU, GRANULE, prop) },
            );
        }
        ledger.forget_copies();
        assert_eq!(ledger.pieces[&1].content, Content::default());
        assert_eq!(ledger.pieces[&2].content, known, "it has nothing else");
    }

    #[test]
    fn sums_tell_what_is_there_and_what_stays() {
        let mut ledger = Ledger::default();
        ledger.extents.insert(0x1000, extent(64, Backing::Managed { resident: 48 }));
        ledger.extents.insert(0x2000, extent(10, Backing::Plain));
        ledger.charge(GPU, 5, None).unwrap();
        ledger.add_unevictable(3, Unevictable { device: GPU, bytes: 5, reason: "array", context: 7 });
        assert_eq!(ledger.totals(GPU), Totals { allocated: 79, resident: 63, unevictable: 15 });
        assert_eq!(ledger.unevictable_by_reason(GPU), BTreeMap::from([("array", 5), ("plain", 10)]));
        assert!(ledger.take_unevictable(3).is_some());
        assert!(ledger.take_unevictable(3).is_none());
        assert_eq!(ledger.totals(GPU).unevictable, 10);
        assert_eq!(ledger.charged(GPU), 0);
    }
}
