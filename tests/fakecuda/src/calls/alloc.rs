//! Memory: plain, managed, page-locked; prefetch; what is known of an address.
use crate::driver::{Outcome, put};
use crate::sim::ledger::{Allocation, Kind};
use crate::sim::process::Process;
use crate::sim::stream::Default;
use crate::sim::work::Work;
use nvshare_abi::*;

use super::device::number;

/// The process, its current context and device, for a call that a capture may prohibit.
fn here() -> Result<(&'static Process, usize, usize), CUresult> {
    let process = Process::get()?;
    let (context, device) = process.context()?;
    process.prohibited()?;
    process.inner().broken.map_or(Ok(()), Err)?;
    Ok((process, context, device))
}

fn prefetch(dptr: CUdeviceptr, count: usize, to: Option<CUdevice>, stream: CUstream, on: Default) -> Outcome {
    let process = Process::get()?;
    let to = to.map(number).transpose()?;
    let managed = process.inner().memory.blocks(dptr, count as u64).is_some();
    if !managed || !process.inner().memory.covers(dptr, count as u64) {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    if let Some(found) = process.inner().memory.managed(dptr) {
        found.advice.prefetched = to.map_or(CU_DEVICE_CPU, |device| device as CUdevice);
    }
    process.submit(stream as usize, on, Work::Prefetch { address: dptr, bytes: count as u64, to }).map(|_| ())
}

fn place(location: CUmemLocation) -> Option<CUdevice> {
    (location.r#type == CU_MEM_LOCATION_TYPE_DEVICE).then_some(location.id)
}

/// Portable, mapped, write-combined: what page-locked memory can be asked for with; mapped it is anyway.
const HOST_FLAGS: c_uint = 7;
const HOST_MAPPED: c_uint = 2;

fn host(pp: *mut *mut c_void, bytes: usize, flags: c_uint) -> Outcome {
    let (process, context, _) = here()?;
    if flags & !HOST_FLAGS != 0 {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    let start = match bytes {
        0 => 0,
        _ => process.allocate_host(bytes as u64, flags | HOST_MAPPED, context)?,
    };
    // SAFETY: the caller's pointer, by the promise of `cuMemHostAlloc`.
    unsafe { put(pp, start as *mut c_void) }
}

driver! {
    cuMemAlloc_v2(dptr: *mut CUdeviceptr, bytes: usize) |_| {
        let (process, context, device) = here()?;
        put(dptr, process.allocate_plain(bytes as u64, device, context)?)
    }

    cuMemAllocPitch_v2(dptr: *mut CUdeviceptr, pitch: *mut usize, width: usize, height: usize, element: c_uint) |_| {
        if !matches!(element, 4 | 8 | 16) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let (process, context, device) = here()?;
        let row = width.checked_next_multiple_of(512).ok_or(CUresult::ERROR_OUT_OF_MEMORY)?;
        let bytes = row.checked_mul(height).ok_or(CUresult::ERROR_OUT_OF_MEMORY)?;
        put(dptr, process.allocate_plain(bytes as u64, device, context)?)?;
        put(pitch, row)
    }

    cuMemAllocManaged(dptr: *mut CUdeviceptr, bytes: usize, flags: c_uint) |_| {
        let (process, context, device) = here()?;
        if flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        put(dptr, process.allocate_managed(bytes as u64, device, context)?)
    }

    cuMemFree_v2(dptr: CUdeviceptr) |_| {
        let process = Process::get()?;
        process.prohibited()?;
        let context = {
            let inner = process.inner();
            inner.broken.map_or(Ok(()), Err)?;
            match inner.memory.find(dptr) {
                Some(a) if a.start == dptr && matches!(a.kind, Kind::Graph { .. }) => return Ok(()),
                Some(a) if a.start == dptr && a.is_the_devices() && !a.leaving => a.context,
                None if dptr == 0 => return Ok(()),
                _ => return Err(CUresult::ERROR_INVALID_VALUE),
            }
        };
        process.synchronize(context)?;
        process.free(dptr)
    }

    cuMemGetInfo_v2(free: *mut usize, total: *mut usize) |_| {
        let process = Process::get()?;
        let (_, device) = process.context()?;
        let (available, all) = process.memory_info(device);
        put(free, available as usize)?;
        put(total, all as usize)
    }

    cuMemHostAlloc(pp: *mut *mut c_void, bytes: usize, flags: c_uint) |_| { host(pp, bytes, flags) }

    cuMemAllocHost_v2(pp: *mut *mut c_void, bytes: usize) |_| { host(pp, bytes, 0) }

    cuMemFreeHost(p: *mut c_void) |_| {
        let (process, context, _) = here()?;
        let made = |a: &Allocation| a.start == p as u64 && matches!(a.kind, Kind::Host { mapped: true, .. });
        if !process.inner().memory.find(p as u64).is_some_and(made) {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        process.synchronize(context)?;
        process.free(p as u64)
    }

    cuMemHostGetFlags(flags: *mut c_uint, p: *mut c_void) |_| {
        match Process::get()?.inner().memory.find(p as u64).map(|found| found.kind.clone()) {
            Some(Kind::Host { flags: known, .. }) => put(flags, known),
            _ => Err(CUresult::ERROR_INVALID_VALUE),
        }
    }

    cuMemHostRegister_v2(p: *mut c_void, bytes: usize, flags: c_uint) |_| {
        let (process, context, _) = here()?;
        // Portable, mapped, of a device's registers, read-only.
        if p.is_null() || bytes == 0 || flags & !15 != 0 {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let mut inner = process.inner();
        if inner.memory.overlaps(p as u64, bytes as u64) {
            return Err(CUresult::ERROR_HOST_MEMORY_ALREADY_REGISTERED);
        }
        let kind = Kind::Host { mapped: false, flags: flags & HOST_FLAGS | HOST_MAPPED };
        inner.memory.insert(p as u64, bytes as u64, kind, context);
        Ok(())
    }

    cuMemHostUnregister(p: *mut c_void) |_| {
        let (process, context, _) = here()?;
        let known = process.inner().memory.find(p as u64).is_some_and(|a| matches!(a.kind, Kind::Host { mapped: false, .. }));
        if !known {
            return Err(CUresult::ERROR_HOST_MEMORY_NOT_REGISTERED);
        }
        process.synchronize(context)?;
        process.free(p as u64)
    }

    cuMemHostGetDevicePointer_v2(dptr: *mut CUdeviceptr, p: *mut c_void, _flags: c_uint) |_| {
        if Process::get()?.inner().memory.find(p as u64).is_none() {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        put(dptr, p as u64)
    }

    cuMemAdvise(dptr: CUdeviceptr, _count: usize, advice: CUmem_advise, device: CUdevice) |_| { advise(dptr, advice, device) }

    cuMemAdvise_v2(dptr: CUdeviceptr, _count: usize, advice: CUmem_advise, location: CUmemLocation) |_| {
        advise(dptr, advice, place(location).unwrap_or(CU_DEVICE_CPU))
    }

    cuMemRangeGetAttribute(data: *mut c_void, size: usize, attribute: CUmem_range_attribute, dptr: CUdeviceptr, _count: usize) |_| {
        range_attribute(data, size, attribute, dptr)
    }

    cuMemRangeGetAttributes(data: *mut *mut c_void, sizes: *mut usize, attributes: *mut CUmem_range_attribute, attribute_count: usize, dptr: CUdeviceptr, _count: usize) |_| {
        (0..attribute_count).try_for_each(|at| range_attribute(*data.add(at), *sizes.add(at), *attributes.add(at), dptr))
    }

    cuMemPrefetchAsync | cuMemPrefetchAsync_ptsz(dptr: CUdeviceptr, count: usize, dst: CUdevice, stream: CUstream) |on| {
        prefetch(dptr, count, (dst != CU_DEVICE_CPU).then_some(dst), stream, on)
    }

    cuMemPrefetchAsync_v2 | cuMemPrefetchAsync_v2_ptsz(dptr: CUdeviceptr, count: usize, location: CUmemLocation, _flags: c_uint, stream: CUstream) |on| {
        prefetch(dptr, count, place(location), stream, on)
    }

    cuMemPrefetchBatchAsync | cuMemPrefetchBatchAsync_ptsz(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, locations: *mut CUmemLocation, location_indexes: *mut usize, location_count: usize, _flags: c_ulonglong, stream: CUstream) |on| {
        (0..count).try_for_each(|at| {
            // A location is that of the ranges from its index on.
            let location = (0..location_count).rev().find(|known| *location_indexes.add(*known) <= at);
            let location = *locations.add(location.ok_or(CUresult::ERROR_INVALID_VALUE)?);
            prefetch(*dptrs.add(at), *sizes.add(at), place(location), stream, on)
        })
    }
}

/// # Safety
/// `data` is null or valid for a write of `size` bytes.
unsafe fn range_attribute(
    data: *mut c_void,
    size: usize,
    attribute: CUmem_range_attribute,
    dptr: CUdeviceptr,
) -> Outcome {
    let process = Process::get()?;
    let mut inner = process.inner();
    let advice = inner.memory.managed(dptr).ok_or(CUresult::ERROR_INVALID_VALUE)?.advice;
    let value = match attribute {
        1 => advice.read_mostly.into(),
        2 => advice.preferred,
        CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION => advice.prefetched,
        _ => return Err(CUresult::ERROR_NOT_SUPPORTED),
    };
    // SAFETY: the caller's promise.
    if size == 4 { unsafe { put(data.cast(), value) } } else { Err(CUresult::ERROR_INVALID_VALUE) }
}

/// Noted, and without effect: the device moves memory by touch, prefetch and pressure only.
fn advise(dptr: CUdeviceptr, advice: CUmem_advise, device: CUdevice) -> Outcome {
    let process = Process::get()?;
    let mut inner = process.inner();
    let noted = &mut inner.memory.managed(dptr).ok_or(CUresult::ERROR_INVALID_VALUE)?.advice;
    match advice {
        // What is asked for first is taken back by the number after it.
        CU_MEM_ADVISE_SET_READ_MOSTLY | 2 => noted.read_mostly = advice == CU_MEM_ADVISE_SET_READ_MOSTLY,
        CU_MEM_ADVISE_SET_PREFERRED_LOCATION => noted.preferred = device,
        4 => noted.preferred = -2,
        CU_MEM_ADVISE_SET_ACCESSED_BY | 6 => {}
        _ => return Err(CUresult::ERROR_INVALID_VALUE),
    }
    Ok(())
}
