//! Calls that allocate and free.
#![allow(unsafe_code)] // results are written through the application's pointers
use super::answer::{complete_with, write_result};
use super::pool::{self, PoolSource};
use super::stream::{effective, is_captured};
use crate::dispatch::{BoxedAfter, Call, Disposition, NoAfter};
use crate::driver::stream::StreamKey;
use crate::driver::stream::context_of;
use crate::memory::{AllocRequest, HandledBy, StreamAt};
use crate::process::Process;
use nvshare_abi::*;

/// Rows of pitched memory begin at multiples of this, as the driver's own do on every device since compute
/// capability 2.0.
const PITCH: usize = 512;

fn granted(process: &Process, dptr: *mut CUdeviceptr, request: AllocRequest) -> Disposition<NoAfter> {
    // The driver refuses such a call itself.
    let Some(context) = process.contexts.current().filter(|_| !dptr.is_null() && request.bytes > 0) else {
        return Disposition::Passthrough;
    };
    let made = process.admission.wait().and_then(|()| process.memory.alloc.allocate(&context, request));
    // SAFETY: the application's own pointer for the result.
    unsafe { complete_with(dptr, made) }
}

pub fn allocate(process: &'static Process, dptr: *mut CUdeviceptr, bytes: usize) -> Disposition<NoAfter> {
    granted(process, dptr, AllocRequest::plain(bytes))
}

pub fn allocate_pitch(
    process: &'static Process,
    dptr: *mut CUdeviceptr,
    pitch: *mut usize,
    width: usize,
    height: usize,
    element: c_uint,
) -> Disposition<NoAfter> {
    if pitch.is_null() || !matches!(element, 4 | 8 | 16) {
        return Disposition::Passthrough;
    }
    let Some(row) = width.checked_next_multiple_of(PITCH) else { return Disposition::Passthrough };
    let Some(bytes) = row.checked_mul(height) else { return Disposition::Passthrough };
    let answer = allocate(process, dptr, bytes);
    if matches!(answer, Disposition::Complete(CUresult::SUCCESS)) {
        // SAFETY: the application's own pointer for the result.
        unsafe { *pitch = row };
    }
    answer
}

/// The application's own managed memory: counted and moved as any other.
pub fn allocate_managed(
    process: &'static Process,
    dptr: *mut CUdeviceptr,
    bytes: usize,
    flags: c_uint,
) -> Disposition<NoAfter> {
    granted(process, dptr, AllocRequest { managed: Some(flags), ..AllocRequest::plain(bytes) })
}

pub fn free(process: &'static Process, dptr: CUdeviceptr) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    freed(process, dptr, process.memory.frees.free(dptr))
}

/// Freed by us, if it was, else by the driver.
fn freed(
    process: &'static Process,
    dptr: CUdeviceptr,
    here: Result<HandledBy, CUresult>,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    match here {
        Ok(HandledBy::Us) => {
            process.memory.ledger.report_changes();
            return Disposition::Complete(CUresult::SUCCESS);
        }
        Ok(HandledBy::Driver) => {}
        Err(code) => return Disposition::Complete(code),
    }
    let freeing = process.memory.frees.detach(dptr);
    Disposition::Forward(move |result| {
        if let Some(freeing) = freeing {
            freeing.settle(result == CUresult::SUCCESS);
            process.waker.wake();
        }
        result
    })
}

/// Allocates in stream order. What a capture allocates belongs to the graph, and is left to the driver.
pub fn allocate_async(
    call: Call,
    dptr: *mut CUdeviceptr,
    bytes: usize,
    stream: CUstream,
) -> Disposition<BoxedAfter> {
    in_order(call, dptr, bytes, None, stream)
}

pub fn allocate_from_pool(
    call: Call,
    dptr: *mut CUdeviceptr,
    bytes: usize,
    pool: CUmemoryPool,
    stream: CUstream,
) -> Disposition<BoxedAfter> {
    in_order(call, dptr, bytes, Some(pool), stream)
}

fn in_order(
    call: Call,
    dptr: *mut CUdeviceptr,
    bytes: usize,
    pool: Option<CUmemoryPool>,
    stream: CUstream,
) -> Disposition<BoxedAfter> {
    let Call { process, entry } = call;
    if dptr.is_null() || bytes == 0 {
        return Disposition::Passthrough;
    }
    let stream = effective(entry, stream);
    if process.captures.any() && is_captured(stream) {
        return Disposition::Passthrough;
    }
    // Memory is made on the stream's device, whatever the thread's current context is.
    let of_stream = context_of(stream).and_then(|of| process.contexts.named(of));
    let Some(context) = of_stream.or_else(|| process.contexts.current()) else {
        return Disposition::Passthrough;
    };
    if let Err(code) = process.admission.wait() {
        return Disposition::Complete(code);
    }
    match pool::source(process, context.clone(), pool) {
        PoolSource::Uncounted => Disposition::Passthrough,
        PoolSource::Ours(pool, on) => {
            let made = process.memory.alloc.allocate_async(
                &on,
                bytes,
                pool,
                StreamAt { context: context.raw(), stream },
            );
            // SAFETY: the application's own pointer for the result.
            Disposition::Complete(unsafe { write_result(dptr, made) })
        }
        PoolSource::Drivers(device) => {
            let charged = match process.memory.alloc.charge_allocation(&device, bytes as u64) {
                Ok(charged) => charged,
                Err(code) => return Disposition::Complete(code),
            };
            Disposition::Forward(Box::new(move |result| {
                if result == CUresult::SUCCESS {
                    // SAFETY: the driver has just written through this pointer and reported success.
                    process.memory.alloc.adopt(&context, &device, unsafe { *dptr }, bytes as u64);
                } else {
                    process.memory.ledger.refund(device.id, charged);
                }
                process.waker.wake();
                result
            }))
        }
    }
}

pub fn free_async(
    call: Call,
    dptr: CUdeviceptr,
    stream: CUstream,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let Call { process, entry } = call;
    let stream = effective(entry, stream);
    // A captured free can only be of what the graph has allocated, and the driver refuses anything else. It also refuses
    // a default stream without a context.
    let is_captured = process.captures.any() && is_captured(stream);
    if is_captured || StreamKey::here(stream).is_default() && process.contexts.current().is_none() {
        return Disposition::Passthrough;
    }
    freed(process, dptr, process.memory.frees.free_async(dptr, stream))
}
