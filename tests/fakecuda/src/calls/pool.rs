//! Memory in the order of streams, and the pools that it comes from.
use super::device::number;
use crate::driver::{Outcome, put};
use crate::sim::alloc::map_file;
use crate::sim::ledger::Kind;
use crate::sim::physical;
use crate::sim::process::Process;
use crate::sim::stream::Default;
use crate::sim::work::Work;
use nvshare_abi::*;
use std::os::fd::{AsFd, IntoRawFd};

/// Memory of a pool, or of the graph if the stream is captured.
fn allocate(
    dptr: *mut CUdeviceptr,
    bytes: usize,
    pool: Option<usize>,
    stream: CUstream,
    on: Default,
) -> Outcome {
    let process = Process::get()?;
    let (context, device) = {
        let mut inner = process.inner();
        let key = inner.stream(stream as usize, on)?;
        let context = inner.streams.all[&key].context;
        (context, inner.contexts.live.get(&context).map_or(0, |context| context.device))
    };
    let start = match bytes as u64 {
        0 => 0,
        bytes => match process.submit(stream as usize, on, Work::Nothing)? {
            Some(_) => {
                let pool = pool.unwrap_or_else(|| process.current_pool(device));
                process.allocate_pooled(bytes, pool, context)?
            }
            None => process.allocate_for_graph(bytes, device, context)?,
        },
    };
    // SAFETY: the caller's pointer, by the promise of `cuMemAllocAsync`.
    unsafe { put(dptr, start) }
}

fn free(dptr: CUdeviceptr, stream: CUstream, on: Default) -> Outcome {
    let process = Process::get()?;
    let work = {
        let mut inner = process.inner();
        let key = inner.stream(stream as usize, on)?;
        let captured = inner.streams.all[&key].capture.is_some();
        let found = inner.memory.at_start(dptr).filter(|found| !found.leaving && found.is_the_devices());
        let found = found.ok_or(CUresult::ERROR_INVALID_VALUE)?;
        match found.kind {
            // It stays the graph's, for its next launch.
            Kind::Graph { .. } => Work::Nothing,
            // A captured free is of what the graph has allocated.
            _ if captured => return Err(CUresult::ERROR_INVALID_VALUE),
            _ => {
                found.leaving = true;
                Work::Free { start: dptr }
            }
        }
    };
    process.submit(stream as usize, on, work).map(|_| ())
}

/// What a pointer into a shared pool is for others.
#[repr(C)]
#[derive(Clone, Copy)]
struct Exported {
    offset: u64,
    bytes: u64,
}

/// A pool's attribute, read or written.
///
/// # Safety
/// `value` is valid for the attribute's type.
unsafe fn attribute(
    pool: CUmemoryPool,
    wanted: CUmemPool_attribute,
    value: *mut c_void,
    set: bool,
) -> Outcome {
    let process = Process::get()?;
    let mut inner = process.inner();
    let pool = inner.pools.all.get_mut(&(pool as usize)).ok_or(CUresult::ERROR_INVALID_VALUE)?;
    if value.is_null() {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's promise: the first three are integers of C, the others of 64 bits.
    unsafe {
        match (wanted, set) {
            (1..=3, true) => pool.reuse[wanted as usize - 1] = value.cast::<c_int>().read(),
            (1..=3, false) => value.cast::<c_int>().write(pool.reuse[wanted as usize - 1]),
            (CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, true) => pool.threshold = value.cast::<u64>().read(),
            (CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, false) => value.cast::<u64>().write(pool.threshold),
            (CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, false) => value.cast::<u64>().write(pool.reserved().0),
            (CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, false) => value.cast::<u64>().write(pool.reserved().1),
            (CU_MEMPOOL_ATTR_USED_MEM_CURRENT, false) => value.cast::<u64>().write(pool.used),
            (CU_MEMPOOL_ATTR_USED_MEM_HIGH, false) => value.cast::<u64>().write(pool.used_high),
            (CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH | CU_MEMPOOL_ATTR_USED_MEM_HIGH, true)
                if value.cast::<u64>().read() == 0 =>
            {
                pool.reset_high(wanted == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH);
            }
            _ => return Err(CUresult::ERROR_INVALID_VALUE),
        }
    }
    Ok(())
}

driver! {
    cuMemAllocAsync | cuMemAllocAsync_ptsz(dptr: *mut CUdeviceptr, bytes: usize, stream: CUstream) |on| {
        allocate(dptr, bytes, None, stream, on)
    }

    cuMemAllocFromPoolAsync | cuMemAllocFromPoolAsync_ptsz(dptr: *mut CUdeviceptr, bytes: usize, pool: CUmemoryPool, stream: CUstream) |on| {
        allocate(dptr, bytes, Some(pool as usize), stream, on)
    }

    cuMemFreeAsync | cuMemFreeAsync_ptsz(dptr: CUdeviceptr, stream: CUstream) |on| { free(dptr, stream, on) }

    cuMemPoolCreate(pool: *mut CUmemoryPool, props: *const CUmemPoolProps) |_| {
        let props = props.as_ref().ok_or(CUresult::ERROR_INVALID_VALUE)?;
        if props.allocType != CU_MEM_ALLOCATION_TYPE_PINNED {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let shared = props.handleTypes == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
        if props.location.r#type != CU_MEM_LOCATION_TYPE_DEVICE || (props.handleTypes != 0 && !shared) {
            return Err(CUresult::ERROR_NOT_SUPPORTED);
        }
        put(pool, Process::get()?.create_pool(number(props.location.id)?, shared, None)? as CUmemoryPool)
    }

    cuMemPoolDestroy(pool: CUmemoryPool) |_| { Process::get()?.destroy_pool(pool as usize) }

    cuMemPoolTrimTo(pool: CUmemoryPool, keep: usize) |_| { Process::get()?.trim(pool as usize, keep as u64) }

    cuMemPoolGetAttribute(pool: CUmemoryPool, wanted: CUmemPool_attribute, value: *mut c_void) |_| {
        attribute(pool, wanted, value, false)
    }

    cuMemPoolSetAttribute(pool: CUmemoryPool, wanted: CUmemPool_attribute, value: *mut c_void) |_| {
        attribute(pool, wanted, value, true)
    }

    cuMemPoolSetAccess(pool: CUmemoryPool, map: *const CUmemAccessDesc, count: usize) |_| {
        let process = Process::get()?;
        let mut inner = process.inner();
        let known = inner.pools.all.contains_key(&(pool as usize));
        if map.is_null() || count == 0 || !known {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        for desc in std::slice::from_raw_parts(map, count) {
            let device = number(desc.location.id)?;
            inner.memory.peers.set_pool(device, pool as usize, desc.flags != 0);
        }
        Ok(())
    }

    cuMemPoolGetAccess(flags: *mut CUmemAccess_flags, pool: CUmemoryPool, location: *mut CUmemLocation) |_| {
        let device = number(location.as_ref().ok_or(CUresult::ERROR_INVALID_VALUE)?.id)?;
        let process = Process::get()?;
        let inner = process.inner();
        let owner = inner.pools.all.get(&(pool as usize)).ok_or(CUresult::ERROR_INVALID_VALUE)?.device;
        let may = owner == device || inner.memory.peers.reaches_pool(device, pool as usize);
        put(flags, if may { CU_MEM_ACCESS_FLAGS_PROT_READWRITE } else { 0 })
    }

    cuDeviceGetDefaultMemPool(pool: *mut CUmemoryPool, dev: CUdevice) |_| {
        put(pool, Process::get()?.usual_pool(number(dev)?) as CUmemoryPool)
    }

    cuDeviceGetMemPool(pool: *mut CUmemoryPool, dev: CUdevice) |_| {
        put(pool, Process::get()?.current_pool(number(dev)?) as CUmemoryPool)
    }

    cuDeviceSetMemPool(dev: CUdevice, pool: CUmemoryPool) |_| {
        Process::get()?.set_current_pool(number(dev)?, pool as usize)
    }

    cuMemPoolExportToShareableHandle(handle: *mut c_void, pool: CUmemoryPool, kind: CUmemAllocationHandleType, _flags: c_ulonglong) |_| {
        let process = Process::get()?;
        let inner = process.inner();
        let file = inner.pools.all.get(&(pool as usize)).and_then(|pool| pool.file());
        let file = file.filter(|_| kind == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
        let copy = file.ok_or(CUresult::ERROR_INVALID_VALUE)?.try_clone();
        put(handle.cast(), copy.map_err(|_| CUresult::ERROR_OPERATING_SYSTEM)?.into_raw_fd())
    }

    cuMemPoolImportFromShareableHandle(pool: *mut CUmemoryPool, handle: *mut c_void, kind: CUmemAllocationHandleType, _flags: c_ulonglong) |_| {
        if kind != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        put(pool, Process::get()?.create_pool(0, true, Some(physical::copy_of(handle as c_int)?))? as CUmemoryPool)
    }

    cuMemPoolExportPointer(data: *mut CUmemPoolPtrExportData, dptr: CUdeviceptr) |_| {
        let process = Process::get()?;
        let mut inner = process.inner();
        match inner.memory.at_start(dptr).map(|found| (found.kind.clone(), found.bytes)) {
            Some((Kind::Pooled { offset, .. }, bytes)) => put(data.cast(), Exported { offset, bytes }),
            _ => Err(CUresult::ERROR_INVALID_VALUE),
        }
    }

    cuMemPoolImportPointer(dptr: *mut CUdeviceptr, pool: CUmemoryPool, data: *mut CUmemPoolPtrExportData) |_| {
        let (process, context) = (Process::get()?, Process::get()?.context()?.0);
        if data.is_null() {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let Exported { offset, bytes } = data.cast::<Exported>().read();
        let mut inner = process.inner();
        let file = inner.pools.all.get(&(pool as usize)).and_then(|pool| pool.file());
        let file = file.ok_or(CUresult::ERROR_INVALID_VALUE)?;
        let start = map_file(bytes, Some((file.as_fd(), offset)))?;
        inner.memory.insert(start, bytes, Kind::Imported, context);
        put(dptr, start)
    }
}
