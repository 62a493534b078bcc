//! How memory comes and goes: what it takes of the device, which all processes share, and of this host.
use crate::settings::settings;
use crate::sim::ledger::Kind;
use crate::sim::mapping::{set_aside, set_aside_aligned};
use crate::sim::physical::GRANULARITY;
use crate::sim::process::Process;
use crate::sim::residency;
use crate::sim::shared::BLOCK;
use nvshare_abi::CUresult;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Addresses of freed managed memory that is smaller are the driver's own for ever: whoever reserves some does not get those
/// (`tests/gpu/scripts/facts.sh address`, 580.159.04).
const KEPT_BELOW: u64 = 32 << 20;

/// Real memory for a device's or the host's use, zeroed.
fn map(bytes: u64) -> Result<u64, CUresult> {
    map_file(bytes, None)
}

/// The same, or the memory that lies in a file from an offset.
pub fn map_file(bytes: u64, file: Option<(BorrowedFd<'_>, u64)>) -> Result<u64, CUresult> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let (flags, fd, offset) = match file {
        Some((fd, offset)) => (libc::MAP_SHARED, fd.as_raw_fd(), offset),
        None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0),
    };
    let (flags, length) = (flags | libc::MAP_NORESERVE, bytes as usize);
    // SAFETY: a new mapping, at an address of the kernel's choice.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), length, access, flags, fd, offset as libc::off_t) };
    if at == libc::MAP_FAILED { Err(CUresult::ERROR_OUT_OF_MEMORY) } else { Ok(at as u64) }
}

fn unmap(start: u64, bytes: u64) {
    // SAFETY: mapped by `map`, taken out of the list of allocations by the caller, so it is unmapped once.
    unsafe { libc::munmap(start as *mut libc::c_void, bytes as usize) };
}

/// What an allocation takes of a device, simulated bytes.
pub fn simulated(bytes: u64) -> u64 {
    bytes.saturating_mul(settings().byte_scale).div_ceil(BLOCK).saturating_mul(BLOCK)
}

impl Process {
    /// Takes simulated bytes of a device for good, evicting managed memory of anyone.
    pub fn take(&self, device: usize, size: u64) -> Result<(), CUresult> {
        self.take_now(device, size).or_else(|_| {
            self.settle_pools(true);
            self.take_now(device, size)
        })
    }

    /// The same, of what there is without asking pools.
    pub(super) fn take_now(&self, device: usize, size: u64) -> Result<(), CUresult> {
        let memory = settings().memory;
        let mut shared = self.world.lock();
        shared.reap();
        if shared.devices[device].plain.saturating_add(size) > memory {
            return Err(CUresult::ERROR_OUT_OF_MEMORY);
        }
        residency::make_room(&mut shared, device, memory, size, &[]);
        shared.devices[device].plain += size;
        shared.processes[self.world.slot].plain[device] += size;
        Ok(())
    }

    /// Gives back what was taken.
    pub fn give(&self, device: usize, size: u64) {
        let mut shared = self.world.lock();
        shared.devices[device].plain -= size;
        shared.processes[self.world.slot].plain[device] -= size;
    }

    /// `cuMemAlloc`.
    pub fn allocate_plain(&self, bytes: u64, device: usize, context: usize) -> Result<u64, CUresult> {
        if bytes == 0 {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        self.take(device, simulated(bytes))?;
        let start = map(bytes).inspect_err(|_| self.give(device, simulated(bytes)))?;
        self.inner().memory.insert(start, bytes, Kind::Plain { device }, context);
        Ok(start)
    }

    /// A captured allocation: the graph's for good, at the address that the capture was told.
    pub fn allocate_for_graph(&self, bytes: u64, device: usize, context: usize) -> Result<u64, CUresult> {
        self.take(device, simulated(bytes))?;
        let start = map(bytes).inspect_err(|_| self.give(device, simulated(bytes)))?;
        self.inner().memory.insert(start, bytes, Kind::Graph { device }, context);
        Ok(start)
    }

    /// `cuMemAllocManaged`: takes nothing until it is touched.
    pub fn allocate_managed(&self, bytes: u64, device: usize, context: usize) -> Result<u64, CUresult> {
        if bytes == 0 {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let count = (simulated(bytes) / BLOCK) as usize;
        let start = self.map_managed(bytes)?;
        let mut shared = self.world.lock();
        let blocks = residency::reserve(&mut shared, count, self.world.slot, device);
        drop(shared);
        let Some(blocks) = blocks else {
            unmap(start, bytes);
            return Err(CUresult::ERROR_OUT_OF_MEMORY);
        };
        self.inner().memory.insert(start, bytes, Kind::Managed { blocks }, context);
        Ok(start)
    }

    /// From a granule on it begins at one. The addresses of freed memory come first.
    fn map_managed(&self, bytes: u64) -> Result<u64, CUresult> {
        if bytes < GRANULARITY {
            return map(bytes);
        }
        let freed = self.inner().memory.freed.extract_if(.., |(_, of)| *of == bytes).next();
        let again = freed.and_then(|(start, _)| match bytes < KEPT_BELOW {
            true => Some(start),
            false => set_aside(start, bytes, libc::MAP_FIXED_NOREPLACE),
        });
        let start = again.or_else(|| set_aside_aligned(bytes, GRANULARITY));
        let start = start.ok_or(CUresult::ERROR_OUT_OF_MEMORY)?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: set aside just now, or kept by `free`.
        let opened = unsafe { libc::mprotect(start as *mut libc::c_void, bytes as usize, access) };
        if opened == 0 { Ok(start) } else { Err(CUresult::ERROR_OUT_OF_MEMORY) }
    }

    /// Page-locked host memory; takes nothing of the device.
    pub fn allocate_host(&self, bytes: u64, flags: u32, context: usize) -> Result<u64, CUresult> {
        let start = map(bytes)?;
        let kind = Kind::Host { mapped: true, flags };
        self.inner().memory.insert(start, bytes, kind, context);
        Ok(start)
    }

    /// Gives an allocation back. Work that uses it must have ended.
    pub fn free(&self, start: u64) -> Result<(), CUresult> {
        let _layout = self.layout_for_change();
        let removed = self.inner().memory.remove(start).ok_or(CUresult::ERROR_INVALID_VALUE)?;
        match &removed.kind {
            Kind::Plain { device } | Kind::Graph { device } => self.give(*device, simulated(removed.bytes)),
            Kind::Pooled { pool, .. } => self.back_to_pool(*pool, removed.bytes),
            Kind::Managed { blocks } => residency::release(&mut self.world.lock(), blocks.clone()),
            Kind::Host { .. } | Kind::Imported => {}
        }
        let comes_again = matches!(removed.kind, Kind::Managed { .. }) && removed.bytes >= GRANULARITY;
        if comes_again {
            self.inner().memory.freed.push((removed.start, removed.bytes));
        }
        if comes_again && removed.bytes < KEPT_BELOW {
            set_aside(removed.start, removed.bytes, libc::MAP_FIXED)
                .ok_or(CUresult::ERROR_OPERATING_SYSTEM)?;
        } else if !matches!(removed.kind, Kind::Host { mapped: false, .. }) {
            unmap(removed.start, removed.bytes);
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
