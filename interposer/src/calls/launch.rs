//! Work for the GPU, and captures, which are none.
#![allow(unsafe_code)] // a launch's configuration is read through the application's pointer
use super::here;
use crate::dispatch::Disposition;
use crate::driver;
use crate::entry::Entry;
use crate::gate::InFlight;
use crate::process::{self, Process};
use crate::residency::context_of;
use nvshare_abi::*;

/// Work for the GPU: after the grant, and counted until the driver has taken it.
#[inline]
pub fn submit(entry: Entry) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    after_grant(entry, |_| None)
}

/// Work for a stream.
#[inline]
pub fn submit_in(entry: Entry, stream: CUstream) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    after_grant(entry, move |entry| Some(effective(entry, stream)))
}

/// A launch with a configuration.
#[inline]
pub fn submit_config(
    entry: Entry,
    config: *const CUlaunchConfig,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    // SAFETY: null, or the application's own configuration of the launch.
    after_grant(entry, move |entry| unsafe { config.as_ref() }.map(|config| effective(entry, config.hStream)))
}

/// A copy within unified addresses.
#[inline]
pub fn copy(
    entry: Entry,
    dst: CUdeviceptr,
    src: CUdeviceptr,
    bytes: usize,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let copy = |to, from| {
        let own = if is_per_thread(entry) { driver::cuMemcpyPeer_ptds } else { driver::cuMemcpyPeer };
        // SAFETY: the application's own copy, with the contexts of its ends.
        unsafe { own(dst, to, src, from, bytes) }
    };
    match across(dst, src, || None, copy) {
        Some(code) => Disposition::Complete(code),
        None => submit(entry),
    }
}

/// The same, for a stream.
#[inline]
pub fn copy_in(
    entry: Entry,
    dst: CUdeviceptr,
    src: CUdeviceptr,
    bytes: usize,
    stream: CUstream,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let copy = |to, from| {
        let own =
            if is_per_thread(entry) { driver::cuMemcpyPeerAsync_ptsz } else { driver::cuMemcpyPeerAsync };
        // SAFETY: as above.
        unsafe { own(dst, to, src, from, bytes, stream) }
    };
    match across(dst, src, || Some(effective(entry, stream)), copy) {
        Some(code) => Disposition::Complete(code),
        None => submit_in(entry, stream),
    }
}

/// Copies between memory of ours on two devices, by `copy(context of the one, context of the other)`. The driver copies
/// between its own memory whatever the call; between what is mapped only where the call names both contexts, or where
/// one device may use both.
#[inline]
fn across(
    dst: CUdeviceptr,
    src: CUdeviceptr,
    stream: impl FnOnce() -> Option<CUstream>,
    copy: impl FnOnce(CUcontext, CUcontext) -> CUresult,
) -> Option<CUresult> {
    let process = process::current().filter(|process| process.contexts.are_several())?;
    let (to, from) = process.memory.apart(dst, src)?;
    let context = |device| process.contexts.on(device).map(|context| context.raw() as CUcontext);
    let (to, from) = (context(to)?, context(from)?);
    let _in_flight = match process.gate.try_enter() {
        Some(in_flight) => Some(in_flight),
        None => match queue(process, stream) {
            Ok(in_flight) => in_flight,
            Err(code) => return Some(code),
        },
    };
    Some(copy(to, from))
}

#[inline]
fn after_grant(
    entry: Entry,
    stream: impl FnOnce(Entry) -> Option<CUstream>,
) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let Some(process) = process::current() else { return Disposition::Passthrough };
    let in_flight = match process.gate.try_enter() {
        Some(in_flight) => in_flight,
        None => match queue(process, || stream(entry)) {
            Ok(Some(in_flight)) => in_flight,
            Ok(None) => return Disposition::Passthrough,
            Err(code) => return Disposition::Complete(code),
        },
    };
    Disposition::Forward(move |result| {
        drop(in_flight);
        result
    })
}

/// Waits for the grant. Not without any context: the driver then refuses the work itself, and there is none in which
/// memory could be brought back. Not what is captured: that is work only when its graph is launched, and the
/// capture's end is awaited by a revocation.
///
/// # Errors
/// `SYSTEM_NOT_READY` where there is no place for this process and calls are to fail.
#[cold]
fn queue(
    process: &Process,
    stream: impl FnOnce() -> Option<CUstream>,
) -> Result<Option<InFlight<'_>>, CUresult> {
    if process.captures.any() && stream().is_some_and(is_captured) {
        return Ok(None);
    }
    if here(process).is_none() && process.contexts.is_empty() {
        return Ok(None);
    }
    wait_at_gate(process).map(Some)
}

/// Waits for the grant, whatever there is to be done with it.
///
/// # Errors
/// As of [`queue`].
fn wait_at_gate(process: &Process) -> Result<InFlight<'_>, CUresult> {
    let in_flight = process.gate.enter_or_give_up(|| process.waker.wake(), || process.place.fails());
    in_flight.ok_or(CUresult::ERROR_SYSTEM_NOT_READY)
}

/// After the grant, for what must find memory there. That needs no context: what was made without one is placed with
/// the grant, and what has outlived its context is brought back. None where calls are to fail: what needs memory then
/// fails without it.
pub(super) fn wait_for_memory(process: &Process) -> Option<InFlight<'_>> {
    process.gate.try_enter().or_else(|| wait_at_gate(process).ok())
}

/// The stream that a call means: a null one is the thread's own in the calls for per-thread default streams.
pub(super) fn effective(entry: Entry, stream: CUstream) -> CUstream {
    if stream.is_null() && is_per_thread(entry) { CU_STREAM_PER_THREAD as CUstream } else { stream }
}

fn is_per_thread(entry: Entry) -> bool {
    entry.name().ends_with("_ptsz") || entry.name().ends_with("_ptds")
}

/// Whether the stream is being captured.
pub(super) fn is_captured(stream: CUstream) -> bool {
    let mut status = CU_STREAM_CAPTURE_STATUS_NONE;
    // SAFETY: the application's own stream; the pointer is to a local.
    let code = unsafe { driver::cuStreamIsCapturing(stream, &mut status) };
    code == CUresult::SUCCESS && status != CU_STREAM_CAPTURE_STATUS_NONE
}

/// A capture begins while the GPU is ours, and not beside a wait of ours that would disturb it.
pub fn capture_begin(entry: Entry, stream: CUstream) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let Some(process) = process::current() else { return Disposition::Passthrough };
    let stream = effective(entry, stream);
    let in_flight = process.gate.try_enter().or_else(|| queue(process, || None).ok().flatten());
    let Some(in_flight) = in_flight else { return Disposition::Passthrough };
    let beginning = process.captures.begin();
    Disposition::Forward(move |result| {
        if result == CUresult::SUCCESS {
            let context = context_of(stream).or_else(|| here(process).map(|context| context.raw()));
            beginning.begun(stream, context.unwrap_or_default());
        }
        drop(in_flight);
        result
    })
}

/// The stream itself ends, and with it its capture.
pub fn stream_destroy(entry: Entry, stream: CUstream) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    if let Some(process) = process::current() {
        process.memory.close_stream(process, stream);
    }
    capture_end(entry, stream)
}

/// The capture of a stream ends.
pub fn capture_end(entry: Entry, stream: CUstream) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    Disposition::Forward(move |result| {
        if let Some(process) = process::current() {
            process.captures.end(effective(entry, stream));
        }
        result
    })
}
