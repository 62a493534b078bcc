//! The entry points, one full row each: the only place where a driver symbol's name is spelled.
//!
//! `symbol(arg: Type, ...) => handler(args it needs);`
//!
//! Twins (`_v2`, `_ptsz`, `_ptds`) are rows of their own, written out, so that a search for a symbol ends
//! here. Hand a table to a macro of yours: `nvshare_abi::cuda_table!(emit)`. The `handler` column means
//! nothing here: the interposer gives it meaning, the simulated driver ignores it. Signatures are those of
//! NVIDIA's `cuda.h`; `tests/against_cuda_h.rs` compiles every row against it.

/// Every entry point that the interposer replaces.
///
/// Symbols without a suffix that have a `_v2` beside them are the calls of CUDA 2 and 3.0 with 32-bit
/// addresses. Drivers still export them, so work submitted through them must pass the gate too.
#[rustfmt::skip]
#[macro_export]
macro_rules! cuda_table {
    ($emit:ident) => { $emit! {
        // --- initialisation, version, driver entry points ----------------------------------------
        cuInit(flags: c_uint) => init(flags);
        cuDriverGetVersion(version: *mut c_int) => passthrough();
        cuGetProcAddress(symbol: *const c_char, pfn: *mut *mut c_void, version: c_int, flags: cuuint64_t) => get_proc_address(symbol, pfn);
        cuGetProcAddress_v2(symbol: *const c_char, pfn: *mut *mut c_void, version: c_int, flags: cuuint64_t, status: *mut CUdriverProcAddressQueryResult) => get_proc_address(symbol, pfn);
        cuGetExportTable(table: *mut *const c_void, id: *const CUuuid) => passthrough();
        // --- devices: the memory that the application sees ---------------------------------------
        cuDeviceTotalMem_v2(bytes: *mut usize, dev: CUdevice) => device_total_memory(bytes, dev);
        cuMemGetInfo_v2(free: *mut usize, total: *mut usize) => memory_info(free, total);
        // --- contexts ----------------------------------------------------------------------------
        cuCtxCreate(pctx: *mut CUcontext, flags: c_uint, dev: CUdevice) => context_create(pctx, dev);
        cuCtxCreate_v2(pctx: *mut CUcontext, flags: c_uint, dev: CUdevice) => context_create(pctx, dev);
        cuCtxCreate_v3(pctx: *mut CUcontext, entries: *mut CUexecAffinityParam, count: c_int, flags: c_uint, dev: CUdevice) => context_create(pctx, dev);
        cuCtxCreate_v4(pctx: *mut CUcontext, creation: *mut CUctxCreateParams, flags: c_uint, dev: CUdevice) => context_create(pctx, dev);
        cuCtxDestroy(ctx: CUcontext) => context_destroy(ctx);
        cuCtxDestroy_v2(ctx: CUcontext) => context_destroy(ctx);
        cuCtxDetach(ctx: CUcontext) => context_destroy(ctx);
        cuCtxFromGreenCtx(pctx: *mut CUcontext, green: CUgreenCtx) => context_from_green(pctx, green);
        cuGreenCtxDestroy(green: CUgreenCtx) => green_context_destroy(green);
        cuDevicePrimaryCtxRetain(pctx: *mut CUcontext, dev: CUdevice) => primary_retain(pctx, dev);
        cuDevicePrimaryCtxRelease(dev: CUdevice) => primary_release(dev);
        cuDevicePrimaryCtxRelease_v2(dev: CUdevice) => primary_release(dev);
        cuDevicePrimaryCtxReset(dev: CUdevice) => primary_reset(dev);
        cuDevicePrimaryCtxReset_v2(dev: CUdevice) => primary_reset(dev);
        cuCtxEnablePeerAccess(peer: CUcontext, flags: c_uint) => peer_enable(peer);
        cuCtxDisablePeerAccess(peer: CUcontext) => peer_disable(peer);
        // --- memory, stream-ordered memory, pools ------------------------------------------------
        cuMemAlloc_v2(dptr: *mut CUdeviceptr, bytes: usize) => allocate(dptr, bytes);
        cuMemAllocPitch_v2(dptr: *mut CUdeviceptr, pitch: *mut usize, width: usize, height: usize, element: c_uint) => allocate_pitch(dptr, pitch, width, height, element);
        cuMemAllocManaged(dptr: *mut CUdeviceptr, bytes: usize, flags: c_uint) => allocate_managed(dptr, bytes, flags);
        cuMemFree_v2(dptr: CUdeviceptr) => free(dptr);
        cuMemAllocAsync(dptr: *mut CUdeviceptr, bytes: usize, stream: CUstream) => allocate_async(dptr, bytes, stream);
        cuMemAllocAsync_ptsz(dptr: *mut CUdeviceptr, bytes: usize, stream: CUstream) => allocate_async(dptr, bytes, stream);
        cuMemAllocFromPoolAsync(dptr: *mut CUdeviceptr, bytes: usize, pool: CUmemoryPool, stream: CUstream) => allocate_from_pool(dptr, bytes, pool, stream);
        cuMemAllocFromPoolAsync_ptsz(dptr: *mut CUdeviceptr, bytes: usize, pool: CUmemoryPool, stream: CUstream) => allocate_from_pool(dptr, bytes, pool, stream);
        cuMemFreeAsync(dptr: CUdeviceptr, stream: CUstream) => free_async(dptr, stream);
        cuMemFreeAsync_ptsz(dptr: CUdeviceptr, stream: CUstream) => free_async(dptr, stream);
        cuMemPoolCreate(pool: *mut CUmemoryPool, props: *const CUmemPoolProps) => pool_create(pool, props);
        cuMemPoolDestroy(pool: CUmemoryPool) => pool_destroy(pool);
        cuMemPoolGetAttribute(pool: CUmemoryPool, attribute: CUmemPool_attribute, value: *mut c_void) => pool_get_attribute(pool, attribute, value);
        cuMemPoolSetAttribute(pool: CUmemoryPool, attribute: CUmemPool_attribute, value: *mut c_void) => pool_set_attribute(pool, attribute, value);
        cuDeviceSetMemPool(dev: CUdevice, pool: CUmemoryPool) => pool_select();
        cuMemSetMemPool(location: *mut CUmemLocation, kind: CUmemAllocationType, pool: CUmemoryPool) => pool_select();
        cuMemPoolTrimTo(pool: CUmemoryPool, keep: usize) => pool_trim(pool, keep);
        cuMemPoolSetAccess(pool: CUmemoryPool, map: *const CUmemAccessDesc, count: usize) => pool_set_access(pool, map, count);
        // --- memory: the host's, which has addresses of the device's -----------------------------
        cuMemHostAlloc(pp: *mut *mut c_void, bytes: usize, flags: c_uint) => choose_addresses();
        cuMemAllocHost_v2(pp: *mut *mut c_void, bytes: usize) => choose_addresses();
        // --- virtual memory, multicast -----------------------------------------------------------
        cuMemAddressReserve(ptr: *mut CUdeviceptr, bytes: usize, alignment: usize, addr: CUdeviceptr, flags: c_ulonglong) => choose_addresses();
        cuMemAddressFree(ptr: CUdeviceptr, bytes: usize) => address_free(ptr, bytes);
        cuMemCreate(handle: *mut CUmemGenericAllocationHandle, bytes: usize, prop: *const CUmemAllocationProp, flags: c_ulonglong) => physical_create(handle, bytes, prop, flags);
        cuMemRelease(handle: CUmemGenericAllocationHandle) => physical_release(handle);
        cuMemMap(ptr: CUdeviceptr, bytes: usize, offset: usize, handle: CUmemGenericAllocationHandle, flags: c_ulonglong) => map(ptr, bytes, offset, handle, flags);
        cuMemUnmap(ptr: CUdeviceptr, bytes: usize) => unmap(ptr, bytes);
        cuMemSetAccess(ptr: CUdeviceptr, bytes: usize, desc: *const CUmemAccessDesc, count: usize) => set_access(ptr, bytes, desc, count);
        cuMemGetAccess(flags: *mut c_ulonglong, location: *const CUmemLocation, ptr: CUdeviceptr) => get_access(flags, location, ptr);
        cuMemRetainAllocationHandle(handle: *mut CUmemGenericAllocationHandle, addr: *mut c_void) => physical_retain(handle, addr);
        cuMemGetAllocationPropertiesFromHandle(prop: *mut CUmemAllocationProp, handle: CUmemGenericAllocationHandle) => physical_properties(prop, handle);
        cuMemExportToShareableHandle(shareable: *mut c_void, handle: CUmemGenericAllocationHandle, kind: CUmemAllocationHandleType, flags: c_ulonglong) => physical_export(shareable, handle, kind, flags);
        cuMulticastBindMem(multicast: CUmemGenericAllocationHandle, multicast_offset: usize, handle: CUmemGenericAllocationHandle, offset: usize, bytes: usize, flags: c_ulonglong) => multicast_bind(multicast, multicast_offset, handle, offset, bytes, flags);
        cuMulticastBindAddr(multicast: CUmemGenericAllocationHandle, multicast_offset: usize, ptr: CUdeviceptr, bytes: usize, flags: c_ulonglong) => export_range(ptr, bytes);
        cuMemGetHandleForAddressRange(handle: *mut c_void, ptr: CUdeviceptr, bytes: usize, kind: CUmemRangeHandleType, flags: c_ulonglong) => export_range(ptr, bytes);
        // --- arrays, which are never evicted -----------------------------------------------------
        cuArrayCreate_v2(array: *mut CUarray, desc: *const CUDA_ARRAY_DESCRIPTOR) => array_create(array, desc);
        cuArray3DCreate_v2(array: *mut CUarray, desc: *const CUDA_ARRAY3D_DESCRIPTOR) => array3d_create(array, desc);
        cuArrayDestroy(array: CUarray) => array_destroy(array);
        cuMipmappedArrayCreate(array: *mut CUmipmappedArray, desc: *const CUDA_ARRAY3D_DESCRIPTOR, levels: c_uint) => mipmap_create(array, desc, levels);
        cuMipmappedArrayDestroy(array: CUmipmappedArray) => mipmap_destroy(array);
        // --- unified addressing, IPC -------------------------------------------------------------
        cuMemGetAddressRange_v2(base: *mut CUdeviceptr, bytes: *mut usize, dptr: CUdeviceptr) => address_range(base, bytes, dptr);
        cuPointerGetAttribute(data: *mut c_void, attribute: CUpointer_attribute, ptr: CUdeviceptr) => pointer_attribute(data, attribute, ptr);
        cuPointerGetAttributes(count: c_uint, attributes: *mut CUpointer_attribute, data: *mut *mut c_void, ptr: CUdeviceptr) => pointer_attributes(count, attributes, data, ptr);
        cuPointerSetAttribute(value: *const c_void, attribute: CUpointer_attribute, ptr: CUdeviceptr) => submit();
        cuIpcGetMemHandle(handle: *mut CUipcMemHandle, dptr: CUdeviceptr) => ipc_get_handle(handle, dptr);
        cuIpcOpenMemHandle(dptr: *mut CUdeviceptr, handle: CUipcMemHandle, flags: c_uint) => ipc_open(dptr, handle, flags);
        cuIpcOpenMemHandle_v2(dptr: *mut CUdeviceptr, handle: CUipcMemHandle, flags: c_uint) => ipc_open(dptr, handle, flags);
        cuIpcCloseMemHandle(dptr: CUdeviceptr) => ipc_close(dptr);
        // --- streams: captures must not be disturbed ---------------------------------------------
        cuStreamBeginCapture(stream: CUstream) => capture_begin(stream);
        cuStreamBeginCapture_ptsz(stream: CUstream) => capture_begin(stream);
        cuStreamBeginCapture_v2(stream: CUstream, mode: CUstreamCaptureMode) => capture_begin(stream);
        cuStreamBeginCapture_v2_ptsz(stream: CUstream, mode: CUstreamCaptureMode) => capture_begin(stream);
        cuStreamBeginCaptureToGraph(stream: CUstream, graph: CUgraph, dependencies: *const CUgraphNode, edges: *const CUgraphEdgeData, count: usize, mode: CUstreamCaptureMode) => capture_begin(stream);
        cuStreamBeginCaptureToGraph_ptsz(stream: CUstream, graph: CUgraph, dependencies: *const CUgraphNode, edges: *const CUgraphEdgeData, count: usize, mode: CUstreamCaptureMode) => capture_begin(stream);
        cuStreamEndCapture(stream: CUstream, graph: *mut CUgraph) => capture_end(stream);
        cuStreamEndCapture_ptsz(stream: CUstream, graph: *mut CUgraph) => capture_end(stream);
        cuStreamDestroy(stream: CUstream) => stream_destroy(stream);
        cuStreamDestroy_v2(stream: CUstream) => stream_destroy(stream);
        // --- graphs and textures: they name addresses of memory that must be resident ------------
        cuGraphAddMemcpyNode(node: *mut CUgraphNode, graph: CUgraph, after: *const CUgraphNode, count: usize, params: *const CUDA_MEMCPY3D, ctx: CUcontext) => require_resident();
        cuGraphAddMemsetNode(node: *mut CUgraphNode, graph: CUgraph, after: *const CUgraphNode, count: usize, params: *const CUDA_MEMSET_NODE_PARAMS, ctx: CUcontext) => require_resident();
        cuGraphAddBatchMemOpNode(node: *mut CUgraphNode, graph: CUgraph, after: *const CUgraphNode, count: usize, params: *const CUDA_BATCH_MEM_OP_NODE_PARAMS) => require_resident();
        cuGraphAddNode(node: *mut CUgraphNode, graph: CUgraph, after: *const CUgraphNode, count: usize, params: *mut CUgraphNodeParams) => require_resident();
        cuGraphAddNode_v2(node: *mut CUgraphNode, graph: CUgraph, after: *const CUgraphNode, edges: *const CUgraphEdgeData, count: usize, params: *mut CUgraphNodeParams) => require_resident();
        cuGraphMemcpyNodeSetParams(node: CUgraphNode, params: *const CUDA_MEMCPY3D) => require_resident();
        cuGraphMemsetNodeSetParams(node: CUgraphNode, params: *const CUDA_MEMSET_NODE_PARAMS) => require_resident();
        cuGraphBatchMemOpNodeSetParams(node: CUgraphNode, params: *const CUDA_BATCH_MEM_OP_NODE_PARAMS) => require_resident();
        cuGraphNodeSetParams(node: CUgraphNode, params: *mut CUgraphNodeParams) => require_resident();
        cuGraphExecMemcpyNodeSetParams(exec: CUgraphExec, node: CUgraphNode, params: *const CUDA_MEMCPY3D, ctx: CUcontext) => require_resident();
        cuGraphExecMemsetNodeSetParams(exec: CUgraphExec, node: CUgraphNode, params: *const CUDA_MEMSET_NODE_PARAMS, ctx: CUcontext) => require_resident();
        cuGraphExecBatchMemOpNodeSetParams(exec: CUgraphExec, node: CUgraphNode, params: *const CUDA_BATCH_MEM_OP_NODE_PARAMS) => require_resident();
        cuGraphExecNodeSetParams(exec: CUgraphExec, node: CUgraphNode, params: *mut CUgraphNodeParams) => require_resident();
        cuGraphExecUpdate(exec: CUgraphExec, graph: CUgraph, failed: *mut CUgraphNode, result: *mut CUgraphExecUpdateResult) => require_resident();
        cuGraphExecUpdate_v2(exec: CUgraphExec, graph: CUgraph, result: *mut CUgraphExecUpdateResultInfo) => require_resident();
        cuGraphInstantiate(exec: *mut CUgraphExec, graph: CUgraph, failed: *mut CUgraphNode, log: *mut c_char, bytes: usize) => require_resident();
        cuGraphInstantiate_v2(exec: *mut CUgraphExec, graph: CUgraph, failed: *mut CUgraphNode, log: *mut c_char, bytes: usize) => require_resident();
        cuGraphInstantiateWithFlags(exec: *mut CUgraphExec, graph: CUgraph, flags: c_ulonglong) => require_resident();
        cuGraphInstantiateWithParams(exec: *mut CUgraphExec, graph: CUgraph, params: *mut CUDA_GRAPH_INSTANTIATE_PARAMS) => require_resident();
        cuGraphInstantiateWithParams_ptsz(exec: *mut CUgraphExec, graph: CUgraph, params: *mut CUDA_GRAPH_INSTANTIATE_PARAMS) => require_resident();
        cuTexObjectCreate(texture: *mut CUtexObject, resource: *const CUDA_RESOURCE_DESC, how: *const CUDA_TEXTURE_DESC, view: *const CUDA_RESOURCE_VIEW_DESC) => require_resident();
        cuTexRefSetAddress_v2(offset: *mut usize, texture: CUtexref, dptr: CUdeviceptr, bytes: usize) => require_resident();
        cuTexRefSetAddress2D_v2(texture: CUtexref, desc: *const CUDA_ARRAY_DESCRIPTOR, dptr: CUdeviceptr, pitch: usize) => require_resident();
        cuTexRefSetAddress2D_v3(texture: CUtexref, desc: *const CUDA_ARRAY_DESCRIPTOR, dptr: CUdeviceptr, pitch: usize) => require_resident();
        // --- work: kernels, graphs, host functions -----------------------------------------------
        cuLaunchKernel(f: CUfunction, gx: c_uint, gy: c_uint, gz: c_uint, bx: c_uint, by: c_uint, bz: c_uint, shared: c_uint, stream: CUstream, params: *mut *mut c_void, extra: *mut *mut c_void) => submit_in(stream);
        cuLaunchKernel_ptsz(f: CUfunction, gx: c_uint, gy: c_uint, gz: c_uint, bx: c_uint, by: c_uint, bz: c_uint, shared: c_uint, stream: CUstream, params: *mut *mut c_void, extra: *mut *mut c_void) => submit_in(stream);
        cuLaunchKernelEx(config: *const CUlaunchConfig, f: CUfunction, params: *mut *mut c_void, extra: *mut *mut c_void) => submit_config(config);
        cuLaunchKernelEx_ptsz(config: *const CUlaunchConfig, f: CUfunction, params: *mut *mut c_void, extra: *mut *mut c_void) => submit_config(config);
        cuLaunchCooperativeKernel(f: CUfunction, gx: c_uint, gy: c_uint, gz: c_uint, bx: c_uint, by: c_uint, bz: c_uint, shared: c_uint, stream: CUstream, params: *mut *mut c_void) => submit_in(stream);
        cuLaunchCooperativeKernelMultiDevice(launches: *mut CUDA_LAUNCH_PARAMS, devices: c_uint, flags: c_uint) => submit();
        cuLaunchCooperativeKernel_ptsz(f: CUfunction, gx: c_uint, gy: c_uint, gz: c_uint, bx: c_uint, by: c_uint, bz: c_uint, shared: c_uint, stream: CUstream, params: *mut *mut c_void) => submit_in(stream);
        cuGraphLaunch(graph: CUgraphExec, stream: CUstream) => submit_in(stream);
        cuGraphLaunch_ptsz(graph: CUgraphExec, stream: CUstream) => submit_in(stream);
        cuGraphUpload(graph: CUgraphExec, stream: CUstream) => submit_in(stream);
        cuGraphUpload_ptsz(graph: CUgraphExec, stream: CUstream) => submit_in(stream);
        cuLaunchHostFunc(stream: CUstream, function: CUhostFn, user_data: *mut c_void) => submit_in(stream);
        cuLaunchHostFunc_ptsz(stream: CUstream, function: CUhostFn, user_data: *mut c_void) => submit_in(stream);
        cuLaunch(f: CUfunction) => submit();
        cuLaunchGrid(f: CUfunction, width: c_int, height: c_int) => submit();
        cuLaunchGridAsync(f: CUfunction, width: c_int, height: c_int, stream: CUstream) => submit_in(stream);
        // --- work: linear copies -----------------------------------------------------------------
        cuMemcpy(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) => copy(dst, src, bytes);
        cuMemcpyAsync(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) => copy_in(dst, src, bytes, stream);
        cuMemcpyAsync_ptsz(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) => copy_in(dst, src, bytes, stream);
        cuMemcpy_ptds(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) => copy(dst, src, bytes);
        cuMemcpyPeer(dst: CUdeviceptr, dst_ctx: CUcontext, src: CUdeviceptr, src_ctx: CUcontext, bytes: usize) => submit();
        cuMemcpyPeerAsync(dst: CUdeviceptr, dst_ctx: CUcontext, src: CUdeviceptr, src_ctx: CUcontext, bytes: usize, stream: CUstream) => submit_in(stream);
        cuMemcpyPeerAsync_ptsz(dst: CUdeviceptr, dst_ctx: CUcontext, src: CUdeviceptr, src_ctx: CUcontext, bytes: usize, stream: CUstream) => submit_in(stream);
        cuMemcpyPeer_ptds(dst: CUdeviceptr, dst_ctx: CUcontext, src: CUdeviceptr, src_ctx: CUcontext, bytes: usize) => submit();
        cuMemcpyDtoD(dst: CUdeviceptr_v1, src: CUdeviceptr_v1, bytes: c_uint) => submit();
        cuMemcpyDtoDAsync(dst: CUdeviceptr_v1, src: CUdeviceptr_v1, bytes: c_uint, stream: CUstream) => submit_in(stream);
        cuMemcpyDtoDAsync_v2(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) => copy_in(dst, src, bytes, stream);
        cuMemcpyDtoDAsync_v2_ptsz(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) => copy_in(dst, src, bytes, stream);
        cuMemcpyDtoD_v2(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) => copy(dst, src, bytes);
        cuMemcpyDtoD_v2_ptds(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) => copy(dst, src, bytes);
        cuMemcpyDtoH(dst: *mut c_void, src: CUdeviceptr_v1, bytes: c_uint) => submit();
        cuMemcpyDtoHAsync(dst: *mut c_void, src: CUdeviceptr_v1, bytes: c_uint, stream: CUstream) => submit_in(stream);
        cuMemcpyDtoHAsync_v2(dst: *mut c_void, src: CUdeviceptr, bytes: usize, stream: CUstream) => submit_in(stream);
        cuMemcpyDtoHAsync_v2_ptsz(dst: *mut c_void, src: CUdeviceptr, bytes: usize, stream: CUstream) => submit_in(stream);
        cuMemcpyDtoH_v2(dst: *mut c_void, src: CUdeviceptr, bytes: usize) => submit();
        cuMemcpyDtoH_v2_ptds(dst: *mut c_void, src: CUdeviceptr, bytes: usize) => submit();
        cuMemcpyHtoD(dst: CUdeviceptr_v1, src: *const c_void, bytes: c_uint) => submit();
        cuMemcpyHtoDAsync(dst: CUdeviceptr_v1, src: *const c_void, bytes: c_uint, stream: CUstream) => submit_in(stream);
        cuMemcpyHtoDAsync_v2(dst: CUdeviceptr, src: *const c_void, bytes: usize, stream: CUstream) => submit_in(stream);
        cuMemcpyHtoDAsync_v2_ptsz(dst: CUdeviceptr, src: *const c_void, bytes: usize, stream: CUstream) => submit_in(stream);
        cuMemcpyHtoD_v2(dst: CUdeviceptr, src: *const c_void, bytes: usize) => submit();
        cuMemcpyHtoD_v2_ptds(dst: CUdeviceptr, src: *const c_void, bytes: usize) => submit();
        cuMemcpyBatchAsync(dsts: *mut CUdeviceptr, srcs: *mut CUdeviceptr, sizes: *mut usize, count: usize, attrs: *mut CUmemcpyAttributes, attr_indexes: *mut usize, attr_count: usize, failed: *mut usize, stream: CUstream) => submit_in(stream);
        cuMemcpyBatchAsync_ptsz(dsts: *mut CUdeviceptr, srcs: *mut CUdeviceptr, sizes: *mut usize, count: usize, attrs: *mut CUmemcpyAttributes, attr_indexes: *mut usize, attr_count: usize, failed: *mut usize, stream: CUstream) => submit_in(stream);
        cuMemcpyBatchAsync_v2(dsts: *mut CUdeviceptr, srcs: *mut CUdeviceptr, sizes: *mut usize, count: usize, attrs: *mut CUmemcpyAttributes, attr_indexes: *mut usize, attr_count: usize, stream: CUstream) => submit_in(stream);
        cuMemcpyBatchAsync_v2_ptsz(dsts: *mut CUdeviceptr, srcs: *mut CUdeviceptr, sizes: *mut usize, count: usize, attrs: *mut CUmemcpyAttributes, attr_indexes: *mut usize, attr_count: usize, stream: CUstream) => submit_in(stream);
        // --- work: copies from and to arrays -----------------------------------------------------
        cuMemcpyAtoA(dst: CUarray, dst_offset: c_uint, src: CUarray, src_offset: c_uint, bytes: c_uint) => submit();
        cuMemcpyAtoA_v2(dst: CUarray, dst_offset: usize, src: CUarray, src_offset: usize, bytes: usize) => submit();
        cuMemcpyAtoA_v2_ptds(dst: CUarray, dst_offset: usize, src: CUarray, src_offset: usize, bytes: usize) => submit();
        cuMemcpyAtoD(dst: CUdeviceptr_v1, src: CUarray, src_offset: c_uint, bytes: c_uint) => submit();
        cuMemcpyAtoD_v2(dst: CUdeviceptr, src: CUarray, src_offset: usize, bytes: usize) => submit();
        cuMemcpyAtoD_v2_ptds(dst: CUdeviceptr, src: CUarray, src_offset: usize, bytes: usize) => submit();
        cuMemcpyAtoH(dst: *mut c_void, src: CUarray, src_offset: c_uint, bytes: c_uint) => submit();
        cuMemcpyAtoHAsync(dst: *mut c_void, src: CUarray, src_offset: c_uint, bytes: c_uint, stream: CUstream) => submit_in(stream);
        cuMemcpyAtoHAsync_v2(dst: *mut c_void, src: CUarray, src_offset: usize, bytes: usize, stream: CUstream) => submit_in(stream);
        cuMemcpyAtoHAsync_v2_ptsz(dst: *mut c_void, src: CUarray, src_offset: usize, bytes: usize, stream: CUstream) => submit_in(stream);
        cuMemcpyAtoH_v2(dst: *mut c_void, src: CUarray, src_offset: usize, bytes: usize) => submit();
        cuMemcpyAtoH_v2_ptds(dst: *mut c_void, src: CUarray, src_offset: usize, bytes: usize) => submit();
        cuMemcpyDtoA(dst: CUarray, dst_offset: c_uint, src: CUdeviceptr_v1, bytes: c_uint) => submit();
        cuMemcpyDtoA_v2(dst: CUarray, dst_offset: usize, src: CUdeviceptr, bytes: usize) => submit();
        cuMemcpyDtoA_v2_ptds(dst: CUarray, dst_offset: usize, src: CUdeviceptr, bytes: usize) => submit();
        cuMemcpyHtoA(dst: CUarray, dst_offset: c_uint, src: *const c_void, bytes: c_uint) => submit();
        cuMemcpyHtoAAsync(dst: CUarray, dst_offset: c_uint, src: *const c_void, bytes: c_uint, stream: CUstream) => submit_in(stream);
        cuMemcpyHtoAAsync_v2(dst: CUarray, dst_offset: usize, src: *const c_void, bytes: usize, stream: CUstream) => submit_in(stream);
        cuMemcpyHtoAAsync_v2_ptsz(dst: CUarray, dst_offset: usize, src: *const c_void, bytes: usize, stream: CUstream) => submit_in(stream);
        cuMemcpyHtoA_v2(dst: CUarray, dst_offset: usize, src: *const c_void, bytes: usize) => submit();
        cuMemcpyHtoA_v2_ptds(dst: CUarray, dst_offset: usize, src: *const c_void, bytes: usize) => submit();
        // --- work: copies in two and three dimensions --------------------------------------------
        cuMemcpy2D(copy: *const CUDA_MEMCPY2D_v1) => submit();
        cuMemcpy2DAsync(copy: *const CUDA_MEMCPY2D_v1, stream: CUstream) => submit_in(stream);
        cuMemcpy2DAsync_v2(copy: *const CUDA_MEMCPY2D, stream: CUstream) => submit_in(stream);
        cuMemcpy2DAsync_v2_ptsz(copy: *const CUDA_MEMCPY2D, stream: CUstream) => submit_in(stream);
        cuMemcpy2DUnaligned(copy: *const CUDA_MEMCPY2D_v1) => submit();
        cuMemcpy2DUnaligned_v2(copy: *const CUDA_MEMCPY2D) => submit();
        cuMemcpy2DUnaligned_v2_ptds(copy: *const CUDA_MEMCPY2D) => submit();
        cuMemcpy2D_v2(copy: *const CUDA_MEMCPY2D) => submit();
        cuMemcpy2D_v2_ptds(copy: *const CUDA_MEMCPY2D) => submit();
        cuMemcpy3D(copy: *const CUDA_MEMCPY3D_v1) => submit();
        cuMemcpy3DAsync(copy: *const CUDA_MEMCPY3D_v1, stream: CUstream) => submit_in(stream);
        cuMemcpy3DAsync_v2(copy: *const CUDA_MEMCPY3D, stream: CUstream) => submit_in(stream);
        cuMemcpy3DAsync_v2_ptsz(copy: *const CUDA_MEMCPY3D, stream: CUstream) => submit_in(stream);
        cuMemcpy3DBatchAsync(count: usize, ops: *mut CUDA_MEMCPY3D_BATCH_OP, failed: *mut usize, flags: c_ulonglong, stream: CUstream) => submit_in(stream);
        cuMemcpy3DBatchAsync_ptsz(count: usize, ops: *mut CUDA_MEMCPY3D_BATCH_OP, failed: *mut usize, flags: c_ulonglong, stream: CUstream) => submit_in(stream);
        cuMemcpy3DBatchAsync_v2(count: usize, ops: *mut CUDA_MEMCPY3D_BATCH_OP, flags: c_ulonglong, stream: CUstream) => submit_in(stream);
        cuMemcpy3DBatchAsync_v2_ptsz(count: usize, ops: *mut CUDA_MEMCPY3D_BATCH_OP, flags: c_ulonglong, stream: CUstream) => submit_in(stream);
        cuMemcpy3DPeer(copy: *const CUDA_MEMCPY3D_PEER) => submit();
        cuMemcpy3DPeerAsync(copy: *const CUDA_MEMCPY3D_PEER, stream: CUstream) => submit_in(stream);
        cuMemcpy3DPeerAsync_ptsz(copy: *const CUDA_MEMCPY3D_PEER, stream: CUstream) => submit_in(stream);
        cuMemcpy3DPeer_ptds(copy: *const CUDA_MEMCPY3D_PEER) => submit();
        cuMemcpy3D_v2(copy: *const CUDA_MEMCPY3D) => submit();
        cuMemcpy3D_v2_ptds(copy: *const CUDA_MEMCPY3D) => submit();
        // --- work: fills -------------------------------------------------------------------------
        cuMemsetD16(dst: CUdeviceptr_v1, value: c_ushort, n: c_uint) => submit();
        cuMemsetD16Async(dst: CUdeviceptr, value: c_ushort, n: usize, stream: CUstream) => submit_in(stream);
        cuMemsetD16Async_ptsz(dst: CUdeviceptr, value: c_ushort, n: usize, stream: CUstream) => submit_in(stream);
        cuMemsetD16_v2(dst: CUdeviceptr, value: c_ushort, n: usize) => submit();
        cuMemsetD16_v2_ptds(dst: CUdeviceptr, value: c_ushort, n: usize) => submit();
        cuMemsetD32(dst: CUdeviceptr_v1, value: c_uint, n: c_uint) => submit();
        cuMemsetD32Async(dst: CUdeviceptr, value: c_uint, n: usize, stream: CUstream) => submit_in(stream);
        cuMemsetD32Async_ptsz(dst: CUdeviceptr, value: c_uint, n: usize, stream: CUstream) => submit_in(stream);
        cuMemsetD32_v2(dst: CUdeviceptr, value: c_uint, n: usize) => submit();
        cuMemsetD32_v2_ptds(dst: CUdeviceptr, value: c_uint, n: usize) => submit();
        cuMemsetD8(dst: CUdeviceptr_v1, value: c_uchar, n: c_uint) => submit();
        cuMemsetD8Async(dst: CUdeviceptr, value: c_uchar, n: usize, stream: CUstream) => submit_in(stream);
        cuMemsetD8Async_ptsz(dst: CUdeviceptr, value: c_uchar, n: usize, stream: CUstream) => submit_in(stream);
        cuMemsetD8_v2(dst: CUdeviceptr, value: c_uchar, n: usize) => submit();
        cuMemsetD8_v2_ptds(dst: CUdeviceptr, value: c_uchar, n: usize) => submit();
        cuMemsetD2D16(dst: CUdeviceptr_v1, pitch: c_uint, value: c_ushort, width: c_uint, height: c_uint) => submit();
        cuMemsetD2D16Async(dst: CUdeviceptr, pitch: usize, value: c_ushort, width: usize, height: usize, stream: CUstream) => submit_in(stream);
        cuMemsetD2D16Async_ptsz(dst: CUdeviceptr, pitch: usize, value: c_ushort, width: usize, height: usize, stream: CUstream) => submit_in(stream);
        cuMemsetD2D16_v2(dst: CUdeviceptr, pitch: usize, value: c_ushort, width: usize, height: usize) => submit();
        cuMemsetD2D16_v2_ptds(dst: CUdeviceptr, pitch: usize, value: c_ushort, width: usize, height: usize) => submit();
        cuMemsetD2D32(dst: CUdeviceptr_v1, pitch: c_uint, value: c_uint, width: c_uint, height: c_uint) => submit();
        cuMemsetD2D32Async(dst: CUdeviceptr, pitch: usize, value: c_uint, width: usize, height: usize, stream: CUstream) => submit_in(stream);
        cuMemsetD2D32Async_ptsz(dst: CUdeviceptr, pitch: usize, value: c_uint, width: usize, height: usize, stream: CUstream) => submit_in(stream);
        cuMemsetD2D32_v2(dst: CUdeviceptr, pitch: usize, value: c_uint, width: usize, height: usize) => submit();
        cuMemsetD2D32_v2_ptds(dst: CUdeviceptr, pitch: usize, value: c_uint, width: usize, height: usize) => submit();
        cuMemsetD2D8(dst: CUdeviceptr_v1, pitch: c_uint, value: c_uchar, width: c_uint, height: c_uint) => submit();
        cuMemsetD2D8Async(dst: CUdeviceptr, pitch: usize, value: c_uchar, width: usize, height: usize, stream: CUstream) => submit_in(stream);
        cuMemsetD2D8Async_ptsz(dst: CUdeviceptr, pitch: usize, value: c_uchar, width: usize, height: usize, stream: CUstream) => submit_in(stream);
        cuMemsetD2D8_v2(dst: CUdeviceptr, pitch: usize, value: c_uchar, width: usize, height: usize) => submit();
        cuMemsetD2D8_v2_ptds(dst: CUdeviceptr, pitch: usize, value: c_uchar, width: usize, height: usize) => submit();
        // --- unified addressing: questions and advice about managed memory -----------------------
        cuMemAdvise(dptr: CUdeviceptr, count: usize, advice: CUmem_advise, device: CUdevice) => managed_range(dptr, count);
        cuMemAdvise_v2(dptr: CUdeviceptr, count: usize, advice: CUmem_advise, location: CUmemLocation) => managed_range(dptr, count);
        cuMemRangeGetAttribute(data: *mut c_void, size: usize, attribute: CUmem_range_attribute, dptr: CUdeviceptr, count: usize) => managed_range(dptr, count);
        cuMemRangeGetAttributes(data: *mut *mut c_void, sizes: *mut usize, attributes: *mut CUmem_range_attribute, attribute_count: usize, dptr: CUdeviceptr, count: usize) => managed_range(dptr, count);
        // --- work: prefetches of managed memory --------------------------------------------------
        cuMemPrefetchAsync(dptr: CUdeviceptr, count: usize, dst: CUdevice, stream: CUstream) => prefetch(dptr, count, stream);
        cuMemPrefetchAsync_ptsz(dptr: CUdeviceptr, count: usize, dst: CUdevice, stream: CUstream) => prefetch(dptr, count, stream);
        cuMemPrefetchAsync_v2(dptr: CUdeviceptr, count: usize, location: CUmemLocation, flags: c_uint, stream: CUstream) => prefetch(dptr, count, stream);
        cuMemPrefetchAsync_v2_ptsz(dptr: CUdeviceptr, count: usize, location: CUmemLocation, flags: c_uint, stream: CUstream) => prefetch(dptr, count, stream);
        cuMemPrefetchBatchAsync(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, locations: *mut CUmemLocation, location_indexes: *mut usize, location_count: usize, flags: c_ulonglong, stream: CUstream) => managed_ranges(dptrs, sizes, count, stream);
        cuMemPrefetchBatchAsync_ptsz(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, locations: *mut CUmemLocation, location_indexes: *mut usize, location_count: usize, flags: c_ulonglong, stream: CUstream) => managed_ranges(dptrs, sizes, count, stream);
        cuMemDiscardAndPrefetchBatchAsync(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, locations: *mut CUmemLocation, location_indexes: *mut usize, location_count: usize, flags: c_ulonglong, stream: CUstream) => managed_ranges(dptrs, sizes, count, stream);
        cuMemDiscardAndPrefetchBatchAsync_ptsz(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, locations: *mut CUmemLocation, location_indexes: *mut usize, location_count: usize, flags: c_ulonglong, stream: CUstream) => managed_ranges(dptrs, sizes, count, stream);
        cuMemDiscardBatchAsync(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, flags: c_ulonglong, stream: CUstream) => managed_ranges(dptrs, sizes, count, stream);
        cuMemDiscardBatchAsync_ptsz(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, flags: c_ulonglong, stream: CUstream) => managed_ranges(dptrs, sizes, count, stream);
        cuMemBatchDecompressAsync(entries: *mut CUmemDecompressParams, count: usize, flags: c_uint, error_index: *mut usize, stream: CUstream) => submit_in(stream);
        cuMemBatchDecompressAsync_ptsz(entries: *mut CUmemDecompressParams, count: usize, flags: c_uint, error_index: *mut usize, stream: CUstream) => submit_in(stream);
        // --- work: stream memory operations ------------------------------------------------------
        cuStreamWriteValue32(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit_in(stream);
        cuStreamWriteValue32_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit_in(stream);
        cuStreamWriteValue32_v2(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit_in(stream);
        cuStreamWriteValue32_v2_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit_in(stream);
        cuStreamWriteValue64(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit_in(stream);
        cuStreamWriteValue64_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit_in(stream);
        cuStreamWriteValue64_v2(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit_in(stream);
        cuStreamWriteValue64_v2_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit_in(stream);
        cuStreamWaitValue32(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit_in(stream);
        cuStreamWaitValue32_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit_in(stream);
        cuStreamWaitValue32_v2(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit_in(stream);
        cuStreamWaitValue32_v2_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit_in(stream);
        cuStreamWaitValue64(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit_in(stream);
        cuStreamWaitValue64_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit_in(stream);
        cuStreamWaitValue64_v2(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit_in(stream);
        cuStreamWaitValue64_v2_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit_in(stream);
        cuStreamBatchMemOp(stream: CUstream, count: c_uint, ops: *mut CUstreamBatchMemOpParams, flags: c_uint) => submit_in(stream);
        cuStreamBatchMemOp_ptsz(stream: CUstream, count: c_uint, ops: *mut CUstreamBatchMemOpParams, flags: c_uint) => submit_in(stream);
        cuStreamBatchMemOp_v2(stream: CUstream, count: c_uint, ops: *mut CUstreamBatchMemOpParams, flags: c_uint) => submit_in(stream);
        cuStreamBatchMemOp_v2_ptsz(stream: CUstream, count: c_uint, ops: *mut CUstreamBatchMemOpParams, flags: c_uint) => submit_in(stream);
        cuSignalExternalSemaphoresAsync(semaphores: *const CUexternalSemaphore, entries: *const CUDA_EXTERNAL_SEMAPHORE_SIGNAL_PARAMS, count: c_uint, stream: CUstream) => submit_in(stream);
        cuSignalExternalSemaphoresAsync_ptsz(semaphores: *const CUexternalSemaphore, entries: *const CUDA_EXTERNAL_SEMAPHORE_SIGNAL_PARAMS, count: c_uint, stream: CUstream) => submit_in(stream);
        cuWaitExternalSemaphoresAsync(semaphores: *const CUexternalSemaphore, entries: *const CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS, count: c_uint, stream: CUstream) => submit_in(stream);
        cuWaitExternalSemaphoresAsync_ptsz(semaphores: *const CUexternalSemaphore, entries: *const CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS, count: c_uint, stream: CUstream) => submit_in(stream);
        // --- waits, which submit nothing ---------------------------------------------------------
        cuCtxSynchronize() => passthrough();
        cuCtxSynchronize_v2(ctx: CUcontext) => passthrough();
        cuStreamSynchronize(stream: CUstream) => passthrough();
        cuStreamSynchronize_ptsz(stream: CUstream) => passthrough();
        cuEventSynchronize(event: CUevent) => passthrough();
    } };
}

/// Entry points that nobody interposes: the interposer calls some of them, the simulated driver has them all.
///
/// They stand apart because each interposed row costs an application something.
#[rustfmt::skip]
#[macro_export]
macro_rules! cuda_not_interposed {
    ($emit:ident) => { $emit! {
        // --- devices -----------------------------------------------------------------------------
        cuDeviceGet(device: *mut CUdevice, ordinal: c_int) => passthrough();
        cuDeviceGetCount(count: *mut c_int) => passthrough();
        cuDeviceGetName(name: *mut c_char, len: c_int, dev: CUdevice) => passthrough();
        cuDeviceGetUuid(uuid: *mut CUuuid, dev: CUdevice) => passthrough();
        cuDeviceGetUuid_v2(uuid: *mut CUuuid, dev: CUdevice) => passthrough();
        cuDeviceGetAttribute(value: *mut c_int, attribute: CUdevice_attribute, dev: CUdevice) => passthrough();
        cuDeviceComputeCapability(major: *mut c_int, minor: *mut c_int, dev: CUdevice) => passthrough();
        cuDeviceGetPCIBusId(pciBusId: *mut c_char, len: c_int, dev: CUdevice) => passthrough();
        cuDeviceCanAccessPeer(can: *mut c_int, dev: CUdevice, peer: CUdevice) => passthrough();
        cuDevicePrimaryCtxGetState(dev: CUdevice, flags: *mut c_uint, active: *mut c_int) => passthrough();
        // --- contexts ----------------------------------------------------------------------------
        cuCtxGetCurrent(pctx: *mut CUcontext) => passthrough();
        cuCtxSetCurrent(ctx: CUcontext) => passthrough();
        cuCtxPushCurrent(ctx: CUcontext) => passthrough();
        cuCtxPopCurrent(pctx: *mut CUcontext) => passthrough();
        cuCtxPushCurrent_v2(ctx: CUcontext) => passthrough();
        cuCtxPopCurrent_v2(pctx: *mut CUcontext) => passthrough();
        cuCtxGetDevice(device: *mut CUdevice) => passthrough();
        cuCtxRecordEvent(ctx: CUcontext, event: CUevent) => passthrough();
        cuCtxGetApiVersion(ctx: CUcontext, version: *mut c_uint) => passthrough();
        cuCtxGetFlags(flags: *mut c_uint) => passthrough();
        cuCtxGetStreamPriorityRange(leastPriority: *mut c_int, greatestPriority: *mut c_int) => passthrough();
        // --- streams and events ------------------------------------------------------------------
        cuStreamCreate(pstream: *mut CUstream, flags: c_uint) => passthrough();
        cuStreamCreateWithPriority(pstream: *mut CUstream, flags: c_uint, priority: c_int) => passthrough();
        cuStreamQuery(stream: CUstream) => passthrough();
        cuStreamQuery_ptsz(stream: CUstream) => passthrough();
        cuStreamWaitEvent(stream: CUstream, event: CUevent, flags: c_uint) => passthrough();
        cuStreamWaitEvent_ptsz(stream: CUstream, event: CUevent, flags: c_uint) => passthrough();
        cuStreamGetCtx(stream: CUstream, pctx: *mut CUcontext) => passthrough();
        cuStreamGetCtx_ptsz(stream: CUstream, pctx: *mut CUcontext) => passthrough();
        cuEventCreate(pevent: *mut CUevent, flags: c_uint) => passthrough();
        cuEventDestroy(event: CUevent) => passthrough();
        cuEventDestroy_v2(event: CUevent) => passthrough();
        cuEventRecord(event: CUevent, stream: CUstream) => passthrough();
        cuEventRecord_ptsz(event: CUevent, stream: CUstream) => passthrough();
        cuEventRecordWithFlags(event: CUevent, stream: CUstream, flags: c_uint) => passthrough();
        cuEventRecordWithFlags_ptsz(event: CUevent, stream: CUstream, flags: c_uint) => passthrough();
        cuEventQuery(event: CUevent) => passthrough();
        cuEventElapsedTime(milliseconds: *mut c_float, start: CUevent, end: CUevent) => passthrough();
        cuEventElapsedTime_v2(milliseconds: *mut c_float, start: CUevent, end: CUevent) => passthrough();
        cuStreamAddCallback(stream: CUstream, function: CUstreamCallback, data: *mut c_void, flags: c_uint) => passthrough();
        cuStreamAddCallback_ptsz(stream: CUstream, function: CUstreamCallback, data: *mut c_void, flags: c_uint) => passthrough();
        cuStreamAttachMemAsync(stream: CUstream, dptr: CUdeviceptr, bytes: usize, flags: c_uint) => passthrough();
        cuStreamAttachMemAsync_ptsz(stream: CUstream, dptr: CUdeviceptr, bytes: usize, flags: c_uint) => passthrough();
        // --- capture and graphs ------------------------------------------------------------------
        cuThreadExchangeStreamCaptureMode(mode: *mut CUstreamCaptureMode) => passthrough();
        cuStreamIsCapturing(stream: CUstream, capturing: *mut CUstreamCaptureStatus) => passthrough();
        cuStreamIsCapturing_ptsz(stream: CUstream, capturing: *mut CUstreamCaptureStatus) => passthrough();
        cuGraphCreate(graph: *mut CUgraph, flags: c_uint) => passthrough();
        cuGraphAddKernelNode_v2(node: *mut CUgraphNode, graph: CUgraph, after: *const CUgraphNode, count: usize, params: *const CUDA_KERNEL_NODE_PARAMS) => passthrough();
        cuGraphGetNodes(graph: CUgraph, nodes: *mut CUgraphNode, count: *mut usize) => passthrough();
        cuGraphExecDestroy(graph: CUgraphExec) => passthrough();
        cuGraphDestroy(graph: CUgraph) => passthrough();
        // --- modules and kernels -----------------------------------------------------------------
        cuModuleLoad(module: *mut CUmodule, path: *const c_char) => passthrough();
        cuModuleLoadData(module: *mut CUmodule, image: *const c_void) => passthrough();
        cuModuleLoadDataEx(module: *mut CUmodule, image: *const c_void, count: c_uint, options: *mut CUjit_option, values: *mut *mut c_void) => passthrough();
        cuModuleUnload(module: CUmodule) => passthrough();
        cuModuleGetFunction(function: *mut CUfunction, module: CUmodule, name: *const c_char) => passthrough();
        cuModuleGetGlobal_v2(dptr: *mut CUdeviceptr, bytes: *mut usize, module: CUmodule, name: *const c_char) => passthrough();
        cuLibraryLoadData(library: *mut CUlibrary, code: *const c_void, jit_options: *mut CUjit_option, jit_values: *mut *mut c_void, jit_count: c_uint, options: *mut CUlibraryOption, values: *mut *mut c_void, count: c_uint) => passthrough();
        cuLibraryUnload(library: CUlibrary) => passthrough();
        cuLibraryGetKernel(pkernel: *mut CUkernel, library: CUlibrary, name: *const c_char) => passthrough();
        cuKernelGetFunction(function: *mut CUfunction, kernel: CUkernel) => passthrough();
        // --- host memory, pools, unified addressing ----------------------------------------------
        cuMemFreeHost(p: *mut c_void) => passthrough();
        cuMemHostGetFlags(flags: *mut c_uint, p: *mut c_void) => passthrough();
        cuMemHostRegister_v2(p: *mut c_void, bytes: usize, flags: c_uint) => passthrough();
        cuMemHostUnregister(p: *mut c_void) => passthrough();
        cuMemHostGetDevicePointer_v2(dptr: *mut CUdeviceptr, p: *mut c_void, flags: c_uint) => passthrough();
        cuMemGetAllocationGranularity(granularity: *mut usize, prop: *const CUmemAllocationProp, option: CUmemAllocationGranularity_flags) => passthrough();
        cuDeviceGetMemPool(pool: *mut CUmemoryPool, dev: CUdevice) => passthrough();
        cuMemPoolExportToShareableHandle(handle: *mut c_void, pool: CUmemoryPool, kind: CUmemAllocationHandleType, flags: c_ulonglong) => passthrough();
        cuMemPoolImportFromShareableHandle(pool: *mut CUmemoryPool, handle: *mut c_void, kind: CUmemAllocationHandleType, flags: c_ulonglong) => passthrough();
        cuMemPoolExportPointer(data: *mut CUmemPoolPtrExportData, dptr: CUdeviceptr) => passthrough();
        cuMemPoolImportPointer(dptr: *mut CUdeviceptr, pool: CUmemoryPool, data: *mut CUmemPoolPtrExportData) => passthrough();
        cuMemPoolGetAccess(flags: *mut CUmemAccess_flags, pool: CUmemoryPool, location: *mut CUmemLocation) => passthrough();
        cuDeviceGetDefaultMemPool(pool: *mut CUmemoryPool, dev: CUdevice) => passthrough();
        // --- arrays ------------------------------------------------------------------------------
        cuArrayGetDescriptor_v2(desc: *mut CUDA_ARRAY_DESCRIPTOR, array: CUarray) => passthrough();
        cuArray3DGetDescriptor_v2(desc: *mut CUDA_ARRAY3D_DESCRIPTOR, array: CUarray) => passthrough();
        cuTexObjectDestroy(texture: CUtexObject) => passthrough();
        cuMipmappedArrayGetLevel(level: *mut CUarray, array: CUmipmappedArray, number: c_uint) => passthrough();
        // --- IPC ---------------------------------------------------------------------------------
        cuIpcGetEventHandle(handle: *mut CUipcEventHandle, event: CUevent) => passthrough();
        cuIpcOpenEventHandle(event: *mut CUevent, handle: CUipcEventHandle) => passthrough();
        cuMemImportFromShareableHandle(handle: *mut CUmemGenericAllocationHandle, shareable: *mut c_void, kind: CUmemAllocationHandleType) => passthrough();
        // --- error handling ----------------------------------------------------------------------
        cuGetErrorName(error: CUresult, text: *mut *const c_char) => passthrough();
        cuGetErrorString(error: CUresult, text: *mut *const c_char) => passthrough();
    } };
}
