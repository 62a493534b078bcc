//! A piece of physical memory (`cuMemCreate`) that keeps its addresses and its bytes while it is evicted.
//!
//! On the device it has a handle of the driver's and is mapped at each of its [`Mapping`]s. Evicted, it has neither:
//! its bytes lie in its slot of the swap space, and its addresses stay reserved with nothing behind them.
#![allow(unsafe_code)] // maps and unmaps device memory through the driver
use crate::driver;
use crate::memory::ledger::content::Content;
use nvshare_abi::*;
use nvshare_protocol::DeviceId;

/// Why memory that other processes know cannot be evicted.
pub const SHARED: &str = "shared with others";
/// How memory is exported to other processes: as a file descriptor.
pub const SHAREABLE: CUmemAllocationHandleType = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;

/// Who may access a range of addresses, as `cuMemSetAccess` was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRange {
    pub at: u64,
    pub bytes: u64,
    pub who: Vec<CUmemAccessDesc>,
}

/// A range of addresses at which a piece, or a part of it, is mapped.
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

    /// Records who may access a part of the mapping. This replaces what was recorded of the same part and the same
    /// devices; other devices keep their access.
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
            // A revocation is not replayed at each restoring for a device that never had access.
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
    /// Whether its slot holds its bytes, which must be copied in when it is restored.
    pub saved: bool,
    /// What is known of the bytes in its slot, also while it is on the device.
    pub content: Content,
    /// The address of its slot in the swap space.
    pub slot: Option<u64>,
    pub mappings: Vec<Mapping>,
    /// Why it can never leave, if it cannot.
    pub pinned: Option<&'static str>,
    /// How many handles to it the application holds.
    pub app_handles: u32,
    /// Rises with every piece: the newest counts as the most recently used. Also its key in the ledger.
    pub lru_seq: u64,
}

/// The properties of the physical memory of a plain allocation.
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

/// Read and write access for a device.
pub fn read_write_access(ordinal: CUdevice) -> CUmemAccessDesc {
    CUmemAccessDesc {
        location: CUmemLocation { r#type: CU_MEM_LOCATION_TYPE_DEVICE, id: ordinal },
        flags: CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
    }
}

impl Piece {
    /// A piece that is not on the device, with no mapping, slot or handle.
    pub fn new(lru_seq: u64, device: DeviceId, bytes: u64, prop: CUmemAllocationProp) -> Self {
        Self {
            device,
            bytes,
            prop,
            driver_handle: None,
            saved: false,
            content: Content::default(),
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

    /// Whether its physical memory can be exported, or could be once it is restored.
    pub fn is_exportable(&self) -> bool {
        self.prop.requestedHandleTypes & SHAREABLE != 0
    }

    pub fn is_evictable(&self) -> bool {
        self.pinned.is_none() && self.slot.is_some()
    }

    /// Creates its physical memory, maps it everywhere and sets the access. Its bytes are not copied yet.
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

    /// The nth of the pieces of `bytes` each that this one, which is mapped once, is split into.
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
            content: self.content.part(offset, bytes),
            slot: self.slot.map(|slot| slot + offset),
            mappings: parts.collect(),
            ..Piece::new(self.lru_seq + nth, self.device, bytes, self.prop)
        }
    }

    /// Creates its physical memory and maps it everywhere. [`apply_access_all`] is to follow: until then no device may
    /// access it.
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

    /// Maps it at `to` instead of `from`, each mapping at its distance. [`apply_access_all`] is to follow: until then
    /// no device may access it.
    ///
    /// # Errors
    /// The driver's.
    pub fn move_maps(&mut self, from: u64, to: u64) -> Result<(), CUresult> {
        let moved = |at: u64| at - from + to;
        for map in &mut self.mappings {
            // SAFETY: mapped there since `create`, as a whole; the gate is shut and no work of this process runs.
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

    /// Unmaps it everywhere and releases its physical memory.
    pub fn release(&mut self) {
        let Some(real) = self.driver_handle.take() else { return };
        for map in &self.mappings {
            // SAFETY: the addresses stay reserved for the piece, so that nothing else is mapped there. Nothing uses it:
            // the gate is shut and no work runs, or the application gives it up. If a failed `create` has not mapped it
            // there, the driver answers with an error.
            unsafe { driver::cuMemUnmap(map.at, map.bytes as usize) };
        }
        // SAFETY: the handle made in `create`, which `take` has just removed: it is released once.
        unsafe { driver::cuMemRelease(real) };
    }

    /// Sets who may access it, at each of its mappings.
    ///
    /// # Errors
    /// The driver's.
    pub fn set_access(&mut self, who: &[CUmemAccessDesc]) -> Result<(), CUresult> {
        for map in &mut self.mappings {
            if self.driver_handle.is_some() {
                // SAFETY: the piece is on the device and so mapped there; the descriptions are as many as their length.
                unsafe { driver::cuMemSetAccess(map.at, map.bytes as usize, who.as_ptr(), who.len()) }
                    .ok()?;
            }
            map.set_access(map.at, map.end(), who);
        }
        Ok(())
    }

    /// The address of a mapping of the whole piece that its own device may read and write.
    pub fn full_mapping(&self) -> Option<u64> {
        self.mappings
            .iter()
            .find(|map| {
                map.offset == 0 && map.bytes == self.bytes && map.is_accessible_by(self.prop.location.id)
            })
            .map(|map| map.at)
    }

    /// Begins to copy its bytes out to its slot, or in from it, by `copy(device address, slot)`. If no mapping has all
    /// of it, one is made for the length of this call, and `wait` ends the copy.
    ///
    /// # Errors
    /// The driver's.
    pub fn copy(
        &self,
        copy: impl FnOnce(u64, u64) -> Result<(), CUresult>,
        wait: impl FnOnce() -> CUresult,
    ) -> Result<(), CUresult> {
        let (Some(real), Some(slot)) = (self.driver_handle, self.slot) else {
            return Err(CUresult::ERROR_INVALID_VALUE);
        };
        let bytes = self.bytes as usize;
        if let Some(at) = self.full_mapping() {
            return copy(at, slot);
        }
        let mut at = 0;
        // SAFETY: the pointer is to a local.
        unsafe { driver::cuMemAddressReserve(&mut at, bytes, 0, 0, 0) }.ok()?;
        let who = read_write_access(self.prop.location.id);
        let whole = Mapping {
            at,
            offset: 0,
            bytes: self.bytes,
            access: vec![AccessRange { at, bytes: self.bytes, who: vec![who] }],
        };
        let done = map_with_access(&whole, real).and_then(|()| {
            // Also of a copy that failed: parts of it may have begun.
            let (copied, waited) = (copy(at, slot), wait().ok());
            // SAFETY: mapped above, and what was begun there has ended.
            unsafe { driver::cuMemUnmap(at, bytes) };
            copied.and(waited)
        });
        // SAFETY: reserved above, nothing is mapped there.
        unsafe { driver::cuMemAddressFree(at, bytes) };
        done
    }
}

/// Sets the recorded access of pieces that were created and lie in one reservation: in one call of the driver for
/// ranges that follow each other with the same access.
///
/// # Errors
/// The driver's; some of them may be accessible then.
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
    // SAFETY: the addresses are reserved, by us or by the application, with nothing mapped there; the handle was just
    // created or belongs to a piece that is on the device.
    unsafe { driver::cuMemMap(map.at, map.bytes as usize, map.offset as usize, real, 0) }.ok()
}

fn apply_access(access: &AccessRange) -> Result<(), CUresult> {
    let AccessRange { at, bytes, who } = access;
    // SAFETY: the callers have mapped the range; the descriptions are as many as their length.
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
