//! Pieces of another process, mapped one after the other, until dropped.
#![allow(unsafe_code)] // imports and maps device memory through the driver
use crate::driver;
use crate::memory::ledger::piece::read_write_access;
use nvshare_abi::*;
use std::os::fd::{AsRawFd, OwnedFd};

#[derive(Debug)]
pub struct ImportedMemory {
    pub at: CUdeviceptr,
    pub bytes: u64,
    /// What is mapped, in its order.
    parts: Vec<(CUmemGenericAllocationHandle, u64)>,
}

impl ImportedMemory {
    /// Maps them where the device may read and write, at addresses that `reserve` gives.
    ///
    /// # Errors
    /// The driver's; nothing is left of the attempt.
    pub fn new(
        parts: Vec<(OwnedFd, u64)>,
        ordinal: CUdevice,
        reserve: impl FnOnce(u64) -> Result<CUdeviceptr, CUresult>,
    ) -> Result<Self, CUresult> {
        let bytes = parts.iter().try_fold(0_u64, |sum, (_, bytes)| sum.checked_add(*bytes));
        let bytes = bytes.ok_or(CUresult::ERROR_INVALID_VALUE)?;
        let at = reserve(bytes)?;
        let mut mapped = Self { at, bytes, parts: Vec::with_capacity(parts.len()) };
        let mut next = at;
        for (file, bytes) in parts {
            let mut handle = 0;
            let kind = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
            let shareable = file.as_raw_fd() as usize as *mut c_void;
            // SAFETY: the pointer is to a local; the descriptor is open, and its memory the driver's to check.
            unsafe { driver::cuMemImportFromShareableHandle(&mut handle, shareable, kind) }.ok()?;
            // SAFETY: within the addresses reserved above, and the handle just made.
            let code = unsafe { driver::cuMemMap(next, bytes as usize, 0, handle, 0) };
            if code != CUresult::SUCCESS {
                // SAFETY: the handle just made, mapped nowhere.
                unsafe { driver::cuMemRelease(handle) };
                return Err(code);
            }
            mapped.parts.push((handle, bytes));
            next += bytes;
        }
        let access = read_write_access(ordinal);
        // SAFETY: all of it is mapped; the description is a local.
        unsafe { driver::cuMemSetAccess(at, bytes as usize, &access, 1) }.ok()?;
        Ok(mapped)
    }
}

impl Drop for ImportedMemory {
    fn drop(&mut self) {
        let mut at = self.at;
        for (handle, bytes) in &self.parts {
            // SAFETY: mapped there in `new`, and whoever drops this has waited for the work that used it.
            unsafe {
                driver::cuMemUnmap(at, *bytes as usize);
                driver::cuMemRelease(*handle);
            }
            at += bytes;
        }
        // SAFETY: reserved in `new`, and nothing is mapped there any more.
        unsafe { driver::cuMemAddressFree(self.at, self.bytes as usize) };
    }
}
