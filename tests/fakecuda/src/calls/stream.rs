//! Streams and events.
use crate::driver::{Outcome, put};
use crate::sim::process::Process;
use crate::sim::stream::{Default, Event, Key, Stream};
use crate::sim::work::Work;
use nvshare_abi::*;

fn create(pstream: *mut CUstream, flags: c_uint) -> Outcome {
    let process = Process::get()?;
    let mut inner = process.inner();
    let (context, _) = inner.context()?;
    let handle = inner.handle();
    let stream = Stream::new(context, flags & CU_STREAM_NON_BLOCKING == 0);
    inner.streams.all.insert(Key::Made(handle), stream);
    // SAFETY: the caller's pointer, by the promise of `cuStreamCreate`.
    unsafe { put(pstream, handle as CUstream) }
}

/// A sync or a question that no capture of the stream allows.
fn uncaptured(process: &Process, stream: CUstream, on: Default) -> Result<Key, CUresult> {
    let mut inner = process.inner();
    let key = inner.stream(stream as usize, on)?;
    if let Some(id) = inner.streams.all[&key].capture {
        inner.invalidate(id);
        return Err(CUresult::ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    Ok(key)
}

fn record(event: CUevent, stream: CUstream, on: Default) -> Outcome {
    let process = Process::get()?;
    if !process.inner().streams.events.contains_key(&(event as usize)) {
        return Err(CUresult::ERROR_INVALID_HANDLE);
    }
    let mark = process.submit(stream as usize, on, Work::Nothing)?;
    let mut inner = process.inner();
    let key = inner.stream(stream as usize, on)?;
    let capture = if mark.is_none() { inner.streams.all[&key].capture } else { None };
    let event = inner.streams.events.get_mut(&(event as usize)).ok_or(CUresult::ERROR_INVALID_HANDLE)?;
    event.record(mark.into_iter().collect(), capture);
    Ok(())
}

fn elapsed(milliseconds: *mut c_float, start: CUevent, end: CUevent) -> Outcome {
    let process = Process::get()?;
    let inner = process.inner();
    let ended = |event: CUevent| {
        let event = inner.streams.events.get(&(event as usize)).ok_or(CUresult::ERROR_INVALID_HANDLE)?;
        if !event.timing || event.marks.is_empty() {
            return Err(CUresult::ERROR_INVALID_HANDLE);
        }
        event.end().ok_or(CUresult::ERROR_NOT_READY)
    };
    let (start, end) = (ended(start)?, ended(end)?);
    // SAFETY: the caller's pointer, by the promise of `cuEventElapsedTime`.
    unsafe { put(milliseconds, ((end as f64 - start as f64) / 1e6) as c_float) }
}

fn destroy(stream: CUstream) -> Outcome {
    let process = Process::get()?;
    let key = Key::Made(stream as usize);
    let mut inner = process.inner();
    let found = inner.streams.all.get_mut(&key).ok_or(CUresult::ERROR_INVALID_HANDLE)?;
    found.doomed = true;
    // Work that has been taken from the queue to be finished does not need the stream any more.
    if found.queue.is_empty() {
        inner.streams.all.remove(&key);
    }
    Ok(())
}

fn destroy_event(event: CUevent) -> Outcome {
    let removed = Process::get()?.inner().streams.events.remove(&(event as usize));
    removed.map(|_| ()).ok_or(CUresult::ERROR_INVALID_HANDLE)
}

driver! {
    cuStreamCreate(pstream: *mut CUstream, flags: c_uint) |_| { create(pstream, flags) }

    cuStreamCreateWithPriority(pstream: *mut CUstream, flags: c_uint, _priority: c_int) |_| { create(pstream, flags) }

    cuStreamDestroy(stream: CUstream) |_| { destroy(stream) }

    cuStreamDestroy_v2(stream: CUstream) |_| { destroy(stream) }

    cuStreamSynchronize | cuStreamSynchronize_ptsz(stream: CUstream) |on| {
        let process = Process::get()?;
        let key = uncaptured(process, stream, on)?;
        process.prohibited()?;
        let last = process.inner().streams.all.get(&key).and_then(|stream| stream.last.clone());
        process.wait_for(last.as_slice())
    }

    cuStreamQuery | cuStreamQuery_ptsz(stream: CUstream) |on| {
        let process = Process::get()?;
        let key = uncaptured(process, stream, on)?;
        process.prohibited()?;
        let inner = process.inner();
        inner.broken.map_or(Ok(()), Err)?;
        let last = inner.streams.all.get(&key).and_then(|stream| stream.last.clone());
        if last.is_none_or(|mark| mark.end().is_some()) { Ok(()) } else { Err(CUresult::ERROR_NOT_READY) }
    }

    cuStreamGetCtx | cuStreamGetCtx_ptsz(stream: CUstream, pctx: *mut CUcontext) |on| {
        let process = Process::get()?;
        let mut inner = process.inner();
        let key = inner.stream(stream as usize, on)?;
        put(pctx, inner.streams.all[&key].context as CUcontext)
    }

    cuStreamWaitEvent | cuStreamWaitEvent_ptsz(stream: CUstream, event: CUevent, _flags: c_uint) |on| {
        let process = Process::get()?;
        let mut inner = process.inner();
        let key = inner.stream(stream as usize, on)?;
        let event = inner.streams.events.get(&(event as usize)).ok_or(CUresult::ERROR_INVALID_HANDLE)?;
        let capture = event.capture;
        let unfinished: Vec<_> = event.marks.iter().filter(|mark| mark.end().is_none()).cloned().collect();
        if capture.is_some() {
            // Waiting for a captured event joins the capture.
            inner.streams.all.get_mut(&key).expect("looked up above").capture = capture;
            return Ok(());
        }
        if !unfinished.is_empty() {
            inner.enqueue(key, Work::Nothing, process.world.now(), unfinished);
            process.work_changed.notify_all();
        }
        Ok(())
    }

    cuEventCreate(pevent: *mut CUevent, flags: c_uint) |_| {
        let process = Process::get()?;
        process.context()?;
        // An event that others see has no time.
        if flags & CU_EVENT_INTERPROCESS != 0 && flags & CU_EVENT_DISABLE_TIMING == 0 {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        let mut inner = process.inner();
        let handle = inner.handle();
        inner.streams.events.insert(handle, Event::new(flags));
        put(pevent, handle as CUevent)
    }

    cuEventDestroy(event: CUevent) |_| { destroy_event(event) }

    cuEventDestroy_v2(event: CUevent) |_| { destroy_event(event) }

    cuEventRecord | cuEventRecord_ptsz(event: CUevent, stream: CUstream) |on| { record(event, stream, on) }

    cuEventRecordWithFlags | cuEventRecordWithFlags_ptsz(event: CUevent, stream: CUstream, _flags: c_uint) |on| {
        record(event, stream, on)
    }

    cuEventQuery(event: CUevent) |_| {
        let process = Process::get()?;
        process.prohibited()?;
        let inner = process.inner();
        inner.broken.map_or(Ok(()), Err)?;
        let event = inner.streams.events.get(&(event as usize)).ok_or(CUresult::ERROR_INVALID_HANDLE)?;
        if event.end().is_some() { Ok(()) } else { Err(CUresult::ERROR_NOT_READY) }
    }

    cuEventSynchronize(event: CUevent) |_| {
        let process = Process::get()?;
        process.prohibited()?;
        let marks = {
            let inner = process.inner();
            let found = inner.streams.events.get(&(event as usize)).ok_or(CUresult::ERROR_INVALID_HANDLE)?;
            found.marks.clone()
        };
        process.wait_for(&marks)
    }

    cuEventElapsedTime(milliseconds: *mut c_float, start: CUevent, end: CUevent) |_| { elapsed(milliseconds, start, end) }

    cuEventElapsedTime_v2(milliseconds: *mut c_float, start: CUevent, end: CUevent) |_| { elapsed(milliseconds, start, end) }
}
