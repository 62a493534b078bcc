//! Unified addressing: what the application may know of an address is what it would know of plain memory.
#![allow(unsafe_code)] // results are written through the application's pointers
use super::ipc::is_shareable;
use super::launch::{submit_in, wait_for_memory};
use crate::dispatch::{BoxedAfter, Call, Disposition, NoAfter};
use crate::gate::InFlight;
use crate::memory::{AllocInfo, ResidencyGuard};
use crate::process::Process;
use nvshare_abi::*;

pub fn address_range(
    process: &'static Process,
    base: *mut CUdeviceptr,
    bytes: *mut usize,
    dptr: CUdeviceptr,
) -> Disposition<NoAfter> {
    // The driver refuses it without a current context.
    if process.contexts.current().is_none() {
        return Disposition::Passthrough;
    }
    let Some(known) = known(process, dptr) else {
        let spare = process.memory.ledger.is_unused_chunk_space(dptr);
        return if spare {
            Disposition::Complete(CUresult::ERROR_NOT_FOUND)
        } else {
            Disposition::Passthrough
        };
    };
    // SAFETY: the application's own pointers; the driver accepts null for one that is not wanted.
    unsafe {
        if let Some(base) = base.as_mut() {
            *base = known.start;
        }
        if let Some(bytes) = bytes.as_mut() {
            *bytes = known.bytes as usize;
        }
    }
    Disposition::Complete(CUresult::SUCCESS)
}

/// A question or advice about managed memory. The driver refuses it for plain memory, as which our managed memory is
/// presented.
pub fn managed_range(process: &'static Process, dptr: CUdeviceptr, bytes: usize) -> Disposition<NoAfter> {
    if process.memory.ledger.is_managed_by_engine(dptr, bytes as u64) {
        Disposition::Complete(CUresult::ERROR_INVALID_VALUE)
    } else {
        Disposition::Passthrough
    }
}

/// The same for work in a stream.
pub fn prefetch(
    call: Call,
    dptr: CUdeviceptr,
    bytes: usize,
    stream: CUstream,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    match managed_range(call.process, dptr, bytes) {
        Disposition::Complete(code) => Disposition::Complete(code),
        _ => submit_in(call, stream),
    }
}

/// The same for work in a stream that names several ranges.
pub fn managed_ranges(
    call: Call,
    dptrs: *const CUdeviceptr,
    sizes: *const usize,
    count: usize,
    stream: CUstream,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let named = !dptrs.is_null() && !sizes.is_null();
    let plain = |at: usize| {
        // SAFETY: the application's own `count` addresses and sizes.
        let (dptr, bytes) = unsafe { (*dptrs.add(at), *sizes.add(at)) };
        matches!(managed_range(call.process, dptr, bytes), Disposition::Complete(_))
    };
    match named && (0..count).any(plain) {
        true => Disposition::Complete(CUresult::ERROR_INVALID_VALUE),
        false => submit_in(call, stream),
    }
}

/// Writes one attribute as plain memory would have it. False if it is not known here.
///
/// # Safety
/// `data` is valid for the attribute's type, as the driver's documentation has it.
unsafe fn write_attribute(
    process: &Process,
    known: &AllocInfo,
    data: *mut c_void,
    attribute: CUpointer_attribute,
    ptr: CUdeviceptr,
) -> bool {
    let devices = || process.contexts.devices().into_iter();
    let ordinal = || devices().find(|device| device.id == known.device).map(|device| device.ordinal);
    // SAFETY: the caller's promise, for each attribute's own type.
    unsafe {
        match attribute {
            CU_POINTER_ATTRIBUTE_CONTEXT => data.cast::<usize>().write(known.context),
            CU_POINTER_ATTRIBUTE_MEMORY_TYPE => data.cast::<c_uint>().write(CU_MEMORYTYPE_DEVICE),
            CU_POINTER_ATTRIBUTE_DEVICE_POINTER => data.cast::<CUdeviceptr>().write(ptr),
            CU_POINTER_ATTRIBUTE_BUFFER_ID => data.cast::<u64>().write(known.id),
            CU_POINTER_ATTRIBUTE_RANGE_START_ADDR => data.cast::<CUdeviceptr>().write(known.start),
            CU_POINTER_ATTRIBUTE_RANGE_SIZE => data.cast::<usize>().write(known.bytes as usize),
            CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE => data.cast::<usize>().write(known.pool),
            // A boolean of one byte or more, with the lowest byte first.
            CU_POINTER_ATTRIBUTE_IS_MANAGED => data.cast::<u8>().write(0),
            CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE => {
                data.cast::<u8>().write(u8::from(is_shareable(process, known)));
            }
            CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL => match ordinal() {
                Some(ordinal) => data.cast::<c_int>().write(ordinal),
                None => return false,
            },
            _ => return false,
        }
    }
    true
}

/// Keeps memory resident for the length of a driver call. Memory that is evicted comes back first, with the grant.
pub(super) struct Resident<'a>(
    #[expect(dead_code, reason = "held until dropped")] Result<ResidencyGuard<'a>, Option<InFlight<'a>>>,
);

impl<'a> Resident<'a> {
    fn at(process: &'a Process, ptr: CUdeviceptr) -> Self {
        Self(process.memory.residency.hold_at(ptr).ok_or_else(|| wait_for_memory(process)))
    }

    pub(super) fn all(process: &'a Process) -> Self {
        Self(process.memory.residency.hold_all().ok_or_else(|| wait_for_memory(process)))
    }
}

/// Lets the driver answer about the application's own mapping, which must be resident for that.
fn when_resident(process: &'static Process, ptr: CUdeviceptr) -> Disposition<BoxedAfter> {
    let resident = Resident::at(process, ptr);
    Disposition::Forward(Box::new(move |result| {
        drop(resident);
        result
    }))
}

/// The allocation at an address: this process's, or another's that was opened here.
fn known(process: &Process, address: CUdeviceptr) -> Option<AllocInfo> {
    process.memory.ledger.alloc_info(address).or_else(|| process.memory.ipc.alloc_info(address))
}

/// An allocation of ours that the driver knows as something else than plain memory, as which the application is to see it.
fn presented_as_plain(process: &Process, ptr: CUdeviceptr) -> Option<AllocInfo> {
    known(process, ptr).filter(|known| !known.managed && !known.plain)
}

pub fn pointer_attribute(
    process: &'static Process,
    data: *mut c_void,
    attribute: CUpointer_attribute,
    ptr: CUdeviceptr,
) -> Disposition<BoxedAfter> {
    if process.memory.ledger.is_unused_chunk_space(ptr) {
        return Disposition::Complete(CUresult::ERROR_INVALID_VALUE);
    }
    let Some(known) = presented_as_plain(process, ptr).filter(|_| !data.is_null()) else {
        return when_resident(process, ptr);
    };
    if attribute == CU_POINTER_ATTRIBUTE_HOST_POINTER {
        return Disposition::Complete(CUresult::ERROR_INVALID_VALUE);
    }
    // A boolean's width is the driver's to know: it writes first.
    let boolean = matches!(
        attribute,
        CU_POINTER_ATTRIBUTE_IS_MANAGED | CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE
    );
    // SAFETY: the application's own pointer for this attribute.
    if !boolean && unsafe { write_attribute(process, &known, data, attribute, ptr) } {
        return Disposition::Complete(CUresult::SUCCESS);
    }
    // The driver has no attributes of memory that is evicted.
    let resident = Resident::at(process, ptr);
    Disposition::Forward(Box::new(move |result| {
        if result == CUresult::SUCCESS {
            // SAFETY: the driver has just written this attribute through this pointer.
            unsafe { write_attribute(process, &known, data, attribute, ptr) };
        }
        drop(resident);
        result
    }))
}

pub fn pointer_attributes(
    process: &'static Process,
    count: c_uint,
    attributes: *mut CUpointer_attribute,
    data: *mut *mut c_void,
    ptr: CUdeviceptr,
) -> Disposition<BoxedAfter> {
    let asked = !attributes.is_null() && !data.is_null();
    if asked && process.memory.ledger.is_unused_chunk_space(ptr) {
        // SAFETY: the application's own `count` attributes, and pointers for as many answers.
        unsafe { write_attributes_of_host_memory(count as usize, attributes, data, ptr) };
        return Disposition::Complete(CUresult::SUCCESS);
    }
    let Some(known) = presented_as_plain(process, ptr).filter(|_| asked) else {
        return when_resident(process, ptr);
    };
    let resident = Resident::at(process, ptr);
    Disposition::Forward(Box::new(move |result| {
        if result == CUresult::SUCCESS {
            // SAFETY: the driver has just read `count` attributes and written through `count` pointers.
            unsafe {
                let attributes = std::slice::from_raw_parts(attributes, count as usize);
                let data = std::slice::from_raw_parts(data, count as usize);
                for (attribute, data) in attributes.iter().zip(data).filter(|(_, data)| !data.is_null()) {
                    match *attribute {
                        CU_POINTER_ATTRIBUTE_HOST_POINTER => data.cast::<usize>().write(0),
                        _ => drop(write_attribute(process, &known, *data, *attribute, ptr)),
                    }
                }
            }
        }
        drop(resident);
        result
    }))
}

/// Writes several attributes of an address that the driver does not know, as the driver does: as those of host memory
/// (driver 580.159.04).
///
/// # Safety
/// There are `count` attributes, and pointers for the answers to them or null ones.
unsafe fn write_attributes_of_host_memory(
    count: usize,
    attributes: *const CUpointer_attribute,
    data: *const *mut c_void,
    ptr: CUdeviceptr,
) {
    // SAFETY: the caller's promise, for each attribute's own type.
    unsafe {
        let attributes = std::slice::from_raw_parts(attributes, count);
        let data = std::slice::from_raw_parts(data, count);
        for (attribute, data) in attributes.iter().zip(data).filter(|(_, data)| !data.is_null()) {
            match *attribute {
                CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL => data.cast::<c_int>().write(-2),
                CU_POINTER_ATTRIBUTE_HOST_POINTER => data.cast::<CUdeviceptr>().write(ptr),
                CU_POINTER_ATTRIBUTE_CONTEXT | CU_POINTER_ATTRIBUTE_DEVICE_POINTER => {
                    data.cast::<CUdeviceptr>().write(0);
                }
                CU_POINTER_ATTRIBUTE_MEMORY_TYPE | CU_POINTER_ATTRIBUTE_IS_MANAGED => {
                    data.cast::<c_uint>().write(0);
                }
                _ => {}
            }
        }
    }
}
