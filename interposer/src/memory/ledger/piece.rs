//! A piece of physical memory on a device, which keeps its addresses and its bytes while it is not there.
#![allow(unsafe_code)] // maps and unmaps device memory through the driver
use crate::driver;
use nvshare_abi::*;
use nvshare_protocol::DeviceId;

/// Why memory stays that others know.
pub const SHARED: &str = "shared with others";
/// How memory is exported to other processes: as a file descriptor.
pub const SHAREABLE: CUmemAllocationHandleType = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;

/// Who may access a stretch of addresses, as it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRange {
    pub at: u64,
    pub bytes: u64,
    pub who: Vec<CUmemAccessDesc>,
}

/// Where a piece, or a part of it, appears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub at: u64,
    /// From the piece's beginning.
    pub offset: u64,
    pub bytes: u64,
    pub access: Vec<AccessRange>,
}

impl Mapping {
    pub fn end(&self) -> u64 {
        self.at + self.bytes
    }

    /// Notes who may access a part of it, after what was said before: of the same part and the same devices that is
    /// replaced, other devices keep theirs.
    pub fn set_access(&mut self, at: u64, end: u64, who: &[CUmemAccessDesc]) {
        let (at, end) = (at.max(self.at), end.min(self.end()));
        let bytes = end.saturating_sub(at);
        if bytes > 0 {
            for access in
                self.access.iter_mut().filter(|access| access.at >= at && access.at + access.bytes <= end)
            {
                access.who.retain(|known| !who.iter().any(|new| new.location == known.location));
            }
            self.access.retain(|access| !access.who.is_empty());
            // Who has nothing to lose need not be told so at each return.
            let has = |location: CUmemLocation| {
                self.access.iter().any(|access| access.who.iter().any(|known| known.location == location))
            };
            let told = who.iter().filter(|new| new.flags != 0 || has(new.location)).copied();
            let who: Vec<_> = told.collect();
            if !who.is_empty() {
                self.access.push(AccessRange { at, bytes, who });
            }
        }
    }

    /// Whether the device may read and write all of it.
    fn is_accessible_by(&self, ordinal: CUdevice) -> bool {
        let own = read_write_access(ordinal);
        let mut said =
            self.access.iter().rev().filter_map(|access| {
                Some((access, access.who.iter().find(|who| who.location == own.location)?))
            });
        said.next().is_some_and(|(access, who)| {
            *who == own && access.at <= self.at && access.at + access.bytes >= self.end()
        })
    }
}

#[derive(Debug)]
pub struct Piece {
    pub device: DeviceId,
    pub bytes: u64,
    pub prop: CUmemAllocationProp,
    /// The driver's handle while it is on the device.
    pub driver_handle: Option<CUmemGenericAllocationHandle>,
    /// Whether its slot holds bytes that belong in it.
    pub saved: bool,
    /// Where its bytes go, on the host.
    pub slot: Option<u64>,
    pub mappings: Vec<Mapping>,
    /// Why it can never leave, if it cannot.
    pub pinned: Option<&'static str>,
    /// How many handles the application has to it.
    pub app_handles: u32,
    /// Rises with every piece: the newest counts as the most recently used.
    pub lru_seq: u64,
}

/// What a plain allocation on a device is made of.
pub fn device_prop(ordinal: CUdevice) -> CUmemAllocationProp {
    CUmemAllocationProp {
        r#type: CU_MEM_ALLOCATION_TYPE_PINNED,
        requestedHandleTypes: 0,
        location: CUmemLocation { r#type: CU_MEM_LOCATION_TYPE_DEVICE, id: ordinal },
        win32HandleMetaData: 0,
        allocFlags: CUmemAllocationFlags {
            compressionType: 0,
            gpuDirectRDMACapable: 0,
            usage: 0,
            reserved: [0; 4],
        },
    }
}

/// Read and write, for the device itself.
pub fn read_write_access(ordinal: CUdevice) -> CUmemAccessDesc {
    CUmemAccessDesc {
        location: CUmemLocation { r#type: CU_MEM_LOCATION_TYPE_DEVICE, id: ordinal },
        flags: CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
    }
}

impl Piece {
    /// One that is neither on the device nor mapped, without a slot or a handle.
    pub fn new(lru_seq: u64, device: DeviceId, bytes: u64, prop: CUmemAllocationProp) -> Self {
        Self {
            device,
            bytes,
            prop,
            driver_handle: None,
            saved: false,
            slot: None,
            mappings: Vec::new(),
            pinned: None,
            app_handles: 0,
            lru_seq,
        }
    }

    pub fn is_resident(&self) -> bool {
        self.driver_handle.is_some()
    }

    /// Whether its memory was made to be known to others, or will be when it comes.
    pub fn is_exportable(&self) -> bool {
        self.prop.requestedHandleTypes & SHAREABLE != 0
    }

    pub fn is_evictable(&self) -> bool {
        self.pinned.is_none() && self.slot.is_some()
    }

    /// Makes its memory and maps it everywhere; its bytes are not yet in it.
    ///
    /// # Errors
    /// The driver's; nothing is left of the attempt.
    pub fn materialize(&mut self) -> Result<(), CUresult> {
        self.create()?;
        let opened = self.accesses().try_for_each(apply_access);
        if opened.is_err() {
            self.release();
        }
        opened
    }

    /// The nth of the pieces of `bytes` that this one is made of, which is mapped once.
    pub fn part(&self, nth: u64, bytes: u64) -> Piece {
        let offset = nth * bytes;
        let bytes = bytes.min(self.bytes - offset);
        let parts = self.mappings.iter().map(|map| {
            let (at, end) = (map.at + offset, map.at + offset + bytes);
            let clip = |access: &AccessRange| {
                let from = access.at.max(at);
                let bytes =
                    (access.at + access.bytes).min(end).checked_sub(from).filter(|bytes| *bytes > 0)?;
                Some(AccessRange { at: from, bytes, who: access.who.clone() })
            };
            Mapping { at, offset: 0, bytes, access: map.access.iter().filter_map(clip).collect() }
        });
        Piece {
            saved: self.saved,
            slot: self.slot.map(|slot| slot + offset),
            mappings: parts.collect(),
            ..Piece::new(self.lru_seq + nth, self.device, bytes, self.prop)
        }
    }

    /// The same, but that nobody may access it yet: [`apply_access_all`] is to follow.
    ///
    /// # Errors
    /// The driver's; nothing is left of the attempt.
    pub fn create(&mut self) -> Result<(), CUresult> {
        let mut real = 0;
        // SAFETY: pointers to a local and to our own properties.
        unsafe { driver::cuMemCreate(&mut real, self.bytes as usize, &self.prop, 0) }.ok()?;
        self.driver_handle = Some(real);
        let mapped = self.mappings.iter().try_for_each(|map| map_at(map, real));
        if mapped.is_err() {
            self.release();
        }
        mapped
    }

    /// Maps it elsewhere, wherever it is mapped, which nobody may access yet: [`apply_access_all`] is to follow.
    ///
    /// # Errors
    /// The driver's.
    pub fn move_maps(&mut self, from: u64, to: u64) -> Result<(), CUresult> {
        let moved = |at: u64| at - from + to;
        for map in &mut self.mappings {
            // SAFETY: mapped there since `create`; nothing of this process is in flight.
            unsafe { driver::cuMemUnmap(map.at, map.bytes as usize) };
            map.at = moved(map.at);
            map.access.iter_mut().for_each(|access| access.at = moved(access.at));
        }
        let real = self.driver_handle.ok_or(CUresult::ERROR_INVALID_VALUE)?;
        self.mappings.iter().try_for_each(|map| map_at(map, real))
    }

    fn accesses(&self) -> impl Iterator<Item = &AccessRange> {
        self.mappings.iter().flat_map(|map| &map.access)
    }

    /// Unmaps it everywhere and gives its memory back.
    pub fn release(&mut self) {
        let Some(real) = self.driver_handle.take() else { return };
        for map in &self.mappings {
            // SAFETY: addresses that we or the application reserved; nothing of this process is in flight. What was
            // never mapped, after a failed `materialize`, is the driver's error to say.
            unsafe { driver::cuMemUnmap(map.at, map.bytes as usize) };
        }
        // SAFETY: the handle made in `materialize`.
        unsafe { driver::cuMemRelease(real) };
    }

    /// Says who may access it, wherever it is mapped.
    ///
    /// # Errors
    /// The driver's.
    pub fn set_access(&mut self, who: &[CUmemAccessDesc]) -> Result<(), CUresult> {
        for map in &mut self.mappings {
            if self.driver_handle.is_some() {
                // SAFETY: mapped there since `materialize`; the descriptions are ours.
                unsafe { driver::cuMemSetAccess(map.at, map.bytes as usize, who.as_ptr(), who.len()) }
                    .ok()?;
            }
            map.set_access(map.at, map.end(), who);
        }
        Ok(())
    }

    /// An address where all of it is mapped, for its own device to read and write.
    pub fn full_mapping(&self) -> Option<u64> {
        self.mappings
            .iter()
            .find(|map| {
                map.offset == 0 && map.bytes == self.bytes && map.is_accessible_by(self.prop.location.id)
            })
            .map(|map| map.at)
    }

    /// Begins to copy its bytes out to its slot, or in from it, by `copy(device address, slot, bytes)`. Where it is
    /// mapped nowhere as a whole, it is so for the length of this call, and `wait` ends the copy.
    ///
    /// # Errors
    /// The driver's.
    pub fn copy(
        &self,
        copy: impl FnOnce(u64, u64, usize) -> CUresult,
        wait: impl FnOnce() -> CUresult,
    ) -> Result<(), CUresult> {
        let (Some(real), Some(slot)) = (self.driver_handle, self.slot) else {
            return Err(CUresult::ERROR_INVALID_VALUE);
        };
        let bytes = self.bytes as usize;
        if let Some(at) = self.full_mapping() {
            return copy(at, slot, bytes).ok();
        }
        let mut at = 0;
        // SAFETY: pointers to locals.
        unsafe { driver::cuMemAddressReserve(&mut at, bytes, 0, 0, 0) }.ok()?;
        let who = read_write_access(self.prop.location.id);
        let whole = Mapping {
            at,
            offset: 0,
            bytes: self.bytes,
            access: vec![AccessRange { at, bytes: self.bytes, who: vec![who] }],
        };
        let done = map_with_access(&whole, real).and_then(|()| {
            let copied = copy(at, slot, bytes).ok().and_then(|()| wait().ok());
            // SAFETY: mapped above, and the copy has ended.
            unsafe { driver::cuMemUnmap(at, bytes) };
            copied
        });
        // SAFETY: reserved above, nothing is mapped there.
        unsafe { driver::cuMemAddressFree(at, bytes) };
        done
    }
}

/// Opens pieces that were made and lie in one reservation, to whom their maps say: in one call for what follows each
/// other.
///
/// # Errors
/// The driver's; some may be open then.
pub fn apply_access_all<'a>(pieces: impl Iterator<Item = &'a Piece>) -> Result<(), CUresult> {
    let mut last: Option<AccessRange> = None;
    for piece in pieces {
        for (nth, access) in piece.accesses().enumerate() {
            match &mut last {
                Some(last) if nth == 0 && last.at + last.bytes == access.at && last.who == access.who => {
                    last.bytes += access.bytes;
                }
                _ => last.replace(access.clone()).iter().try_for_each(apply_access)?,
            }
        }
    }
    last.iter().try_for_each(apply_access)
}

fn map_with_access(map: &Mapping, real: CUmemGenericAllocationHandle) -> Result<(), CUresult> {
    map_at(map, real)?;
    map.access.iter().try_for_each(apply_access)
}

fn map_at(map: &Mapping, real: CUmemGenericAllocationHandle) -> Result<(), CUresult> {
    // SAFETY: addresses that we or the application reserved, and a live handle.
    unsafe { driver::cuMemMap(map.at, map.bytes as usize, map.offset as usize, real, 0) }.ok()
}

fn apply_access(access: &AccessRange) -> Result<(), CUresult> {
    let AccessRange { at, bytes, who } = access;
    // SAFETY: addresses that are mapped; the descriptions are ours.
    unsafe { driver::cuMemSetAccess(*at, *bytes as usize, who.as_ptr(), who.len()) }.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> Mapping {
        Mapping { at: 100, offset: 0, bytes: 100, access: Vec::new() }
    }

    fn read_only(ordinal: CUdevice) -> CUmemAccessDesc {
        // CU_MEM_ACCESS_FLAGS_PROT_READ of cuda.h.
        CUmemAccessDesc { flags: 1, ..read_write_access(ordinal) }
    }

    #[test]
    fn a_device_that_comes_later_takes_nothing_from_the_first() {
        let mut map = map();
        map.set_access(0, 1000, &[read_write_access(0)]);
        map.set_access(0, 1000, &[read_write_access(1)]);
        assert!(map.is_accessible_by(0) && map.is_accessible_by(1));
        assert_eq!(map.access.len(), 2);
        map.set_access(100, 200, &[read_only(0)]);
        assert!(!map.is_accessible_by(0) && map.is_accessible_by(1));
        assert_eq!(map.access.len(), 2, "what was said before of the same device is replaced");
    }

    #[test]
    fn a_device_that_is_kept_out_again_leaves_nothing_behind() {
        let mut map = map();
        map.set_access(0, 1000, &[read_write_access(0), read_write_access(1)]);
        map.set_access(0, 1000, &[CUmemAccessDesc { flags: 0, ..read_write_access(1) }]);
        assert!(map.is_accessible_by(0) && !map.is_accessible_by(1));
        assert_eq!(map.access, [AccessRange { at: 100, bytes: 100, who: vec![read_write_access(0)] }]);
        map.set_access(100, 150, &[CUmemAccessDesc { flags: 0, ..read_write_access(0) }]);
        assert_eq!(map.access.len(), 2, "a part of what is open is shut");
    }

    #[test]
    fn a_part_is_not_all_of_it() {
        let mut map = map();
        map.set_access(100, 150, &[read_write_access(0)]);
        assert!(!map.is_accessible_by(0));
        map.set_access(0, 50, &[read_write_access(0)]);
        assert_eq!(map.access.len(), 1, "what lies elsewhere is not ours");
    }
}
