//! A process's allocations: real memory of the process behind each, and what it takes of the device.
use crate::settings::settings;
use crate::sim::process::Process;
use crate::sim::residency;
use crate::sim::shared::BLOCK;
use nvshare_abi::CUresult;
use std::collections::BTreeMap;
use std::ops::Range;

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `cuMemAlloc`: on the device for good.
    Plain { device: usize },
    /// `cuMemAllocManaged`: these blocks of the shared state, here and there.
    Managed { blocks: Range<usize> },
    /// Page-locked host memory. `mapped` if we made it, and not only registered it.
    Host { mapped: bool },
}

#[derive(Clone, Debug)]
pub struct Allocation {
    pub start: u64,
    pub bytes: u64,
    pub kind: Kind,
    pub context: usize,
}

/// By address.
#[derive(Default)]
pub struct Allocations(BTreeMap<u64, Allocation>);

impl Allocations {
    /// The allocation in which an address lies.
    pub fn find(&self, address: u64) -> Option<&Allocation> {
        let (_, found) = self.0.range(..=address).next_back()?;
        (address < found.start + found.bytes).then_some(found)
    }

    /// Whether all of a range lies in one allocation.
    pub fn covers(&self, address: u64, bytes: u64) -> bool {
        self.find(address).is_some_and(|a| address.saturating_add(bytes) <= a.start + a.bytes)
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

    pub fn insert(&mut self, allocation: Allocation) {
        self.0.insert(allocation.start, allocation);
    }

    pub fn remove(&mut self, start: u64) -> Option<Allocation> {
        self.0.remove(&start)
    }

    pub fn of_context(&self, context: usize) -> Vec<u64> {
        self.0.values().filter(|a| a.context == context).map(|a| a.start).collect()
    }
}

/// Real memory for a device's or the host's use, zeroed.
fn map(bytes: u64) -> Result<u64, CUresult> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new private mapping, at an address of the kernel's choice.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes as usize, access, flags, -1, 0) };
    if at == libc::MAP_FAILED { Err(CUresult::ERROR_OUT_OF_MEMORY) } else { Ok(at as u64) }
}

fn unmap(allocation: &Allocation) {
    // SAFETY: mapped by `map`, taken out of the list of allocations by the caller, so it is unmapped once.
    unsafe { libc::munmap(allocation.start as *mut libc::c_void, allocation.bytes as usize) };
}

fn simulated(bytes: u64) -> u64 {
    bytes.saturating_mul(settings().byte_scale).div_ceil(BLOCK).saturating_mul(BLOCK)
}

impl Process {
    /// `cuMemAlloc`: takes device memory for good, evicting managed memory of anyone.
    pub fn allocate_plain(&self, bytes: u64, device: usize, context: usize) -> Result<u64, CUresult> {
        let memory = settings().memory;
        let size = simulated(bytes);
        let mut shared = self.world.lock();
        shared.reap();
        if bytes == 0 {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        if shared.devices[device].plain.saturating_add(size) > memory {
            return Err(CUresult::ERROR_OUT_OF_MEMORY);
        }
        let start = map(bytes)?;
        residency::make_room(&mut shared, device, memory, size, &[]);
        shared.devices[device].plain += size;
        shared.processes[self.world.slot].plain[device] += size;
        drop(shared);
        self.inner().memory.insert(Allocation { start, bytes, kind: Kind::Plain { device }, context });
        Ok(start)
    }

    /// `cuMemAllocManaged`: takes nothing until it is touched.
    pub fn allocate_managed(&self, bytes: u64, device: usize, context: usize) -> Result<u64, CUresult> {
        if bytes == 0 {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let count = (simulated(bytes) / BLOCK) as usize;
        let start = map(bytes)?;
        let mut shared = self.world.lock();
        let blocks = residency::reserve(&mut shared, count, self.world.slot, device);
        drop(shared);
        let kind = Kind::Managed { blocks: blocks.clone().unwrap_or(0..0) };
        let allocation = Allocation { start, bytes, kind, context };
        if blocks.is_none() {
            unmap(&allocation);
            return Err(CUresult::ERROR_OUT_OF_MEMORY);
        }
        self.inner().memory.insert(allocation);
        Ok(start)
    }

    /// Page-locked host memory; takes nothing of the device.
    pub fn allocate_host(&self, bytes: u64, context: usize) -> Result<u64, CUresult> {
        let start = if bytes == 0 { return Err(CUresult::ERROR_INVALID_VALUE) } else { map(bytes)? };
        self.inner().memory.insert(Allocation { start, bytes, kind: Kind::Host { mapped: true }, context });
        Ok(start)
    }

    /// Gives an allocation back. Work that uses it must have ended.
    pub fn free(&self, start: u64) -> Result<(), CUresult> {
        let removed = self.inner().memory.remove(start).ok_or(CUresult::ERROR_INVALID_VALUE)?;
        match &removed.kind {
            Kind::Plain { device } => {
                let size = simulated(removed.bytes);
                let mut shared = self.world.lock();
                shared.devices[*device].plain -= size;
                shared.processes[self.world.slot].plain[*device] -= size;
            }
            Kind::Managed { blocks } => residency::release(&mut self.world.lock(), blocks.clone()),
            Kind::Host { .. } => {}
        }
        if removed.kind != (Kind::Host { mapped: false }) {
            unmap(&removed);
        }
        Ok(())
    }

    /// Free and total, in real bytes.
    pub fn memory_info(&self, device: usize) -> (u64, u64) {
        let mut shared = self.world.lock();
        shared.reap();
        let settings = settings();
        let free = residency::free(&shared, device, settings.memory);
        (free / settings.byte_scale, settings.memory / settings.byte_scale)
    }
}
