//! Stream capture and graphs.
use crate::driver::put;
use crate::sim::capture;
use crate::sim::process::Process;
use nvshare_abi::*;

driver! {
    cuThreadExchangeStreamCaptureMode(mode: *mut CUstreamCaptureMode) |_| {
        if mode.is_null() || *mode > CU_STREAM_CAPTURE_MODE_RELAXED {
            return Err(CUresult::ERROR_INVALID_VALUE);
        }
        put(mode, capture::exchange_mode(*mode))
    }

    cuStreamBeginCapture_v2 | cuStreamBeginCapture_v2_ptsz(stream: CUstream, mode: CUstreamCaptureMode) |on| {
        Process::get()?.begin_capture(stream as usize, on, mode)
    }

    cuStreamEndCapture | cuStreamEndCapture_ptsz(stream: CUstream, graph: *mut CUgraph) |on| {
        let ended = Process::get()?.end_capture(stream as usize, on);
        put(graph, *ended.as_ref().unwrap_or(&0) as CUgraph)?;
        ended.map(|_| ())
    }

    cuStreamIsCapturing | cuStreamIsCapturing_ptsz(stream: CUstream, capturing: *mut CUstreamCaptureStatus) |on| {
        let process = Process::get()?;
        let (context, _) = process.context()?;
        let mut inner = process.inner();
        let key = inner.stream(stream as usize, on, context)?;
        put(capturing, match inner.capture_status(key) {
            None => CU_STREAM_CAPTURE_STATUS_NONE,
            Some(false) => CU_STREAM_CAPTURE_STATUS_ACTIVE,
            Some(true) => CU_STREAM_CAPTURE_STATUS_INVALIDATED,
        })
    }

    cuGraphInstantiateWithFlags(exec: *mut CUgraphExec, graph: CUgraph, _flags: c_ulonglong) |_| {
        let process = Process::get()?;
        let mut inner = process.inner();
        let nodes = inner.graphs.graphs.get(&(graph as usize)).cloned().ok_or(CUresult::ERROR_INVALID_HANDLE)?;
        let handle = inner.handle();
        inner.graphs.execs.insert(handle, nodes);
        put(exec, handle as CUgraphExec)
    }

    cuGraphExecDestroy(exec: CUgraphExec) |_| {
        let removed = Process::get()?.inner().graphs.execs.remove(&(exec as usize));
        removed.map(|_| ()).ok_or(CUresult::ERROR_INVALID_HANDLE)
    }

    cuGraphDestroy(graph: CUgraph) |_| {
        let removed = Process::get()?.inner().graphs.graphs.remove(&(graph as usize));
        removed.map(|_| ()).ok_or(CUresult::ERROR_INVALID_HANDLE)
    }
}
