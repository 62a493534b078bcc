//! Memory: plain, managed, page-locked; prefetch; what is known of an address.
use crate::driver::{Outcome, put};
use crate::sim::memory::{Allocation, Kind};
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
    Ok((process, context, device))
}

fn prefetch(dptr: CUdeviceptr, count: usize, to: Option<CUdevice>, stream: CUstream, on: Default) -> Outcome {
    let process = Process::get()?;
    let to = to.map(number).transpose()?;
    let managed = process.inner().memory.blocks(dptr, count as u64).is_some();
    if !managed || !process.inner().memory.covers(dptr, count as u64) {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    process.submit(stream as usize, on, Work::Prefetch { address: dptr, bytes: count as u64, to }).map(|_| ())
}

fn place(location: CUmemLocation) -> Option<CUdevice> {
    (location.r#type == CU_MEM_LOCATION_TYPE_DEVICE).then_some(location.id)
}

fn host(pp: *mut *mut c_void, bytes: usize) -> Outcome {
    let (process, context, _) = here()?;
    let start = process.allocate_host(bytes as u64, context)?;
    // SAFETY: the caller's pointer, by the promise of `cuMemHostAlloc`.
    unsafe { put(pp, start as *mut c_void) }
}

/// What is known of an address. The answers are as wide as `cuda.h` says for each attribute.
fn attribute(data: *mut c_void, attribute: CUpointer_attribute, dptr: CUdeviceptr) -> Outcome {
    let process = Process::get()?;
    let inner = process.inner();
    let found = inner.memory.find(dptr).ok_or(CUresult::ERROR_INVALID_VALUE)?;
    let device = inner.contexts.live.get(&found.context).map_or(0, |context| context.device);
    let on_host = matches!(found.kind, Kind::Host { .. });
    let managed = matches!(found.kind, Kind::Managed { .. });
    // SAFETY: the caller's pointer, for as many bytes as the attribute has.
    unsafe {
        match attribute {
            CU_POINTER_ATTRIBUTE_CONTEXT => put(data.cast(), found.context),
            CU_POINTER_ATTRIBUTE_MEMORY_TYPE => put(data.cast(), if on_host { 1_u32 } else { 2 }),
            CU_POINTER_ATTRIBUTE_DEVICE_POINTER => put(data.cast(), dptr),
            CU_POINTER_ATTRIBUTE_HOST_POINTER if on_host || managed => put(data.cast(), dptr),
            CU_POINTER_ATTRIBUTE_IS_MANAGED => put(data.cast(), u8::from(managed)),
            CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL => put(data.cast(), device as c_int),
            _ => Err(CUresult::ERROR_INVALID_VALUE),
        }
    }
}

driver! {
    cuMemAlloc_v2(dptr: *mut CUdeviceptr, bytes: usize) |_| {
        let (process, context, device) = here()?;
        put(dptr, process.allocate_plain(bytes as u64, device, context)?)
    }

    cuMemAllocPitch_v2(dptr: *mut CUdeviceptr, pitch: *mut usize, width: usize, height: usize, _element: c_uint) |_| {
        let (process, context, device) = here()?;
        let row = width.next_multiple_of(512);
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
        let (process, context, _) = here()?;
        let known = process.inner().memory.find(dptr).is_some_and(|a| {
            a.start == dptr && !matches!(a.kind, Kind::Host { .. })
        });
        if !known {
            return if dptr == 0 { Ok(()) } else { Err(CUresult::ERROR_INVALID_VALUE) };
        }
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

    cuMemHostAlloc(pp: *mut *mut c_void, bytes: usize, _flags: c_uint) |_| { host(pp, bytes) }

    cuMemAllocHost_v2(pp: *mut *mut c_void, bytes: usize) |_| { host(pp, bytes) }

    cuMemFreeHost(p: *mut c_void) |_| {
        let (process, context, _) = here()?;
        let known = process.inner().memory.find(p as u64).is_some_and(|a| a.start == p as u64);
        if !known {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        process.synchronize(context)?;
        process.free(p as u64)
    }

    cuMemHostRegister_v2(p: *mut c_void, bytes: usize, _flags: c_uint) |_| {
        let (process, context, _) = here()?;
        let mut inner = process.inner();
        if inner.memory.find(p as u64).is_some() {
            return Err(CUresult::ERROR_HOST_MEMORY_ALREADY_REGISTERED);
        }
        let kind = Kind::Host { mapped: false };
        inner.memory.insert(Allocation { start: p as u64, bytes: bytes as u64, kind, context });
        Ok(())
    }

    cuMemHostUnregister(p: *mut c_void) |_| {
        let (process, context, _) = here()?;
        let known = process.inner().memory.find(p as u64).is_some_and(|a| a.kind == Kind::Host { mapped: false });
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

    cuPointerGetAttribute(data: *mut c_void, wanted: CUpointer_attribute, dptr: CUdeviceptr) |_| {
        attribute(data, wanted, dptr)
    }

    cuPointerGetAttributes(count: c_uint, attributes: *mut CUpointer_attribute, data: *mut *mut c_void, dptr: CUdeviceptr) |_| {
        // As the driver does it: an unknown address is no error here.
        for at in 0..count as usize {
            let _ = attribute(*data.add(at), *attributes.add(at), dptr);
        }
        Ok(())
    }

    cuMemGetAddressRange_v2(base: *mut CUdeviceptr, size: *mut usize, dptr: CUdeviceptr) |_| {
        let process = Process::get()?;
        let inner = process.inner();
        let found = inner.memory.find(dptr).ok_or(CUresult::ERROR_NOT_FOUND)?;
        if !base.is_null() {
            put(base, found.start)?;
        }
        if size.is_null() { Ok(()) } else { put(size, found.bytes as usize) }
    }

    cuMemAdvise(dptr: CUdeviceptr, count: usize, _advice: CUmem_advise, _device: CUdevice) |_| { advise(dptr, count) }

    cuMemAdvise_v2(dptr: CUdeviceptr, count: usize, _advice: CUmem_advise, _location: CUmemLocation) |_| { advise(dptr, count) }

    cuMemPrefetchAsync | cuMemPrefetchAsync_ptsz(dptr: CUdeviceptr, count: usize, dst: CUdevice, stream: CUstream) |on| {
        prefetch(dptr, count, (dst != CU_DEVICE_CPU).then_some(dst), stream, on)
    }

    cuMemPrefetchAsync_v2 | cuMemPrefetchAsync_v2_ptsz(dptr: CUdeviceptr, count: usize, location: CUmemLocation, _flags: c_uint, stream: CUstream) |on| {
        prefetch(dptr, count, place(location), stream, on)
    }
}

/// Taken and ignored: the device moves memory by touch, prefetch and pressure only.
fn advise(dptr: CUdeviceptr, count: usize) -> Outcome {
    let managed = Process::get()?.inner().memory.blocks(dptr, count as u64).is_some();
    if managed { Ok(()) } else { Err(CUresult::ERROR_INVALID_VALUE) }
}
