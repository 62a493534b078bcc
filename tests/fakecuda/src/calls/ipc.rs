//! Memory and events that processes share by handles.
use crate::driver::put;
use crate::sim::ipc::Ticket;
use crate::sim::physical;
use crate::sim::process::Process;
use nvshare_abi::*;
use std::os::fd::IntoRawFd;

/// What a handle holds.
fn ticket<T>(handle: &T) -> Ticket {
    const { assert!(size_of::<T>() == size_of::<Ticket>()) };
    // SAFETY: as large, and any bytes are a ticket; a wrong one names nothing.
    unsafe { std::ptr::from_ref(handle).cast::<Ticket>().read_unaligned() }
}

/// # Safety
/// `handle` is null or valid for 64 bytes.
unsafe fn give<T>(handle: *mut T, ticket: Ticket) -> Result<(), CUresult> {
    const { assert!(size_of::<T>() == size_of::<Ticket>()) };
    if handle.is_null() {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    // SAFETY: the caller's promise.
    unsafe { handle.cast::<Ticket>().write_unaligned(ticket) };
    Ok(())
}

driver! {
    cuIpcGetMemHandle(handle: *mut CUipcMemHandle, dptr: CUdeviceptr) |_| {
        let process = Process::get()?;
        process.context()?;
        give(handle, process.share(dptr)?)
    }

    cuIpcOpenMemHandle(dptr: *mut CUdeviceptr, handle: CUipcMemHandle, _flags: c_uint) |_| {
        put(dptr, Process::get()?.open_shared(ticket(&handle))?)
    }

    cuIpcOpenMemHandle_v2(dptr: *mut CUdeviceptr, handle: CUipcMemHandle, _flags: c_uint) |_| {
        put(dptr, Process::get()?.open_shared(ticket(&handle))?)
    }

    cuIpcCloseMemHandle(dptr: CUdeviceptr) |_| { Process::get()?.close_shared(dptr) }

    cuIpcGetEventHandle(handle: *mut CUipcEventHandle, event: CUevent) |_| {
        give(handle, Process::get()?.share_event(event as usize)?)
    }

    cuIpcOpenEventHandle(event: *mut CUevent, handle: CUipcEventHandle) |_| {
        put(event, Process::get()?.open_event(ticket(&handle))? as CUevent)
    }

    cuMemExportToShareableHandle(shareable: *mut c_void, handle: CUmemGenericAllocationHandle, kind: CUmemAllocationHandleType, _flags: c_ulonglong) |_| {
        let process = Process::get()?;
        let inner = process.inner();
        let physical = inner.memory.mappings.physical.get(&handle).filter(|physical| physical.handles > 0);
        let physical = physical.ok_or(CUresult::ERROR_INVALID_VALUE)?;
        // What another process has given is not exported again (H200, 580.159.04, 2026-11-30).
        let may = physical.counted && physical.prop.requestedHandleTypes & kind != 0;
        if kind != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR || !may {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let copy = physical.file.try_clone().map_err(|_| CUresult::ERROR_OPERATING_SYSTEM)?;
        put(shareable.cast(), copy.into_raw_fd())
    }

    cuMemImportFromShareableHandle(handle: *mut CUmemGenericAllocationHandle, shareable: *mut c_void, kind: CUmemAllocationHandleType) |_| {
        if handle.is_null() || kind != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        put(handle, Process::get()?.import_physical(physical::copy_of(shareable as c_int)?)?)
    }
}
