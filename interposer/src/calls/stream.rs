//! Streams and their captures.
#![allow(unsafe_code)] // it asks the driver about the application's streams
use super::launch::wait_for_grant;
use crate::dispatch::{Call, Disposition};
use crate::driver;
use crate::driver::stream::context_of;
use crate::symbols::entry::Entry;
use nvshare_abi::*;

/// The stream that a call means. In the calls for per-thread default streams, a null stream is the thread's own.
pub(super) fn effective(entry: Entry, stream: CUstream) -> CUstream {
    if stream.is_null() && is_per_thread(entry) { CU_STREAM_PER_THREAD as CUstream } else { stream }
}

pub(super) fn is_per_thread(entry: Entry) -> bool {
    entry.name().ends_with("_ptsz") || entry.name().ends_with("_ptds")
}

/// Whether the stream is being captured.
pub(super) fn is_captured(stream: CUstream) -> bool {
    let mut status = CU_STREAM_CAPTURE_STATUS_NONE;
    // SAFETY: the application's own stream; the pointer is to a local.
    let code = unsafe { driver::cuStreamIsCapturing(stream, &mut status) };
    code == CUresult::SUCCESS && status != CU_STREAM_CAPTURE_STATUS_NONE
}

/// A capture begins while the GPU is ours, and not during a wait of ours that would disturb it.
pub fn capture_begin(call: Call, stream: CUstream) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    let Call { process, entry } = call;
    let stream = effective(entry, stream);
    let in_flight = process.gate.try_enter().or_else(|| wait_for_grant(process, || None).ok().flatten());
    let Some(in_flight) = in_flight else { return Disposition::Passthrough };
    let beginning = process.captures.begin();
    Disposition::Forward(move |result| {
        if result == CUresult::SUCCESS {
            let context =
                context_of(stream).or_else(|| process.contexts.current().map(|context| context.raw()));
            beginning.begun(stream, context.unwrap_or_default());
        }
        drop(in_flight);
        result
    })
}

/// A stream ends, and its capture with it.
pub fn stream_destroy(call: Call, stream: CUstream) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    call.process.memory.deferred.stream_destroyed(stream);
    capture_end(call, stream)
}

/// The capture of a stream ends.
pub fn capture_end(call: Call, stream: CUstream) -> Disposition<impl FnOnce(CUresult) -> CUresult> {
    Disposition::Forward(move |result| {
        call.process.captures.end(effective(call.entry, stream));
        result
    })
}
