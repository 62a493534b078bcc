//! Virtual memory management.
use crate::driver::put;
use crate::sim::physical;
use crate::sim::process::Process;
use nvshare_abi::*;

driver! {
    cuMemGetAllocationGranularity(granularity: *mut usize, prop: *const CUmemAllocationProp, option: CUmemAllocationGranularity_flags) |_| {
        if option > 1 {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        physical::device(prop.as_ref().ok_or(CUresult::ERROR_INVALID_VALUE)?)?;
        put(granularity, physical::GRANULARITY as usize)
    }

    cuMemAddressReserve(ptr: *mut CUdeviceptr, bytes: usize, alignment: usize, addr: CUdeviceptr, flags: c_ulonglong) |_| {
        if flags != 0 || ptr.is_null() {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        put(ptr, Process::get()?.reserve(bytes as u64, alignment as u64, addr)?)
    }

    cuMemAddressFree(ptr: CUdeviceptr, bytes: usize) |_| { Process::get()?.unreserve(ptr, bytes as u64) }

    cuMemCreate(handle: *mut CUmemGenericAllocationHandle, bytes: usize, prop: *const CUmemAllocationProp, flags: c_ulonglong) |_| {
        let prop = prop.as_ref().ok_or(CUresult::ERROR_INVALID_VALUE)?;
        if flags != 0 || handle.is_null() || prop.r#type != CU_MEM_ALLOCATION_TYPE_PINNED {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        if prop.requestedHandleTypes & !CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR != 0 {
            return Err(CUresult::ERROR_NOT_SUPPORTED);
        }
        put(handle, Process::get()?.create_physical(bytes as u64, prop)?)
    }

    cuMemRelease(handle: CUmemGenericAllocationHandle) |_| { Process::get()?.release_physical(handle) }

    cuMemMap(ptr: CUdeviceptr, bytes: usize, offset: usize, handle: CUmemGenericAllocationHandle, flags: c_ulonglong) |_| {
        if flags != 0 {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        Process::get()?.map(ptr, bytes as u64, offset as u64, handle)
    }

    cuMemUnmap(ptr: CUdeviceptr, bytes: usize) |_| { Process::get()?.unmap(ptr, bytes as u64) }

    cuMemSetAccess(ptr: CUdeviceptr, bytes: usize, desc: *const CUmemAccessDesc, count: usize) |_| {
        if desc.is_null() {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        Process::get()?.set_access(ptr, bytes as u64, std::slice::from_raw_parts(desc, count))
    }

    cuMemGetAccess(flags: *mut c_ulonglong, location: *const CUmemLocation, ptr: CUdeviceptr) |_| {
        let location = location.as_ref().ok_or(CUresult::ERROR_INVALID_VALUE)?;
        put(flags, Process::get()?.inner().memory.mappings.access(location, ptr)?.into())
    }

    cuMemRetainAllocationHandle(handle: *mut CUmemGenericAllocationHandle, addr: *mut c_void) |_| {
        if handle.is_null() {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        put(handle, Process::get()?.retain_physical(addr as u64)?)
    }

    cuMemGetAllocationPropertiesFromHandle(prop: *mut CUmemAllocationProp, handle: CUmemGenericAllocationHandle) |_| {
        let process = Process::get()?;
        let inner = process.inner();
        let known = inner.memory.mappings.physical.get(&handle).filter(|physical| physical.handles > 0);
        put(prop, known.ok_or(CUresult::ERROR_INVALID_VALUE)?.prop)
    }
}
