//! Copies between devices. The driver cannot do some of them by the call that the application made.
#![allow(unsafe_code)] // it calls the driver's copies between contexts
use super::launch::{submit, submit_in, wait_for_grant};
use super::stream::{effective, is_per_thread};
use crate::dispatch::{Call, Disposition};
use crate::driver;
use crate::process::Process;
use nvshare_abi::*;

/// A copy within unified addresses.
#[inline]
pub fn copy(
    call: Call,
    dst: CUdeviceptr,
    src: CUdeviceptr,
    bytes: usize,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let copy = |to, from| {
        let own = if is_per_thread(call.entry) { driver::cuMemcpyPeer_ptds } else { driver::cuMemcpyPeer };
        // SAFETY: the application's own copy, with the contexts of its ends.
        unsafe { own(dst, to, src, from, bytes) }
    };
    match across(call.process, dst, src, || None, copy) {
        Some(code) => Disposition::Complete(code),
        None => submit(call.process),
    }
}

/// The same, for a stream.
#[inline]
pub fn copy_in(
    call: Call,
    dst: CUdeviceptr,
    src: CUdeviceptr,
    bytes: usize,
    stream: CUstream,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let copy = |to, from| {
        let own = if is_per_thread(call.entry) {
            driver::cuMemcpyPeerAsync_ptsz
        } else {
            driver::cuMemcpyPeerAsync
        };
        // SAFETY: the application's own copy and stream, with the contexts of its ends.
        unsafe { own(dst, to, src, from, bytes, stream) }
    };
    match across(call.process, dst, src, || Some(effective(call.entry, stream)), copy) {
        Some(code) => Disposition::Complete(code),
        None => submit_in(call, stream),
    }
}

/// Copies between memory of ours on two devices, by `copy(destination's context, source's context)`. The driver copies
/// between its own memory by any call. Between mapped memory it copies only if the call names both contexts, or if one
/// device may use both. None: the copy is of another kind.
#[inline]
fn across(
    process: &Process,
    dst: CUdeviceptr,
    src: CUdeviceptr,
    stream: impl FnOnce() -> Option<CUstream>,
    copy: impl FnOnce(CUcontext, CUcontext) -> CUresult,
) -> Option<CUresult> {
    if !process.contexts.are_several() {
        return None;
    }
    let (to, from) = process.memory.ledger.on_distinct_devices(dst, src)?;
    let context = |device| process.contexts.on(device).map(|context| context.raw() as CUcontext);
    let (to, from) = (context(to)?, context(from)?);
    let _in_flight = match process.gate.try_enter() {
        Some(in_flight) => Some(in_flight),
        None => match wait_for_grant(process, stream) {
            Ok(in_flight) => in_flight,
            Err(code) => return Some(code),
        },
    };
    Some(copy(to, from))
}
