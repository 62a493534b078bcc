//! Which parts of some regions are taken: best fit, merged again when given back. Pure.
//!
//! Used twice: for small allocations within chunks of device memory, and for pieces within swap space.
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    bytes: u64,
    /// The start of the region that it is part of: blocks of two regions are never merged.
    region: u64,
    taken: bool,
}

#[derive(Debug)]
pub struct Arena {
    /// Every part is a multiple of this.
    granule: u64,
    blocks: BTreeMap<u64, Block>,
    /// The free ones, by size.
    free_blocks: BTreeSet<(u64, u64)>,
    /// Their sum, and that of all regions, bytes.
    free_bytes: u64,
    capacity: u64,
}

impl Arena {
    pub fn new(granule: u64) -> Self {
        Self { granule, blocks: BTreeMap::new(), free_blocks: BTreeSet::new(), free_bytes: 0, capacity: 0 }
    }

    /// Adds a region; `bytes` is a multiple of the granule.
    pub fn add_region(&mut self, start: u64, bytes: u64) {
        self.blocks.insert(start, Block { bytes, region: start, taken: false });
        self.free_blocks.insert((bytes, start));
        self.free_bytes += bytes;
        self.capacity += bytes;
    }

    /// Takes a part of at least `bytes`.
    pub fn alloc(&mut self, bytes: u64) -> Option<u64> {
        let bytes = bytes.max(1).checked_next_multiple_of(self.granule)?;
        let &(size, start) = self.free_blocks.range((bytes, 0)..).next()?;
        self.free_blocks.remove(&(size, start));
        let block = self.blocks.get_mut(&start)?;
        block.taken = true;
        block.bytes = bytes;
        self.free_bytes -= bytes;
        let region = block.region;
        if size > bytes {
            self.blocks.insert(start + bytes, Block { bytes: size - bytes, region, taken: false });
            self.free_blocks.insert((size - bytes, start + bytes));
        }
        Some(start)
    }

    /// Gives back what was taken at `start`. Returns its region if that is now free as a whole.
    pub fn free(&mut self, start: u64) -> Option<u64> {
        let mut block = *self.blocks.get(&start).filter(|block| block.taken)?;
        let mut at = start;
        block.taken = false;
        self.free_bytes += block.bytes;
        let mergeable = |other: &Block| !other.taken && other.region == block.region;
        if let Some((&next, &after)) = self.blocks.range(start + 1..).next()
            && next == start + block.bytes
            && mergeable(&after)
        {
            self.blocks.remove(&next);
            self.free_blocks.remove(&(after.bytes, next));
            block.bytes += after.bytes;
        }
        if let Some((&previous, &before)) = self.blocks.range(..start).next_back()
            && mergeable(&before)
        {
            self.blocks.remove(&start);
            self.free_blocks.remove(&(before.bytes, previous));
            at = previous;
            block.bytes += before.bytes;
        }
        self.blocks.insert(at, block);
        self.free_blocks.insert((block.bytes, at));
        self.is_empty(at).then_some(at)
    }

    /// What was taken at `start` is several parts from now on, all of `bytes` but for the last.
    pub fn split(&mut self, start: u64, bytes: u64) {
        let Some(block) = self.blocks.get_mut(&start).filter(|block| block.taken) else { return };
        let Block { bytes: whole, region, .. } = *block;
        block.bytes = whole.min(bytes);
        let mut at = start + block.bytes;
        while at < start + whole {
            let bytes = bytes.min(start + whole - at);
            self.blocks.insert(at, Block { bytes, region, taken: true });
            at += bytes;
        }
    }

    /// Whether a region begins there that is free as a whole.
    fn is_empty(&self, at: u64) -> bool {
        let Some(block) = self.blocks.get(&at).filter(|block| !block.taken && block.region == at) else {
            return false;
        };
        self.blocks.range(at + 1..).next().is_none_or(|(_, next)| next.region != block.region)
    }

    /// The smallest region that is free as a whole.
    pub fn free_region(&self) -> Option<u64> {
        self.free_blocks.iter().map(|(_, at)| *at).find(|at| self.is_empty(*at))
    }

    /// Removes a region that is free as a whole.
    pub fn remove_region(&mut self, region: u64) {
        if self.is_empty(region)
            && let Some(block) = self.blocks.remove(&region)
        {
            self.free_blocks.remove(&(block.bytes, region));
            self.free_bytes -= block.bytes;
            self.capacity -= block.bytes;
        }
    }

    /// The sum of all regions, bytes.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The largest part that can be taken, and the sum of what is free.
    pub fn free_space(&self) -> (u64, u64) {
        (self.free_blocks.last().map_or(0, |(bytes, _)| *bytes), self.free_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_split_and_merged_within_their_region() {
        let mut arena = Arena::new(512);
        arena.add_region(0, 4096);
        arena.add_region(4096, 4096);
        let parts: Vec<u64> = (0..8).map(|_| arena.alloc(1000).unwrap()).collect();
        assert_eq!(arena.alloc(1), None);
        for part in &parts[1..] {
            let _ = arena.free(*part);
        }
        assert_eq!(arena.free_space(), (4096, 7168), "regions stay apart");
        assert_eq!(arena.free(parts[0]), Some(0));
        assert_eq!(arena.free(parts[0]), None, "nothing is given back twice");
        arena.remove_region(0);
        assert_eq!(arena.free_space(), (4096, 4096));
    }

    #[test]
    fn the_parts_of_a_part_are_given_back_one_by_one() {
        let mut arena = Arena::new(512);
        arena.add_region(0, 8192);
        assert_eq!(arena.alloc(5 * 512), Some(0));
        arena.split(0, 1024);
        assert_eq!(arena.free_space().1, 8192 - 5 * 512);
        for (part, region) in [(1024, None), (0, None), (2048, Some(0))] {
            assert_eq!(arena.free(part), region);
        }
        assert_eq!(arena.free_space(), (8192, 8192));
        arena.split(0, 1024);
        assert_eq!(arena.alloc(8192), Some(0), "what is free is not split");
    }

    #[test]
    fn the_smallest_part_that_fits_is_taken() {
        let mut arena = Arena::new(512);
        arena.add_region(0, 8192);
        arena.add_region(1 << 20, 1024);
        assert_eq!(arena.alloc(600), Some(1 << 20));
        assert_eq!(arena.alloc(2048), Some(0));
        assert_eq!(arena.alloc(u64::MAX), None);
    }

    /// Random takes and gives: no two parts overlap, and everything given back makes the regions whole.
    #[test]
    fn parts_never_overlap_and_nothing_is_lost() {
        let mut arena = Arena::new(512);
        let mut seed = 1_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        arena.add_region(0, 1 << 20);
        arena.add_region(1 << 20, 1 << 20);
        let mut taken: BTreeMap<u64, u64> = BTreeMap::new();
        let steps = if cfg!(miri) { 500 } else { 20_000 };
        for _ in 0..steps {
            if random(2) == 0 {
                let bytes = 1 + random(40_000);
                if let Some(start) = arena.alloc(bytes) {
                    let before = taken.range(..=start).next_back().map_or(0, |(at, bytes)| at + bytes);
                    let after = taken.range(start..).next().map_or(2 << 20, |(at, _)| *at);
                    assert!(before <= start && start + bytes <= after);
                    assert!(start / (1 << 20) == (start + bytes - 1) / (1 << 20), "within one region");
                    taken.insert(start, bytes);
                }
            } else if !taken.is_empty() {
                let nth = random(taken.len() as u64) as usize;
                let start = *taken.keys().nth(nth).unwrap();
                taken.remove(&start);
                let _ = arena.free(start);
            }
        }
        for start in taken.into_keys() {
            let _ = arena.free(start);
        }
        assert_eq!(arena.free_space(), (1 << 20, 2 << 20));
    }
}
