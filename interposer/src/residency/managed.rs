//! The `managed` engine: allocations are managed memory, moved in bulk by prefetching.
//!
//! Figures (one H200, driver 580.159.04, measured before this was written): 50 GB/s in with pieces of 32 to 256 MiB, 27 GB/s
//! with pieces of 2 MiB; 10 to 18 GB/s out.
#![allow(unsafe_code)] // it allocates and moves the application's memory through the driver
use super::{Engine, Range};
use crate::contexts::Context;
use crate::log;
use crate::real::driver;
use nvshare_abi::*;

/// One prefetch call's share.
const PIECE: u64 = 64 << 20;

#[derive(Debug, Default)]
pub struct Managed;

impl Engine for Managed {
    fn name(&self) -> &'static str {
        "managed"
    }

    fn allocate(&self, context: &Context, bytes: usize) -> Result<(CUdeviceptr, bool), CUresult> {
        let mut start: CUdeviceptr = 0;
        if context.device.movable {
            // SAFETY: the pointer is to a local; a context is current, as the application's call needs it.
            // Usable from every stream on every device, as plain memory is.
            match unsafe { driver::cuMemAllocManaged(&mut start, bytes, CU_MEM_ATTACH_GLOBAL) } {
                CUresult::SUCCESS => return Ok((start, true)),
                CUresult::ERROR_NOT_SUPPORTED => {}
                code => return Err(code),
            }
        }
        // SAFETY: as above.
        match unsafe { driver::cuMemAlloc_v2(&mut start, bytes) } {
            CUresult::SUCCESS => Ok((start, false)),
            code => Err(code),
        }
    }

    fn fetch(&self, context: &Context, ranges: &[Range]) -> Vec<Range> {
        move_all(context, ranges, context.device.ordinal)
    }

    fn evict(&self, context: &Context, ranges: &[Range]) -> Vec<Range> {
        move_all(context, ranges, CU_DEVICE_CPU)
    }
}

/// Prefetches every piece to `place` on our own stream and waits. A piece that cannot be prefetched
/// (the application freed it a moment ago) is left out; all are, if the wait fails.
fn move_all(context: &Context, ranges: &[Range], place: CUdevice) -> Vec<Range> {
    let Some(mut entered) = context.enter() else { return Vec::new() };
    let stream = match entered.stream() {
        Ok(stream) => stream,
        Err(code) => {
            log::warning!("no stream to move memory on (CUDA error {}): it moves by page faults", code.0);
            return Vec::new();
        }
    };
    let (mut moved, mut refused) = (Vec::new(), None);
    for range in ranges {
        let mut start = range.start;
        let end = range.start + range.bytes;
        while start < end {
            let bytes = (end - start).min(PIECE);
            // SAFETY: only addresses; the driver answers with an error where no managed memory lies.
            match unsafe { driver::cuMemPrefetchAsync(start, bytes as usize, place, stream) } {
                CUresult::SUCCESS => moved.push(Range { start, bytes }),
                code => refused = Some(code),
            }
            start += bytes;
        }
    }
    // SAFETY: our own stream of the context that is current.
    let done = unsafe { driver::cuStreamSynchronize(stream) };
    if let Some(code) = refused.or((done != CUresult::SUCCESS).then_some(done)) {
        log::info!(
            "a bulk prefetch was refused in part (CUDA error {}): that part moves by page faults",
            code.0
        );
    }
    if done == CUresult::SUCCESS { moved } else { Vec::new() }
}
