//! Stream capture and graphs.
use super::{copy, copy_shape, launch};
use crate::driver::{Outcome, put};
use crate::sim::capture;
use crate::sim::process::Process;
use crate::sim::work::{self, Work};
use nvshare_abi::*;

/// Adds a node at a graph's end: what it comes after is there already, so that this is an order in which they may run.
///
/// # Safety
/// `node` is null or valid for a write.
unsafe fn add(node: *mut CUgraphNode, graph: CUgraph, work: Work) -> Outcome {
    let process = Process::get()?;
    let mut inner = process.inner();
    let handle = inner.handle();
    let nodes = inner.graphs.graphs.get_mut(&(graph as usize)).ok_or(CUresult::ERROR_INVALID_VALUE)?;
    nodes.push((handle, work));
    // SAFETY: the caller's promise.
    unsafe { put(node, handle as CUgraphNode) }
}

/// Gives a node of an instantiated graph other work.
fn change(exec: CUgraphExec, node: CUgraphNode, work: Work) -> Outcome {
    let process = Process::get()?;
    let mut inner = process.inner();
    let nodes = inner.graphs.execs.get_mut(&(exec as usize)).ok_or(CUresult::ERROR_INVALID_VALUE)?;
    let found = nodes.iter_mut().find(|(known, _)| *known == node as usize);
    found.ok_or(CUresult::ERROR_INVALID_VALUE)?.1 = work;
    Ok(())
}

/// Work whose addresses a node names: they must be mapped when it is made. Whether a real driver looks is not recorded;
/// this one does, so that nobody relies on its not looking.
fn mapped(work: Work) -> Result<Work, CUresult> {
    let process = Process::get()?;
    let (_, device) = process.context()?;
    let there = work::is_valid(&work, &process.inner().memory, device);
    if there { Ok(work) } else { Err(CUresult::ERROR_INVALID_VALUE) }
}

/// # Safety
/// `params` is null or points to parameters.
unsafe fn fill(params: *const CUDA_MEMSET_NODE_PARAMS) -> Result<Work, CUresult> {
    // SAFETY: the caller's promise.
    let p = unsafe { params.as_ref() }.ok_or(CUresult::ERROR_INVALID_VALUE)?;
    let (unit, width, height) = (u64::from(p.elementSize), p.width as u64, p.height as u64);
    if ![1, 2, 4].contains(&unit) || width == 0 || height == 0 {
        return Err(CUresult::ERROR_INVALID_VALUE);
    }
    mapped(copy::filling(p.dst, p.pitch as u64, p.value, unit, width, height)?)
}

/// # Safety
/// `params` is null or points to a description.
unsafe fn copied(params: *const CUDA_MEMCPY3D) -> Result<Work, CUresult> {
    // SAFETY: the caller's promise.
    let (shape, ends) = unsafe { copy_shape::solid(params)? };
    mapped(copy::work(&shape, ends)?)
}

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
        let mut inner = process.inner();
        let key = inner.stream(stream as usize, on)?;
        put(capturing, match inner.capture_status(key) {
            None => CU_STREAM_CAPTURE_STATUS_NONE,
            Some(false) => CU_STREAM_CAPTURE_STATUS_ACTIVE,
            Some(true) => CU_STREAM_CAPTURE_STATUS_INVALIDATED,
        })
    }

    cuGraphCreate(graph: *mut CUgraph, _flags: c_uint) |_| {
        let process = Process::get()?;
        let mut inner = process.inner();
        let handle = inner.handle();
        inner.graphs.graphs.insert(handle, Vec::new());
        put(graph, handle as CUgraph)
    }

    cuGraphAddKernelNode_v2(node: *mut CUgraphNode, graph: CUgraph, _after: *const CUgraphNode, _count: usize, params: *const CUDA_KERNEL_NODE_PARAMS) |_| {
        let params = params.as_ref().ok_or(CUresult::ERROR_INVALID_VALUE)?;
        add(node, graph, launch::node(params.func, params.kernelParams)?)
    }

    cuGraphAddMemsetNode(node: *mut CUgraphNode, graph: CUgraph, _after: *const CUgraphNode, _count: usize, params: *const CUDA_MEMSET_NODE_PARAMS, _ctx: CUcontext) |_| {
        add(node, graph, fill(params)?)
    }

    cuGraphAddMemcpyNode(node: *mut CUgraphNode, graph: CUgraph, _after: *const CUgraphNode, _count: usize, params: *const CUDA_MEMCPY3D, _ctx: CUcontext) |_| {
        add(node, graph, copied(params)?)
    }

    cuGraphExecMemsetNodeSetParams(exec: CUgraphExec, node: CUgraphNode, params: *const CUDA_MEMSET_NODE_PARAMS, _ctx: CUcontext) |_| {
        change(exec, node, fill(params)?)
    }

    cuGraphExecMemcpyNodeSetParams(exec: CUgraphExec, node: CUgraphNode, params: *const CUDA_MEMCPY3D, _ctx: CUcontext) |_| {
        change(exec, node, copied(params)?)
    }

    cuGraphGetNodes(graph: CUgraph, nodes: *mut CUgraphNode, count: *mut usize) |_| {
        let process = Process::get()?;
        let inner = process.inner();
        let known = inner.graphs.graphs.get(&(graph as usize)).ok_or(CUresult::ERROR_INVALID_VALUE)?;
        if !nodes.is_null() && !count.is_null() {
            for (at, (node, _)) in known.iter().take(*count).enumerate() {
                put(nodes.add(at), *node as CUgraphNode)?;
            }
        }
        put(count, known.len())
    }

    cuGraphInstantiateWithFlags(exec: *mut CUgraphExec, graph: CUgraph, _flags: c_ulonglong) |_| {
        let process = Process::get()?;
        process.context()?;
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
