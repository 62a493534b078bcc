//! Reserved addresses, the physical memory that is mapped there, and who may access it.
use crate::sim::alloc::simulated;
use crate::sim::physical::{self, GRANULARITY, Physical};
use crate::sim::process::{Inner, Process};
use nvshare_abi::*;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;

struct Mapping {
    bytes: u64,
    handle: u64,
    access: Vec<CUmemAccessDesc>,
}

/// Addresses that the driver has spare, bytes: as long as they suffice, wishes for others are not heard
/// (`tests/gpu/scripts/facts.sh address`, 580.159.04).
const SPARE: u64 = 384 << 20;

/// All of one process.
#[derive(Default)]
pub struct Mappings {
    /// Length by start.
    reserved: BTreeMap<u64, u64>,
    maps: BTreeMap<u64, Mapping>,
    pub physical: BTreeMap<u64, Physical>,
}

const INVALID: CUresult = CUresult::ERROR_INVALID_VALUE;

impl Mappings {
    /// The reservation in which an address lies: its start and length.
    pub fn reservation(&self, address: u64) -> Option<(u64, u64)> {
        let (start, bytes) = self.reserved.range(..=address).next_back()?;
        (address - start < *bytes).then_some((*start, *bytes))
    }

    fn spare(&self) -> u64 {
        SPARE.saturating_sub(self.reserved.values().sum())
    }

    fn is_reserved(&self, address: u64, bytes: u64) -> bool {
        self.reservation(address)
            .is_some_and(|(start, length)| bytes <= length && address - start <= length - bytes)
    }

    /// The mapping in which an address lies, with its start.
    fn at(&self, address: u64) -> Option<(u64, &Mapping)> {
        let (start, mapping) = self.maps.range(..=address).next_back()?;
        (address - start < mapping.bytes).then_some((*start, mapping))
    }

    /// The mapping at an address: where it begins, how long it is, and the handle of what is mapped there.
    pub fn mapped(&self, address: u64) -> Option<(u64, u64, u64)> {
        self.at(address).map(|(start, mapping)| (start, mapping.bytes, mapping.handle))
    }

    /// Whether a device may read and write all of a range.
    pub fn is_accessible(&self, address: u64, bytes: u64, device: usize) -> bool {
        let mut next = address;
        let end = address.saturating_add(bytes);
        while next < end {
            let Some((start, mapping)) = self.at(next) else { return false };
            let location = CUmemLocation { r#type: CU_MEM_LOCATION_TYPE_DEVICE, id: device as i32 };
            if flags(mapping, &location) != CU_MEM_ACCESS_FLAGS_PROT_READWRITE {
                return false;
            }
            next = start + mapping.bytes;
        }
        true
    }

    /// Whether something is mapped everywhere in a range.
    pub fn is_mapped(&self, address: u64, bytes: u64) -> bool {
        let (mut next, end) = (address, address.saturating_add(bytes));
        while next < end {
            let Some((start, mapping)) = self.at(next) else { return false };
            next = start + mapping.bytes;
        }
        true
    }

    /// The mappings that a range is made of, if it is made of whole ones without a gap.
    fn whole(&self, address: u64, bytes: u64) -> Result<Vec<u64>, CUresult> {
        let end = address.checked_add(bytes).filter(|_| bytes > 0).ok_or(INVALID)?;
        let (mut next, mut starts) = (address, Vec::new());
        while next < end {
            starts.push(next);
            next += self.maps.get(&next).ok_or(INVALID)?.bytes;
        }
        if next == end { Ok(starts) } else { Err(INVALID) }
    }

    /// What a location may do at an address.
    ///
    /// # Errors
    /// `INVALID_VALUE` where nothing is mapped.
    pub fn access(&self, location: &CUmemLocation, address: u64) -> Result<u32, CUresult> {
        self.at(address).map(|(_, mapping)| flags(mapping, location)).ok_or(INVALID)
    }
}

fn flags(mapping: &Mapping, location: &CUmemLocation) -> u32 {
    mapping.access.iter().find(|desc| desc.location == *location).map_or(0, |desc| desc.flags)
}

/// Addresses at which nothing can be accessed; `at` is 0 or where they are wanted.
pub fn set_aside(at: u64, bytes: u64, how: libc::c_int) -> Option<u64> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | how;
    // SAFETY: at an address of the kernel's choice, or over addresses that are ours (`MAP_FIXED`).
    let got = unsafe { libc::mmap(at as *mut libc::c_void, bytes as usize, libc::PROT_NONE, flags, -1, 0) };
    (got != libc::MAP_FAILED).then_some(got as u64)
}

/// Such addresses that begin at a multiple of `alignment`.
pub fn set_aside_aligned(bytes: u64, alignment: u64) -> Option<u64> {
    let got = set_aside(0, bytes.checked_add(alignment)?, 0)?;
    let start = got.next_multiple_of(alignment);
    // SAFETY: the ends of the mapping just made, which nobody knows of.
    unsafe {
        libc::munmap(got as *mut libc::c_void, (start - got) as usize);
        libc::munmap((start + bytes) as *mut libc::c_void, (got + alignment - start) as usize);
    }
    Some(start)
}

impl Process {
    /// `cuMemAddressReserve`. A wanted address is a hint, which a real driver does not always take.
    pub fn reserve(&self, bytes: u64, alignment: u64, wanted: u64) -> Result<u64, CUresult> {
        let unaligned = bytes == 0 || !bytes.is_multiple_of(GRANULARITY);
        if unaligned || (alignment != 0 && !alignment.is_power_of_two()) {
            return Err(INVALID);
        }
        let alignment = alignment.max(GRANULARITY);
        let spare = self.inner().memory.mappings.spare();
        let hint = if wanted.is_multiple_of(alignment) && bytes > spare { wanted } else { 0 };
        let fitting = if hint == 0 { None } else { set_aside(hint, bytes, libc::MAP_FIXED_NOREPLACE) };
        let start = fitting.or_else(|| set_aside_aligned(bytes, alignment));
        let start = start.ok_or(CUresult::ERROR_OUT_OF_MEMORY)?;
        self.inner().memory.mappings.reserved.insert(start, bytes);
        Ok(start)
    }

    /// `cuMemAddressFree`: a whole reservation, in which nothing is mapped.
    pub fn unreserve(&self, start: u64, bytes: u64) -> Result<(), CUresult> {
        let _layout = self.layout_for_change();
        let mut inner = self.inner();
        let mappings = &mut inner.memory.mappings;
        let used = mappings.maps.range(start..start.saturating_add(bytes)).next().is_some();
        if used || mappings.reserved.get(&start) != Some(&bytes) {
            return Err(INVALID);
        }
        mappings.reserved.remove(&start);
        // SAFETY: set aside by `reserve`, and just taken out of the list.
        unsafe { libc::munmap(start as *mut libc::c_void, bytes as usize) };
        Ok(())
    }

    /// `cuMemCreate`: takes device memory for good, as plain memory does.
    pub fn create_physical(&self, bytes: u64, prop: &CUmemAllocationProp) -> Result<u64, CUresult> {
        let device = physical::device(prop)?;
        if bytes == 0 || !bytes.is_multiple_of(GRANULARITY) {
            return Err(INVALID);
        }
        if let Some(device) = device {
            self.take(device, simulated(bytes))?;
        }
        let file = physical::poisoned(bytes).inspect_err(|_| {
            device.iter().for_each(|device| self.give(*device, simulated(bytes)));
        })?;
        let mut inner = self.inner();
        let handle = inner.handle() as u64;
        let made = Physical { bytes, prop: *prop, file, users: 1, handles: 1, device, counted: true };
        inner.memory.mappings.physical.insert(handle, made);
        Ok(handle)
    }

    /// What another process has made, by its file.
    pub fn import_physical(&self, file: File) -> Result<u64, CUresult> {
        let bytes = file.metadata().map_err(|_| INVALID)?.len();
        let location = CUmemLocation { r#type: CU_MEM_LOCATION_TYPE_DEVICE, id: 0 };
        let allocFlags =
            CUmemAllocationFlags { compressionType: 0, gpuDirectRDMACapable: 0, usage: 0, reserved: [0; 4] };
        let prop = CUmemAllocationProp {
            r#type: CU_MEM_ALLOCATION_TYPE_PINNED,
            requestedHandleTypes: CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
            location,
            win32HandleMetaData: 0,
            allocFlags,
        };
        let mut inner = self.inner();
        let handle = inner.handle() as u64;
        let made = Physical { bytes, prop, file, users: 1, handles: 1, device: Some(0), counted: false };
        inner.memory.mappings.physical.insert(handle, made);
        Ok(handle)
    }

    /// `cuMemRelease`: one handle less.
    pub fn release_physical(&self, handle: u64) -> Result<(), CUresult> {
        let mut inner = self.inner();
        let found = inner.memory.mappings.physical.get_mut(&handle);
        found.filter(|physical| physical.handles > 0).ok_or(INVALID)?.handles -= 1;
        self.drop_user(&mut inner, handle);
        Ok(())
    }

    /// `cuMemRetainAllocationHandle`: the handle of what is mapped at an address, once more.
    pub fn retain_physical(&self, address: u64) -> Result<u64, CUresult> {
        let mut inner = self.inner();
        let mappings = &mut inner.memory.mappings;
        let handle = mappings.at(address).ok_or(INVALID)?.1.handle;
        let physical = mappings.physical.get_mut(&handle).ok_or(INVALID)?;
        physical.handles += 1;
        physical.users += 1;
        Ok(handle)
    }

    fn drop_user(&self, inner: &mut Inner, handle: u64) {
        let physical = &mut inner.memory.mappings.physical;
        let Some(found) = physical.get_mut(&handle) else { return };
        found.users -= 1;
        if found.users == 0
            && let Some(gone) = physical.remove(&handle).filter(|gone| gone.counted)
            && let Some(device) = gone.device
        {
            self.give(device, simulated(gone.bytes));
        }
    }

    /// `cuMemMap`: within reserved addresses, where nothing is mapped yet. Nobody may access it so far.
    pub fn map(&self, at: u64, bytes: u64, offset: u64, handle: u64) -> Result<(), CUresult> {
        let mut inner = self.inner();
        let mappings = &mut inner.memory.mappings;
        let fits = bytes > 0 && bytes.is_multiple_of(GRANULARITY) && mappings.is_reserved(at, bytes);
        let before = mappings.maps.range(..at.saturating_add(bytes)).next_back();
        let taken = before.is_some_and(|(start, mapping)| start + mapping.bytes > at);
        let physical = mappings.physical.get_mut(&handle).ok_or(INVALID)?;
        // The offset "currently must be zero".
        if !fits || taken || offset != 0 || bytes > physical.bytes || physical.handles == 0 {
            return Err(INVALID);
        }
        let (fd, flags) = (physical.file.as_raw_fd(), libc::MAP_SHARED | libc::MAP_FIXED);
        // SAFETY: over addresses that `reserve` has set aside and that nothing else is mapped at.
        let got =
            unsafe { libc::mmap(at as *mut libc::c_void, bytes as usize, libc::PROT_NONE, flags, fd, 0) };
        if got == libc::MAP_FAILED {
            return Err(CUresult::ERROR_OUT_OF_MEMORY);
        }
        physical.users += 1;
        mappings.maps.insert(at, Mapping { bytes, handle, access: Vec::new() });
        Ok(())
    }

    /// `cuMemUnmap`: whole mappings. It waits for nothing but what is being computed this moment; work that comes
    /// later and touches the range breaks the device.
    pub fn unmap(&self, at: u64, bytes: u64) -> Result<(), CUresult> {
        let _layout = self.layout_for_change();
        let mut inner = self.inner();
        let nothing = inner.memory.mappings.maps.range(at..at.saturating_add(bytes)).next().is_none();
        if nothing && inner.memory.mappings.is_reserved(at, bytes) && inner.memory.mappings.at(at).is_none() {
            // As a real driver says it of addresses where nothing is mapped (580.159.04).
            return Ok(());
        }
        for start in inner.memory.mappings.whole(at, bytes)? {
            let Some(mapping) = inner.memory.mappings.maps.remove(&start) else { continue };
            // The old mapping goes in the same step, and its addresses stay set aside.
            set_aside(start, mapping.bytes, libc::MAP_FIXED).ok_or(CUresult::ERROR_OPERATING_SYSTEM)?;
            self.drop_user(&mut inner, mapping.handle);
        }
        Ok(())
    }

    /// `cuMemSetAccess`: on whole mappings; who is not named keeps what it had.
    pub fn set_access(&self, at: u64, bytes: u64, who: &[CUmemAccessDesc]) -> Result<(), CUresult> {
        for desc in who.iter().filter(|desc| desc.location.r#type == CU_MEM_LOCATION_TYPE_DEVICE) {
            crate::calls::number(desc.location.id)?;
        }
        if who.is_empty() || who.iter().any(|desc| !matches!(desc.flags, 0 | 1 | 3)) {
            return Err(INVALID);
        }
        let mut inner = self.inner();
        let mappings = &mut inner.memory.mappings;
        for start in mappings.whole(at, bytes)? {
            let mapping = mappings.maps.get_mut(&start).ok_or(INVALID)?;
            for desc in who {
                mapping.access.retain(|known| known.location != desc.location);
                mapping.access.push(*desc);
            }
            let none = mapping.access.iter().all(|desc| desc.flags == 0);
            let protection = if none { libc::PROT_NONE } else { libc::PROT_READ | libc::PROT_WRITE };
            // SAFETY: mapped by `map`.
            unsafe { libc::mprotect(start as *mut libc::c_void, mapping.bytes as usize, protection) };
        }
        Ok(())
    }
}
