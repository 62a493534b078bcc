//! What is known of an address.
use crate::driver::{Outcome, put};
use crate::sim::ledger::Kind;
use crate::sim::process::{Inner, Process};
use nvshare_abi::*;

/// What lies at an address.
struct Known {
    start: u64,
    bytes: u64,
    context: usize,
    device: usize,
    id: u64,
    on_host: bool,
    managed: bool,
    plain: bool,
    pool: usize,
}

fn known(inner: &Inner, address: u64) -> Option<Known> {
    if let Some(found) = inner.memory.find(address) {
        let device = match found.kind {
            Kind::Pooled { device, .. } => device,
            _ => inner.contexts.live.get(&found.context).map_or(0, |context| context.device),
        };
        return Some(Known {
            start: found.start,
            bytes: found.bytes,
            context: found.context,
            device,
            id: found.id,
            on_host: !found.is_the_devices(),
            managed: matches!(found.kind, Kind::Managed { .. }),
            plain: matches!(found.kind, Kind::Plain { .. }),
            pool: if let Kind::Pooled { pool, .. } = found.kind { pool } else { 0 },
        });
    }
    let (start, bytes, handle) = inner.memory.mappings.mapped(address)?;
    let physical = inner.memory.mappings.physical.get(&handle)?;
    Some(Known {
        start,
        bytes,
        // What is mapped belongs to no context.
        context: 0,
        device: physical.device.unwrap_or(0),
        id: handle,
        on_host: physical.device.is_none(),
        managed: false,
        plain: false,
        pool: 0,
    })
}

/// One attribute. The answers are as wide as `cuda.h` says for each, booleans four bytes.
fn attribute(data: *mut c_void, attribute: CUpointer_attribute, dptr: CUdeviceptr) -> Outcome {
    let process = Process::get()?;
    let inner = process.inner();
    let at = known(&inner, dptr).ok_or(CUresult::ERROR_INVALID_VALUE)?;
    // SAFETY: the caller's pointer, for as many bytes as the attribute has.
    unsafe {
        match attribute {
            CU_POINTER_ATTRIBUTE_CONTEXT => put(data.cast(), at.context),
            CU_POINTER_ATTRIBUTE_MEMORY_TYPE => put(data.cast(), if at.on_host { 1_u32 } else { 2 }),
            CU_POINTER_ATTRIBUTE_DEVICE_POINTER => put(data.cast(), dptr),
            CU_POINTER_ATTRIBUTE_HOST_POINTER if at.on_host || at.managed => put(data.cast(), dptr),
            CU_POINTER_ATTRIBUTE_SYNC_MEMOPS => put(data.cast(), 0_u32),
            CU_POINTER_ATTRIBUTE_BUFFER_ID => put(data.cast(), at.id),
            CU_POINTER_ATTRIBUTE_IS_MANAGED => put(data.cast(), u32::from(at.managed)),
            CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL => put(data.cast(), at.device as c_int),
            CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE => put(data.cast(), u32::from(at.plain)),
            CU_POINTER_ATTRIBUTE_RANGE_START_ADDR => put(data.cast(), at.start),
            CU_POINTER_ATTRIBUTE_RANGE_SIZE => put(data.cast(), at.bytes as usize),
            CU_POINTER_ATTRIBUTE_MAPPED => put(data.cast(), 1_u32),
            CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES => put(data.cast(), 0_u32),
            CU_POINTER_ATTRIBUTE_ACCESS_FLAGS => put(data.cast(), CU_MEM_ACCESS_FLAGS_PROT_READWRITE),
            CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE => put(data.cast(), at.pool),
            _ => Err(CUresult::ERROR_INVALID_VALUE),
        }
    }
}

/// An attribute of an address that is not known: it is the host's, and no error (driver 580.159.04).
fn attribute_of_nothing(data: *mut c_void, attribute: CUpointer_attribute, dptr: CUdeviceptr) -> Outcome {
    // SAFETY: as above.
    unsafe {
        match attribute {
            CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL => put(data.cast(), -2_i32),
            CU_POINTER_ATTRIBUTE_HOST_POINTER => put(data.cast(), dptr),
            CU_POINTER_ATTRIBUTE_CONTEXT | CU_POINTER_ATTRIBUTE_DEVICE_POINTER => put(data.cast(), 0_u64),
            CU_POINTER_ATTRIBUTE_MEMORY_TYPE | CU_POINTER_ATTRIBUTE_IS_MANAGED => put(data.cast(), 0_u32),
            _ => Ok(()),
        }
    }
}

driver! {
    cuPointerGetAttribute(data: *mut c_void, wanted: CUpointer_attribute, dptr: CUdeviceptr) |_| {
        attribute(data, wanted, dptr)
    }

    cuPointerGetAttributes(count: c_uint, attributes: *mut CUpointer_attribute, data: *mut *mut c_void, dptr: CUdeviceptr) |_| {
        let unknown = known(&Process::get()?.inner(), dptr).is_none();
        for at in 0..count as usize {
            let (data, wanted) = (*data.add(at), *attributes.add(at));
            if unknown {
                attribute_of_nothing(data, wanted, dptr)?;
            } else if attribute(data, wanted, dptr).is_err() && wanted == CU_POINTER_ATTRIBUTE_HOST_POINTER {
                put(data.cast(), 0_u64)?;
            }
        }
        Ok(())
    }

    cuPointerSetAttribute(_value: *const c_void, attribute: CUpointer_attribute, dptr: CUdeviceptr) |_| {
        let known = known(&Process::get()?.inner(), dptr).is_some();
        if known && attribute == CU_POINTER_ATTRIBUTE_SYNC_MEMOPS {
            return Ok(());
        }
        Err(CUresult::ERROR_INVALID_VALUE)
    }

    cuMemGetAddressRange_v2(base: *mut CUdeviceptr, size: *mut usize, dptr: CUdeviceptr) |_| {
        let process = Process::get()?;
        process.context()?;
        let found = known(&process.inner(), dptr).ok_or(CUresult::ERROR_NOT_FOUND)?;
        if !base.is_null() {
            put(base, found.start)?;
        }
        if size.is_null() { Ok(()) } else { put(size, found.bytes as usize) }
    }
}
