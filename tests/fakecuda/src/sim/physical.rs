//! Physical memory that a program makes by itself (`cuMemCreate`): a file in memory, so that it can be mapped at
//! several addresses and keeps its bytes while it is mapped nowhere.
use nvshare_abi::{CU_MEM_LOCATION_TYPE_DEVICE, CUmemAllocationProp, CUresult};
use std::fs::File;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

/// Sizes of physical memory and of mappings are multiples of this, real bytes.
pub const GRANULARITY: u64 = 2 << 20;

/// What lies in new memory: what somebody left there. A program that reads memory which it has not written, or
/// which has not been brought back, finds this.
pub const POISON: u8 = 0xdb;

pub struct Physical {
    pub bytes: u64,
    pub prop: CUmemAllocationProp,
    pub file: File,
    /// How many handles and mappings keep it.
    pub users: u32,
    /// How many of those are handles.
    pub handles: u32,
    /// Where it lies; none is the host.
    pub device: Option<usize>,
    /// Whether this process counts for it: not for what another one has given it.
    pub counted: bool,
}

/// The device on which such memory lies; none for the host's.
///
/// # Errors
/// `INVALID_VALUE` for properties that no memory has, `INVALID_DEVICE` for a device that is not there.
pub fn device(prop: &CUmemAllocationProp) -> Result<Option<usize>, CUresult> {
    const HOST: std::ops::RangeInclusive<u32> = 2..=3;
    match prop.location.r#type {
        CU_MEM_LOCATION_TYPE_DEVICE => crate::calls::number(prop.location.id).map(Some),
        kind if HOST.contains(&kind) => Ok(None),
        _ => Err(CUresult::ERROR_INVALID_VALUE),
    }
}

/// A file of so many bytes that are there only once they are written.
///
/// # Errors
/// `OUT_OF_MEMORY` when this host has no more.
pub fn sparse(bytes: u64) -> Result<File, CUresult> {
    // SAFETY: a NUL-terminated name; the new descriptor belongs to nobody else.
    let fd = unsafe { libc::memfd_create(c"fakecuda-memory".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(CUresult::ERROR_OUT_OF_MEMORY);
    }
    // SAFETY: as above.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(bytes).map(|()| file).map_err(|_| CUresult::ERROR_OUT_OF_MEMORY)
}

/// What somebody else's descriptor names, by a descriptor of our own.
///
/// # Errors
/// `INVALID_VALUE` for a number that is no descriptor.
pub fn copy_of(fd: i32) -> Result<File, CUresult> {
    // SAFETY: only a number; an invalid one is an error.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    if copy < 0 {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    // SAFETY: just made, and nobody else's.
    Ok(unsafe { File::from_raw_fd(copy) })
}

/// A file of so many bytes, all of them poison.
///
/// # Errors
/// `OUT_OF_MEMORY` when this host has no more.
pub fn poisoned(bytes: u64) -> Result<File, CUresult> {
    const STEP: u64 = 1 << 20;
    let file = sparse(bytes)?;
    let poison = [POISON; STEP as usize];
    let written = (0..bytes / STEP).try_for_each(|step| file.write_all_at(&poison, step * STEP));
    written.map(|()| file).map_err(|_| CUresult::ERROR_OUT_OF_MEMORY)
}
