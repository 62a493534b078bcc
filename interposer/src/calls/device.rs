//! What the application sees of a device: the memory that it may have.
#![allow(unsafe_code)] // results are written through the application's pointers
use crate::dispatch::Disposition;
use crate::driver::device::Device;
use crate::process::Process;
use nvshare_abi::*;

pub fn memory_info(
    process: &'static Process,
    free: *mut usize,
    total: *mut usize,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    Disposition::Forward(move |result| {
        if result == CUresult::SUCCESS
            && let Some(context) = process.contexts.current()
        {
            let Device { id, capacity, .. } = *context.device;
            // Memory whose stream has reached its free counts as free.
            process.memory.deferred.reclaim_current();
            // SAFETY: the driver has just written through these pointers and reported success; it
            // accepts null for one that is not wanted.
            unsafe {
                if let Some(free) = free.as_mut() {
                    *free = process.available(id, capacity) as usize;
                }
                if let Some(total) = total.as_mut() {
                    *total = process.limits.visible(capacity) as usize;
                }
            }
        }
        result
    })
}

/// A device is as large as the tenant's limit.
pub fn device_total_memory(
    process: &'static Process,
    bytes: *mut usize,
    _device: CUdevice,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    Disposition::Forward(move |result| {
        if result == CUresult::SUCCESS && !bytes.is_null() {
            // SAFETY: the driver has just written through this pointer and reported success.
            let bytes = unsafe { &mut *bytes };
            *bytes = (*bytes).min(process.limits.limit().unwrap_or(u64::MAX) as usize);
        }
        result
    })
}
