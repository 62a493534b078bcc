//! Physical memory that the application maps itself.
#![allow(unsafe_code)] // properties and results are read and written through the application's pointers
use super::answer::{complete, complete_with, write_result};
use super::array::uncounted;
use super::launch::wait_for_memory;
use crate::dispatch::{BoxedAfter, Disposition, NoAfter};
use crate::driver;
use crate::memory::{HandledBy, is_ours};
use crate::process::Process;
use nvshare_abi::*;

type Handle = CUmemGenericAllocationHandle;

/// The driver chooses addresses. It must not choose those of memory that we are converting: they are free for a moment.
pub fn choose_addresses(process: &'static Process) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let addresses = process.memory.addresses.choose();
    Disposition::Forward(move |result| {
        drop(addresses);
        result
    })
}

/// Plain device memory becomes a piece of ours, which can be evicted. Memory for special uses stays the driver's, and is
/// counted.
pub fn physical_create(
    process: &'static Process,
    handle: *mut Handle,
    bytes: usize,
    prop: *const CUmemAllocationProp,
    flags: c_ulonglong,
) -> Disposition<BoxedAfter> {
    if handle.is_null() {
        return Disposition::Passthrough;
    }
    // SAFETY: null, or the application's own properties.
    let Some(prop) = (unsafe { prop.as_ref() }).copied() else { return Disposition::Passthrough };
    if prop.location.r#type != CU_MEM_LOCATION_TYPE_DEVICE {
        return Disposition::Passthrough;
    }
    let Some(device) = process.contexts.device(prop.location.id) else { return Disposition::Passthrough };
    let (device, capacity) = (device.id, device.capacity);
    if let Err(code) = process.admission.wait() {
        return Disposition::Complete(code);
    }
    let limit = process.limits.bound(capacity);
    let wishes = prop.allocFlags;
    let plain = prop.r#type == CU_MEM_ALLOCATION_TYPE_PINNED
        && (wishes.compressionType, wishes.gpuDirectRDMACapable, wishes.usage) == (0, 0, 0);
    if plain && flags == 0 && bytes > 0 && bytes.is_multiple_of(crate::memory::GRANULE as usize) {
        let made = process.memory.vmm.create(device, bytes as u64, prop, limit);
        // SAFETY: the application's own pointer for the result.
        return Disposition::Complete(unsafe { write_result(handle, made) });
    }
    if let Err(code) = process.memory.alloc.charge_with_room(device, bytes as u64, limit) {
        return Disposition::Complete(code);
    }
    Disposition::Forward(Box::new(move |result| {
        if result == CUresult::SUCCESS {
            // SAFETY: the driver has just written through this pointer and reported success.
            process.memory.vmm.add_special(unsafe { *handle }, device, bytes as u64);
        } else {
            process.memory.ledger.refund(device, bytes as u64);
        }
        process.waker.wake();
        result
    }))
}

pub fn physical_release(
    process: &'static Process,
    handle: Handle,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    if is_ours(handle) {
        process.waker.wake();
        return Disposition::Complete(process.memory.vmm.release(handle).err().unwrap_or(CUresult::SUCCESS));
    }
    // Mappings may keep the driver's memory a little longer. It is counted as long as there is its handle.
    uncounted(process, handle as usize)
}

/// Addresses that the application has reserved cannot be freed while something is mapped there, even if that is evicted
/// now.
pub fn address_free(process: &'static Process, ptr: CUdeviceptr, bytes: usize) -> Disposition<NoAfter> {
    if process.memory.vmm.is_in_use(ptr, bytes as u64) {
        Disposition::Complete(CUresult::ERROR_INVALID_VALUE)
    } else {
        Disposition::Passthrough
    }
}

pub fn map(
    process: &'static Process,
    ptr: CUdeviceptr,
    bytes: usize,
    offset: usize,
    handle: Handle,
    _flags: c_ulonglong,
) -> Disposition<NoAfter> {
    if !is_ours(handle) {
        return Disposition::Passthrough;
    }
    complete(process.memory.vmm.map(ptr, bytes as u64, offset as u64, handle))
}

pub fn unmap(process: &'static Process, ptr: CUdeviceptr, bytes: usize) -> Disposition<NoAfter> {
    match process.memory.vmm.unmap(ptr, bytes as u64) {
        Ok(HandledBy::Us) => complete(Ok(())),
        Ok(HandledBy::Driver) => Disposition::Passthrough,
        Err(code) => complete(Err(code)),
    }
}

pub fn set_access(
    process: &'static Process,
    ptr: CUdeviceptr,
    bytes: usize,
    desc: *const CUmemAccessDesc,
    count: usize,
) -> Disposition<NoAfter> {
    if desc.is_null() {
        return Disposition::Passthrough;
    }
    // SAFETY: the application's own `count` descriptions.
    let who = unsafe { std::slice::from_raw_parts(desc, count) };
    match process.memory.vmm.set_access(ptr, bytes as u64, who) {
        Ok(HandledBy::Us) => complete(Ok(())),
        Ok(HandledBy::Driver) => Disposition::Passthrough,
        Err(code) => complete(Err(code)),
    }
}

pub fn get_access(
    process: &'static Process,
    flags: *mut c_ulonglong,
    location: *const CUmemLocation,
    ptr: CUdeviceptr,
) -> Disposition<NoAfter> {
    if flags.is_null() {
        return Disposition::Passthrough;
    }
    // SAFETY: null, or the application's own location.
    let Some(location) = (unsafe { location.as_ref() }) else { return Disposition::Passthrough };
    match process.memory.vmm.access(location, ptr) {
        // SAFETY: the application's own pointer for the result.
        Some(known) => unsafe { complete_with(flags, Ok(c_ulonglong::from(known))) },
        None => Disposition::Passthrough,
    }
}

pub fn physical_retain(
    process: &'static Process,
    handle: *mut Handle,
    addr: *mut c_void,
) -> Disposition<NoAfter> {
    if handle.is_null() {
        return Disposition::Passthrough;
    }
    match process.memory.vmm.retain(addr as u64).transpose() {
        // SAFETY: the application's own pointer for the result.
        Some(known) => unsafe { complete_with(handle, known) },
        None => Disposition::Passthrough,
    }
}

pub fn physical_properties(
    process: &'static Process,
    prop: *mut CUmemAllocationProp,
    handle: Handle,
) -> Disposition<NoAfter> {
    if !is_ours(handle) || prop.is_null() {
        return Disposition::Passthrough;
    }
    let known = process.memory.vmm.prop(handle).ok_or(CUresult::ERROR_INVALID_VALUE);
    // SAFETY: the application's own pointer for the result.
    unsafe { complete_with(prop, known) }
}

/// Does `act` with the driver's handle for ours. From then on others may use the memory, so that it is pinned.
fn pinned(process: &Process, handle: Handle, act: impl FnOnce(Handle) -> CUresult) -> Disposition<NoAfter> {
    if !is_ours(handle) {
        return Disposition::Passthrough;
    }
    if let Err(code) = process.admission.wait() {
        return complete(Err(code));
    }
    let _in_flight = wait_for_memory(process);
    let Some(real) = process.memory.vmm.pin(handle) else {
        return complete(Err(CUresult::ERROR_INVALID_VALUE));
    };
    process.waker.wake();
    complete(act(real).ok())
}

pub fn physical_export(
    process: &'static Process,
    shareable: *mut c_void,
    handle: Handle,
    kind: CUmemAllocationHandleType,
    flags: c_ulonglong,
) -> Disposition<NoAfter> {
    // SAFETY: the application's own arguments, with the driver's handle for ours.
    pinned(process, handle, |real| unsafe {
        driver::cuMemExportToShareableHandle(shareable, real, kind, flags)
    })
}

pub fn multicast_bind(
    process: &'static Process,
    multicast: Handle,
    multicast_offset: usize,
    handle: Handle,
    offset: usize,
    bytes: usize,
    flags: c_ulonglong,
) -> Disposition<NoAfter> {
    // SAFETY: the application's own arguments, with the driver's handle for ours.
    pinned(process, handle, |real| unsafe {
        driver::cuMulticastBindMem(multicast, multicast_offset, real, offset, bytes, flags)
    })
}

/// Others may use what lies in a range from now on.
pub fn export_range(
    process: &'static Process,
    ptr: CUdeviceptr,
    bytes: usize,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let in_flight = wait_for_memory(process);
    process.memory.vmm.pin_range(ptr, bytes as u64);
    Disposition::Forward(move |result| {
        drop(in_flight);
        result
    })
}
