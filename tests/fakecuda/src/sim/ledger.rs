//! A process's allocations, by address.
use crate::settings::settings;
use crate::sim::mapping::Mappings;
use crate::sim::peers::Peers;
use crate::sim::shared::BLOCK;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `cuMemAlloc`: on the device for good.
    Plain { device: usize },
    /// `cuMemAllocManaged`: these blocks of the shared state, here and there.
    Managed { blocks: Range<usize> },
    /// Of a pool; so far into its file if others can be given it.
    Pooled { device: usize, pool: usize, offset: u64 },
    /// A captured allocation's: the graph has it for each of its launches.
    Graph { device: usize },
    /// Another process's, which counts it.
    Imported,
    /// Page-locked host memory. `mapped` if we made it, and not only registered it.
    Host { mapped: bool, flags: u32 },
}

#[derive(Debug)]
pub struct Allocation {
    pub start: u64,
    pub bytes: u64,
    pub kind: Kind,
    pub context: usize,
    /// No other allocation of this process ever has it.
    pub id: u64,
    /// It is freed when a stream has come so far.
    pub leaving: bool,
    /// Where it lies since another process may be given it.
    pub shared: Option<File>,
    pub advice: Advice,
}

/// What managed memory was advised of, with places as the driver tells them: -1 is the host, -2 none.
#[derive(Clone, Copy, Debug)]
pub struct Advice {
    pub read_mostly: bool,
    pub preferred: i32,
    pub prefetched: i32,
}

impl Allocation {
    /// Whether it is no host memory.
    pub fn is_the_devices(&self) -> bool {
        !matches!(self.kind, Kind::Host { .. })
    }
}

/// By address, and what the program has mapped itself.
#[derive(Default)]
pub struct Allocations {
    all: BTreeMap<u64, Allocation>,
    made: u64,
    /// Addresses of freed managed memory, with its bytes.
    pub freed: Vec<(u64, u64)>,
    pub mappings: Mappings,
    pub peers: Peers,
    pub opened: Vec<crate::sim::ipc::Open>,
}

impl Allocations {
    /// The allocation in which an address lies.
    pub fn find(&self, address: u64) -> Option<&Allocation> {
        let (_, found) = self.all.range(..=address).next_back()?;
        (address < found.start + found.bytes).then_some(found)
    }

    /// The managed memory at an address.
    pub fn managed(&mut self, address: u64) -> Option<&mut Allocation> {
        let (_, found) = self.all.range_mut(..=address).next_back()?;
        let inside = address < found.start + found.bytes;
        (inside && matches!(found.kind, Kind::Managed { .. })).then_some(found)
    }

    /// The allocation that begins at an address.
    pub fn at_start(&mut self, start: u64) -> Option<&mut Allocation> {
        self.all.get_mut(&start)
    }

    /// Whether all of a range lies in one allocation, or is at least reserved, which is all that a call checks.
    pub fn covers(&self, address: u64, bytes: u64) -> bool {
        let one = self.find(address).is_some_and(|a| address.saturating_add(bytes) <= a.start + a.bytes);
        one || self.mappings.reservation(address).is_some()
    }

    /// Whether a device's kernels may touch all of a range: of another device's memory only what it was given access to.
    pub fn is_accessible(&self, address: u64, bytes: u64, device: usize) -> bool {
        let Some(a) = self.find(address) else { return self.mappings.is_accessible(address, bytes, device) };
        let may = match a.kind {
            Kind::Plain { device: owner } => owner == device || self.peers.reaches(device, a.context),
            Kind::Pooled { device: owner, pool, .. } => {
                owner == device || self.peers.reaches_pool(device, pool)
            }
            _ => true,
        };
        may && address.saturating_add(bytes) <= a.start + a.bytes
    }

    /// Whether a device's copies may touch all of a range. The driver goes by the host where a device has no access to
    /// memory that it has allocated itself; with what the program has mapped, only in the calls that name both contexts.
    pub fn is_copyable(&self, address: u64, bytes: u64, device: usize, named: bool) -> bool {
        match self.find(address) {
            Some(a) => address.saturating_add(bytes) <= a.start + a.bytes,
            None if named => self.mappings.is_mapped(address, bytes),
            None => self.mappings.is_accessible(address, bytes, device),
        }
    }

    /// Whether the driver knows nothing of an address: the host's own memory.
    pub fn is_unknown(&self, address: u64) -> bool {
        self.find(address).is_none() && self.mappings.reservation(address).is_none()
    }

    /// Whether an address is the device's, or managed, and not the host's.
    pub fn is_device(&self, address: u64) -> bool {
        match self.find(address) {
            Some(found) => found.is_the_devices(),
            None => self.mappings.reservation(address).is_some(),
        }
    }

    /// Whether a range and an allocation have a byte in common.
    pub fn overlaps(&self, address: u64, bytes: u64) -> bool {
        let before = self.all.range(..address.saturating_add(bytes)).next_back();
        before.is_some_and(|(_, found)| found.start + found.bytes > address)
    }

    /// The blocks of managed memory that a range touches.
    pub fn blocks(&self, address: u64, bytes: u64) -> Option<Range<usize>> {
        let found = self.find(address)?;
        let Kind::Managed { blocks } = &found.kind else { return None };
        if bytes == 0 {
            return None;
        }
        let scale = settings().byte_scale;
        let first = (address - found.start) * scale / BLOCK;
        let end = ((address - found.start + bytes) * scale).div_ceil(BLOCK);
        Some(blocks.start + first as usize..(blocks.start + end as usize).min(blocks.end))
    }

    pub fn insert(&mut self, start: u64, bytes: u64, kind: Kind, context: usize) {
        self.made += 1;
        let advice = Advice { read_mostly: false, preferred: -2, prefetched: -2 };
        self.all.insert(
            start,
            Allocation { start, bytes, kind, context, id: self.made, leaving: false, shared: None, advice },
        );
    }

    pub fn remove(&mut self, start: u64) -> Option<Allocation> {
        self.all.remove(&start)
    }

    /// What goes with a context. Memory of pools does so only with a reset of the device.
    pub fn of_context(&self, context: usize, reset: bool) -> Vec<u64> {
        let goes =
            |a: &&Allocation| a.context == context && (reset || !matches!(a.kind, Kind::Pooled { .. }));
        self.all.values().filter(goes).map(|a| a.start).collect()
    }
}
