//! The entry points, one full row each: the only place where a driver symbol's name is spelled.
//!
//! `symbol(arg: Type, ...) => policy(args it needs);`
//!
//! Twins (`_v2`, `_ptsz`, `_ptds`) are rows of their own, written out, so that a search for a symbol ends
//! here. Hand a table to a macro of yours: `nvshare_abi::cuda_table!(emit)`. The `policy` column means
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
        // --- birth and lookup --------------------------------------------------------------------
        cuInit(flags: c_uint) => init(flags);
        cuDriverGetVersion(version: *mut c_int) => pass();
        cuGetProcAddress(symbol: *const c_char, pfn: *mut *mut c_void, version: c_int, flags: cuuint64_t) => lookup(symbol, pfn);
        cuGetProcAddress_v2(symbol: *const c_char, pfn: *mut *mut c_void, version: c_int, flags: cuuint64_t, status: *mut CUdriverProcAddressQueryResult) => lookup(symbol, pfn);
        cuGetExportTable(table: *mut *const c_void, id: *const CUuuid) => pass();
        // --- what the application may know of the device -----------------------------------------
        cuDeviceTotalMem_v2(bytes: *mut usize, dev: CUdevice) => device_total(bytes, dev);
        cuMemGetInfo_v2(free: *mut usize, total: *mut usize) => memory_info(free, total);
        // --- contexts ----------------------------------------------------------------------------
        cuCtxCreate(pctx: *mut CUcontext, flags: c_uint, dev: CUdevice) => context_created(pctx, dev);
        cuCtxCreate_v2(pctx: *mut CUcontext, flags: c_uint, dev: CUdevice) => context_created(pctx, dev);
        cuCtxCreate_v3(pctx: *mut CUcontext, entries: *mut CUexecAffinityParam, count: c_int, flags: c_uint, dev: CUdevice) => context_created(pctx, dev);
        cuCtxCreate_v4(pctx: *mut CUcontext, creation: *mut CUctxCreateParams, flags: c_uint, dev: CUdevice) => context_created(pctx, dev);
        cuCtxDestroy(ctx: CUcontext) => context_destroyed(ctx);
        cuCtxDestroy_v2(ctx: CUcontext) => context_destroyed(ctx);
        cuCtxDetach(ctx: CUcontext) => context_destroyed(ctx);
        cuCtxFromGreenCtx(pctx: *mut CUcontext, green: CUgreenCtx) => green_context_entered(pctx, green);
        cuGreenCtxDestroy(green: CUgreenCtx) => green_context_destroyed(green);
        cuDevicePrimaryCtxRetain(pctx: *mut CUcontext, dev: CUdevice) => primary_retained(pctx, dev);
        cuDevicePrimaryCtxRelease(dev: CUdevice) => primary_released(dev);
        cuDevicePrimaryCtxRelease_v2(dev: CUdevice) => primary_released(dev);
        cuDevicePrimaryCtxReset(dev: CUdevice) => primary_reset(dev);
        cuDevicePrimaryCtxReset_v2(dev: CUdevice) => primary_reset(dev);
        cuCtxEnablePeerAccess(peer: CUcontext, flags: c_uint) => peer_enabled(peer);
        cuCtxDisablePeerAccess(peer: CUcontext) => peer_disabled(peer);
        // --- memory: charged to the process, made managed or swappable ---------------------------
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
        cuMemPoolCreate(pool: *mut CUmemoryPool, props: *const CUmemPoolProps) => pool_created(pool, props);
        cuMemPoolDestroy(pool: CUmemoryPool) => pool_destroyed(pool);
        cuMemPoolGetAttribute(pool: CUmemoryPool, attribute: CUmemPool_attribute, value: *mut c_void) => pool_attribute(pool, attribute, value);
        cuMemPoolSetAttribute(pool: CUmemoryPool, attribute: CUmemPool_attribute, value: *mut c_void) => pool_attribute_set(pool, attribute, value);
        cuDeviceSetMemPool(dev: CUdevice, pool: CUmemoryPool) => pool_chosen();
        cuMemSetMemPool(location: *mut CUmemLocation, kind: CUmemAllocationType, pool: CUmemoryPool) => pool_chosen();
        cuMemPoolTrimTo(pool: CUmemoryPool, keep: usize) => pool_trimmed(pool, keep);
        cuMemPoolSetAccess(pool: CUmemoryPool, map: *const CUmemAccessDesc, count: usize) => pool_opened(pool, map, count);
        // --- memory: the host's, which has addresses of the device's
        cuMemHostAlloc(pp: *mut *mut c_void, bytes: usize, flags: c_uint) => addresses_chosen();
        cuMemAllocHost_v2(pp: *mut *mut c_void, bytes: usize) => addresses_chosen();
        // --- memory: physical memory that the application maps itself ----------------------------
        cuMemAddressReserve(ptr: *mut CUdeviceptr, bytes: usize, alignment: usize, addr: CUdeviceptr, flags: c_ulonglong) => addresses_chosen();
        cuMemAddressFree(ptr: CUdeviceptr, bytes: usize) => addresses_freed(ptr, bytes);
        cuMemCreate(handle: *mut CUmemGenericAllocationHandle, bytes: usize, prop: *const CUmemAllocationProp, flags: c_ulonglong) => physical_created(handle, bytes, prop, flags);
        cuMemRelease(handle: CUmemGenericAllocationHandle) => physical_released(handle);
        cuMemMap(ptr: CUdeviceptr, bytes: usize, offset: usize, handle: CUmemGenericAllocationHandle, flags: c_ulonglong) => mapped(ptr, bytes, offset, handle, flags);
        cuMemUnmap(ptr: CUdeviceptr, bytes: usize) => unmapped(ptr, bytes);
        cuMemSetAccess(ptr: CUdeviceptr, bytes: usize, desc: *const CUmemAccessDesc, count: usize) => access_set(ptr, bytes, desc, count);
        cuMemGetAccess(flags: *mut c_ulonglong, location: *const CUmemLocation, ptr: CUdeviceptr) => access_asked(flags, location, ptr);
        cuMemRetainAllocationHandle(handle: *mut CUmemGenericAllocationHandle, addr: *mut c_void) => physical_retained(handle, addr);
        cuMemGetAllocationPropertiesFromHandle(prop: *mut CUmemAllocationProp, handle: CUmemGenericAllocationHandle) => physical_asked(prop, handle);
        cuMemExportToShareableHandle(shareable: *mut c_void, handle: CUmemGenericAllocationHandle, kind: CUmemAllocationHandleType, flags: c_ulonglong) => physical_exported(shareable, handle, kind, flags);
        cuMulticastBindMem(multicast: CUmemGenericAllocationHandle, multicast_offset: usize, handle: CUmemGenericAllocationHandle, offset: usize, bytes: usize, flags: c_ulonglong) => multicast_bound(multicast, multicast_offset, handle, offset, bytes, flags);
        cuMulticastBindAddr(multicast: CUmemGenericAllocationHandle, multicast_offset: usize, ptr: CUdeviceptr, bytes: usize, flags: c_ulonglong) => shared_at(ptr, bytes);
        cuMemGetHandleForAddressRange(handle: *mut c_void, ptr: CUdeviceptr, bytes: usize, kind: CUmemRangeHandleType, flags: c_ulonglong) => shared_at(ptr, bytes);
        // --- memory: arrays, which stay where they are -------------------------------------------
        cuArrayCreate_v2(array: *mut CUarray, desc: *const CUDA_ARRAY_DESCRIPTOR) => array_created(array, desc);
        cuArray3DCreate_v2(array: *mut CUarray, desc: *const CUDA_ARRAY3D_DESCRIPTOR) => array3d_created(array, desc);
        cuArrayDestroy(array: CUarray) => array_destroyed(array);
        cuMipmappedArrayCreate(array: *mut CUmipmappedArray, desc: *const CUDA_ARRAY3D_DESCRIPTOR, levels: c_uint) => mipmap_created(array, desc, levels);
        cuMipmappedArrayDestroy(array: CUmipmappedArray) => mipmap_destroyed(array);
        // --- memory: what is known of an address, and sharing it ---------------------------------
        cuMemGetAddressRange_v2(base: *mut CUdeviceptr, bytes: *mut usize, dptr: CUdeviceptr) => address_range(base, bytes, dptr);
        cuPointerGetAttribute(data: *mut c_void, attribute: CUpointer_attribute, ptr: CUdeviceptr) => pointer_attribute(data, attribute, ptr);
        cuPointerGetAttributes(count: c_uint, attributes: *mut CUpointer_attribute, data: *mut *mut c_void, ptr: CUdeviceptr) => pointer_attributes(count, attributes, data, ptr);
        cuPointerSetAttribute(value: *const c_void, attribute: CUpointer_attribute, ptr: CUdeviceptr) => submit();
        cuIpcGetMemHandle(handle: *mut CUipcMemHandle, dptr: CUdeviceptr) => ipc_exported(handle, dptr);
        cuIpcOpenMemHandle(dptr: *mut CUdeviceptr, handle: CUipcMemHandle, flags: c_uint) => ipc_opened(dptr, handle, flags);
        cuIpcOpenMemHandle_v2(dptr: *mut CUdeviceptr, handle: CUipcMemHandle, flags: c_uint) => ipc_opened(dptr, handle, flags);
        cuIpcCloseMemHandle(dptr: CUdeviceptr) => ipc_closed(dptr);
        // --- streams: what must not be disturbed -------------------------------------------------
        cuStreamBeginCapture(stream: CUstream) => capture_begun(stream);
        cuStreamBeginCapture_ptsz(stream: CUstream) => capture_begun(stream);
        cuStreamBeginCapture_v2(stream: CUstream, mode: CUstreamCaptureMode) => capture_begun(stream);
        cuStreamBeginCapture_v2_ptsz(stream: CUstream, mode: CUstreamCaptureMode) => capture_begun(stream);
        cuStreamBeginCaptureToGraph(stream: CUstream, graph: CUgraph, dependencies: *const CUgraphNode, edges: *const CUgraphEdgeData, count: usize, mode: CUstreamCaptureMode) => capture_begun(stream);
        cuStreamBeginCaptureToGraph_ptsz(stream: CUstream, graph: CUgraph, dependencies: *const CUgraphNode, edges: *const CUgraphEdgeData, count: usize, mode: CUstreamCaptureMode) => capture_begun(stream);
        cuStreamEndCapture(stream: CUstream, graph: *mut CUgraph) => capture_ended(stream);
        cuStreamEndCapture_ptsz(stream: CUstream, graph: *mut CUgraph) => capture_ended(stream);
        cuStreamDestroy(stream: CUstream) => stream_ended(stream);
        cuStreamDestroy_v2(stream: CUstream) => stream_ended(stream);
        // --- graphs and textures: addresses that must be there when they are named ---------------
        cuGraphAddMemcpyNode(node: *mut CUgraphNode, graph: CUgraph, after: *const CUgraphNode, count: usize, params: *const CUDA_MEMCPY3D, ctx: CUcontext) => all_there();
        cuGraphAddMemsetNode(node: *mut CUgraphNode, graph: CUgraph, after: *const CUgraphNode, count: usize, params: *const CUDA_MEMSET_NODE_PARAMS, ctx: CUcontext) => all_there();
        cuGraphAddBatchMemOpNode(node: *mut CUgraphNode, graph: CUgraph, after: *const CUgraphNode, count: usize, params: *const CUDA_BATCH_MEM_OP_NODE_PARAMS) => all_there();
        cuGraphAddNode(node: *mut CUgraphNode, graph: CUgraph, after: *const CUgraphNode, count: usize, params: *mut CUgraphNodeParams) => all_there();
        cuGraphAddNode_v2(node: *mut CUgraphNode, graph: CUgraph, after: *const CUgraphNode, edges: *const CUgraphEdgeData, count: usize, params: *mut CUgraphNodeParams) => all_there();
        cuGraphMemcpyNodeSetParams(node: CUgraphNode, params: *const CUDA_MEMCPY3D) => all_there();
        cuGraphMemsetNodeSetParams(node: CUgraphNode, params: *const CUDA_MEMSET_NODE_PARAMS) => all_there();
        cuGraphBatchMemOpNodeSetParams(node: CUgraphNode, params: *const CUDA_BATCH_MEM_OP_NODE_PARAMS) => all_there();
        cuGraphNodeSetParams(node: CUgraphNode, params: *mut CUgraphNodeParams) => all_there();
        cuGraphExecMemcpyNodeSetParams(exec: CUgraphExec, node: CUgraphNode, params: *const CUDA_MEMCPY3D, ctx: CUcontext) => all_there();
        cuGraphExecMemsetNodeSetParams(exec: CUgraphExec, node: CUgraphNode, params: *const CUDA_MEMSET_NODE_PARAMS, ctx: CUcontext) => all_there();
        cuGraphExecBatchMemOpNodeSetParams(exec: CUgraphExec, node: CUgraphNode, params: *const CUDA_BATCH_MEM_OP_NODE_PARAMS) => all_there();
        cuGraphExecNodeSetParams(exec: CUgraphExec, node: CUgraphNode, params: *mut CUgraphNodeParams) => all_there();
        cuGraphExecUpdate(exec: CUgraphExec, graph: CUgraph, failed: *mut CUgraphNode, result: *mut CUgraphExecUpdateResult) => all_there();
        cuGraphExecUpdate_v2(exec: CUgraphExec, graph: CUgraph, result: *mut CUgraphExecUpdateResultInfo) => all_there();
        cuGraphInstantiate(exec: *mut CUgraphExec, graph: CUgraph, failed: *mut CUgraphNode, log: *mut c_char, bytes: usize) => all_there();
        cuGraphInstantiate_v2(exec: *mut CUgraphExec, graph: CUgraph, failed: *mut CUgraphNode, log: *mut c_char, bytes: usize) => all_there();
        cuGraphInstantiateWithFlags(exec: *mut CUgraphExec, graph: CUgraph, flags: c_ulonglong) => all_there();
        cuGraphInstantiateWithParams(exec: *mut CUgraphExec, graph: CUgraph, params: *mut CUDA_GRAPH_INSTANTIATE_PARAMS) => all_there();
        cuGraphInstantiateWithParams_ptsz(exec: *mut CUgraphExec, graph: CUgraph, params: *mut CUDA_GRAPH_INSTANTIATE_PARAMS) => all_there();
        cuTexObjectCreate(texture: *mut CUtexObject, resource: *const CUDA_RESOURCE_DESC, how: *const CUDA_TEXTURE_DESC, view: *const CUDA_RESOURCE_VIEW_DESC) => all_there();
        cuTexRefSetAddress_v2(offset: *mut usize, texture: CUtexref, dptr: CUdeviceptr, bytes: usize) => all_there();
        cuTexRefSetAddress2D_v2(texture: CUtexref, desc: *const CUDA_ARRAY_DESCRIPTOR, dptr: CUdeviceptr, pitch: usize) => all_there();
        cuTexRefSetAddress2D_v3(texture: CUtexref, desc: *const CUDA_ARRAY_DESCRIPTOR, dptr: CUdeviceptr, pitch: usize) => all_there();
        // --- work: kernels, graphs, host functions -----------------------------------------------
        cuLaunchKernel(f: CUfunction, gx: c_uint, gy: c_uint, gz: c_uint, bx: c_uint, by: c_uint, bz: c_uint, shared: c_uint, stream: CUstream, params: *mut *mut c_void, extra: *mut *mut c_void) => submit_in(stream);
        cuLaunchKernel_ptsz(f: CUfunction, gx: c_uint, gy: c_uint, gz: c_uint, bx: c_uint, by: c_uint, bz: c_uint, shared: c_uint, stream: CUstream, params: *mut *mut c_void, extra: *mut *mut c_void) => submit_in(stream);
        cuLaunchKernelEx(config: *const CUlaunchConfig, f: CUfunction, params: *mut *mut c_void, extra: *mut *mut c_void) => submit_as(config);
        cuLaunchKernelEx_ptsz(config: *const CUlaunchConfig, f: CUfunction, params: *mut *mut c_void, extra: *mut *mut c_void) => submit_as(config);
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
        cuMemcpy(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) => copied(dst, src, bytes);
        cuMemcpyAsync(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) => copied_in(dst, src, bytes, stream);
        cuMemcpyAsync_ptsz(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) => copied_in(dst, src, bytes, stream);
        cuMemcpy_ptds(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) => copied(dst, src, bytes);
        cuMemcpyPeer(dst: CUdeviceptr, dst_ctx: CUcontext, src: CUdeviceptr, src_ctx: CUcontext, bytes: usize) => submit();
        cuMemcpyPeerAsync(dst: CUdeviceptr, dst_ctx: CUcontext, src: CUdeviceptr, src_ctx: CUcontext, bytes: usize, stream: CUstream) => submit_in(stream);
        cuMemcpyPeerAsync_ptsz(dst: CUdeviceptr, dst_ctx: CUcontext, src: CUdeviceptr, src_ctx: CUcontext, bytes: usize, stream: CUstream) => submit_in(stream);
        cuMemcpyPeer_ptds(dst: CUdeviceptr, dst_ctx: CUcontext, src: CUdeviceptr, src_ctx: CUcontext, bytes: usize) => submit();
        cuMemcpyDtoD(dst: CUdeviceptr_v1, src: CUdeviceptr_v1, bytes: c_uint) => submit();
        cuMemcpyDtoDAsync(dst: CUdeviceptr_v1, src: CUdeviceptr_v1, bytes: c_uint, stream: CUstream) => submit_in(stream);
        cuMemcpyDtoDAsync_v2(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) => copied_in(dst, src, bytes, stream);
        cuMemcpyDtoDAsync_v2_ptsz(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) => copied_in(dst, src, bytes, stream);
        cuMemcpyDtoD_v2(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) => copied(dst, src, bytes);
        cuMemcpyDtoD_v2_ptds(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) => copied(dst, src, bytes);
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
        // --- what is asked of managed memory, or advised about it --------------------------------
        cuMemAdvise(dptr: CUdeviceptr, count: usize, advice: CUmem_advise, device: CUdevice) => of_managed(dptr, count);
        cuMemAdvise_v2(dptr: CUdeviceptr, count: usize, advice: CUmem_advise, location: CUmemLocation) => of_managed(dptr, count);
        cuMemRangeGetAttribute(data: *mut c_void, size: usize, attribute: CUmem_range_attribute, dptr: CUdeviceptr, count: usize) => of_managed(dptr, count);
        cuMemRangeGetAttributes(data: *mut *mut c_void, sizes: *mut usize, attributes: *mut CUmem_range_attribute, attribute_count: usize, dptr: CUdeviceptr, count: usize) => of_managed(dptr, count);
        // --- work: moving managed memory ---------------------------------------------------------
        cuMemPrefetchAsync(dptr: CUdeviceptr, count: usize, dst: CUdevice, stream: CUstream) => prefetch(dptr, count, stream);
        cuMemPrefetchAsync_ptsz(dptr: CUdeviceptr, count: usize, dst: CUdevice, stream: CUstream) => prefetch(dptr, count, stream);
        cuMemPrefetchAsync_v2(dptr: CUdeviceptr, count: usize, location: CUmemLocation, flags: c_uint, stream: CUstream) => prefetch(dptr, count, stream);
        cuMemPrefetchAsync_v2_ptsz(dptr: CUdeviceptr, count: usize, location: CUmemLocation, flags: c_uint, stream: CUstream) => prefetch(dptr, count, stream);
        cuMemPrefetchBatchAsync(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, locations: *mut CUmemLocation, location_indexes: *mut usize, location_count: usize, flags: c_ulonglong, stream: CUstream) => managed_batch(dptrs, sizes, count, stream);
        cuMemPrefetchBatchAsync_ptsz(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, locations: *mut CUmemLocation, location_indexes: *mut usize, location_count: usize, flags: c_ulonglong, stream: CUstream) => managed_batch(dptrs, sizes, count, stream);
        cuMemDiscardAndPrefetchBatchAsync(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, locations: *mut CUmemLocation, location_indexes: *mut usize, location_count: usize, flags: c_ulonglong, stream: CUstream) => managed_batch(dptrs, sizes, count, stream);
        cuMemDiscardAndPrefetchBatchAsync_ptsz(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, locations: *mut CUmemLocation, location_indexes: *mut usize, location_count: usize, flags: c_ulonglong, stream: CUstream) => managed_batch(dptrs, sizes, count, stream);
        cuMemDiscardBatchAsync(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, flags: c_ulonglong, stream: CUstream) => managed_batch(dptrs, sizes, count, stream);
        cuMemDiscardBatchAsync_ptsz(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, flags: c_ulonglong, stream: CUstream) => managed_batch(dptrs, sizes, count, stream);
        cuMemBatchDecompressAsync(entries: *mut CUmemDecompressParams, count: usize, flags: c_uint, error_index: *mut usize, stream: CUstream) => submit_in(stream);
        cuMemBatchDecompressAsync_ptsz(entries: *mut CUmemDecompressParams, count: usize, flags: c_uint, error_index: *mut usize, stream: CUstream) => submit_in(stream);
        // --- work: words written and awaited by a stream -----------------------------------------
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
        // --- waits: the device may be idle after these -------------------------------------------
        cuCtxSynchronize() => wait();
        cuCtxSynchronize_v2(ctx: CUcontext) => wait();
        cuStreamSynchronize(stream: CUstream) => wait();
        cuStreamSynchronize_ptsz(stream: CUstream) => wait();
        cuEventSynchronize(event: CUevent) => wait();
    } };
}

/// Entry points that nobody interposes: the interposer calls some of them, the simulated driver has them all.
///
/// They stand apart because each interposed row costs an application something.
#[rustfmt::skip]
#[macro_export]
macro_rules! cuda_more {
    ($emit:ident) => { $emit! {
        // --- devices -----------------------------------------------------------------------------
        cuDeviceGet(device: *mut CUdevice, ordinal: c_int) => pass();
        cuDeviceGetCount(count: *mut c_int) => pass();
        cuDeviceGetName(name: *mut c_char, len: c_int, dev: CUdevice) => pass();
        cuDeviceGetUuid(uuid: *mut CUuuid, dev: CUdevice) => pass();
        cuDeviceGetUuid_v2(uuid: *mut CUuuid, dev: CUdevice) => pass();
        cuDeviceGetAttribute(value: *mut c_int, attribute: CUdevice_attribute, dev: CUdevice) => pass();
        cuDeviceComputeCapability(major: *mut c_int, minor: *mut c_int, dev: CUdevice) => pass();
        cuDeviceGetPCIBusId(pciBusId: *mut c_char, len: c_int, dev: CUdevice) => pass();
        cuDeviceCanAccessPeer(can: *mut c_int, dev: CUdevice, peer: CUdevice) => pass();
        cuDevicePrimaryCtxGetState(dev: CUdevice, flags: *mut c_uint, active: *mut c_int) => pass();
        // --- contexts ----------------------------------------------------------------------------
        cuCtxGetCurrent(pctx: *mut CUcontext) => pass();
        cuCtxSetCurrent(ctx: CUcontext) => pass();
        cuCtxPushCurrent(ctx: CUcontext) => pass();
        cuCtxPopCurrent(pctx: *mut CUcontext) => pass();
        cuCtxPushCurrent_v2(ctx: CUcontext) => pass();
        cuCtxPopCurrent_v2(pctx: *mut CUcontext) => pass();
        cuCtxGetDevice(device: *mut CUdevice) => pass();
        cuCtxRecordEvent(ctx: CUcontext, event: CUevent) => pass();
        cuCtxGetApiVersion(ctx: CUcontext, version: *mut c_uint) => pass();
        cuCtxGetFlags(flags: *mut c_uint) => pass();
        cuCtxGetStreamPriorityRange(leastPriority: *mut c_int, greatestPriority: *mut c_int) => pass();
        // --- streams and events ------------------------------------------------------------------
        cuStreamCreate(pstream: *mut CUstream, flags: c_uint) => pass();
        cuStreamCreateWithPriority(pstream: *mut CUstream, flags: c_uint, priority: c_int) => pass();
        cuStreamQuery(stream: CUstream) => pass();
        cuStreamQuery_ptsz(stream: CUstream) => pass();
        cuStreamWaitEvent(stream: CUstream, event: CUevent, flags: c_uint) => pass();
        cuStreamWaitEvent_ptsz(stream: CUstream, event: CUevent, flags: c_uint) => pass();
        cuStreamGetCtx(stream: CUstream, pctx: *mut CUcontext) => pass();
        cuStreamGetCtx_ptsz(stream: CUstream, pctx: *mut CUcontext) => pass();
        cuEventCreate(pevent: *mut CUevent, flags: c_uint) => pass();
        cuEventDestroy(event: CUevent) => pass();
        cuEventDestroy_v2(event: CUevent) => pass();
        cuEventRecord(event: CUevent, stream: CUstream) => pass();
        cuEventRecord_ptsz(event: CUevent, stream: CUstream) => pass();
        cuEventRecordWithFlags(event: CUevent, stream: CUstream, flags: c_uint) => pass();
        cuEventRecordWithFlags_ptsz(event: CUevent, stream: CUstream, flags: c_uint) => pass();
        cuEventQuery(event: CUevent) => pass();
        cuEventElapsedTime(milliseconds: *mut c_float, start: CUevent, end: CUevent) => pass();
        cuEventElapsedTime_v2(milliseconds: *mut c_float, start: CUevent, end: CUevent) => pass();
        cuStreamAddCallback(stream: CUstream, function: CUstreamCallback, data: *mut c_void, flags: c_uint) => pass();
        cuStreamAddCallback_ptsz(stream: CUstream, function: CUstreamCallback, data: *mut c_void, flags: c_uint) => pass();
        cuStreamAttachMemAsync(stream: CUstream, dptr: CUdeviceptr, bytes: usize, flags: c_uint) => pass();
        cuStreamAttachMemAsync_ptsz(stream: CUstream, dptr: CUdeviceptr, bytes: usize, flags: c_uint) => pass();
        // --- capture and graphs ------------------------------------------------------------------
        cuThreadExchangeStreamCaptureMode(mode: *mut CUstreamCaptureMode) => pass();
        cuStreamIsCapturing(stream: CUstream, capturing: *mut CUstreamCaptureStatus) => pass();
        cuStreamIsCapturing_ptsz(stream: CUstream, capturing: *mut CUstreamCaptureStatus) => pass();
        cuGraphCreate(graph: *mut CUgraph, flags: c_uint) => pass();
        cuGraphAddKernelNode_v2(node: *mut CUgraphNode, graph: CUgraph, after: *const CUgraphNode, count: usize, params: *const CUDA_KERNEL_NODE_PARAMS) => pass();
        cuGraphGetNodes(graph: CUgraph, nodes: *mut CUgraphNode, count: *mut usize) => pass();
        cuGraphExecDestroy(graph: CUgraphExec) => pass();
        cuGraphDestroy(graph: CUgraph) => pass();
        // --- modules and kernels -----------------------------------------------------------------
        cuModuleLoad(module: *mut CUmodule, path: *const c_char) => pass();
        cuModuleLoadData(module: *mut CUmodule, image: *const c_void) => pass();
        cuModuleLoadDataEx(module: *mut CUmodule, image: *const c_void, count: c_uint, options: *mut CUjit_option, values: *mut *mut c_void) => pass();
        cuModuleUnload(module: CUmodule) => pass();
        cuModuleGetFunction(function: *mut CUfunction, module: CUmodule, name: *const c_char) => pass();
        cuModuleGetGlobal_v2(dptr: *mut CUdeviceptr, bytes: *mut usize, module: CUmodule, name: *const c_char) => pass();
        cuLibraryLoadData(library: *mut CUlibrary, code: *const c_void, jit_options: *mut CUjit_option, jit_values: *mut *mut c_void, jit_count: c_uint, options: *mut CUlibraryOption, values: *mut *mut c_void, count: c_uint) => pass();
        cuLibraryUnload(library: CUlibrary) => pass();
        cuLibraryGetKernel(pkernel: *mut CUkernel, library: CUlibrary, name: *const c_char) => pass();
        cuKernelGetFunction(function: *mut CUfunction, kernel: CUkernel) => pass();
        // --- host memory and what is known of an address -----------------------------------------
        cuMemFreeHost(p: *mut c_void) => pass();
        cuMemHostGetFlags(flags: *mut c_uint, p: *mut c_void) => pass();
        cuMemHostRegister_v2(p: *mut c_void, bytes: usize, flags: c_uint) => pass();
        cuMemHostUnregister(p: *mut c_void) => pass();
        cuMemHostGetDevicePointer_v2(dptr: *mut CUdeviceptr, p: *mut c_void, flags: c_uint) => pass();
        cuMemGetAllocationGranularity(granularity: *mut usize, prop: *const CUmemAllocationProp, option: CUmemAllocationGranularity_flags) => pass();
        cuDeviceGetMemPool(pool: *mut CUmemoryPool, dev: CUdevice) => pass();
        cuMemPoolExportToShareableHandle(handle: *mut c_void, pool: CUmemoryPool, kind: CUmemAllocationHandleType, flags: c_ulonglong) => pass();
        cuMemPoolImportFromShareableHandle(pool: *mut CUmemoryPool, handle: *mut c_void, kind: CUmemAllocationHandleType, flags: c_ulonglong) => pass();
        cuMemPoolExportPointer(data: *mut CUmemPoolPtrExportData, dptr: CUdeviceptr) => pass();
        cuMemPoolImportPointer(dptr: *mut CUdeviceptr, pool: CUmemoryPool, data: *mut CUmemPoolPtrExportData) => pass();
        cuMemPoolGetAccess(flags: *mut CUmemAccess_flags, pool: CUmemoryPool, location: *mut CUmemLocation) => pass();
        cuDeviceGetDefaultMemPool(pool: *mut CUmemoryPool, dev: CUdevice) => pass();
        // --- arrays ------------------------------------------------------------------------------
        cuArrayGetDescriptor_v2(desc: *mut CUDA_ARRAY_DESCRIPTOR, array: CUarray) => pass();
        cuArray3DGetDescriptor_v2(desc: *mut CUDA_ARRAY3D_DESCRIPTOR, array: CUarray) => pass();
        cuTexObjectDestroy(texture: CUtexObject) => pass();
        cuMipmappedArrayGetLevel(level: *mut CUarray, array: CUmipmappedArray, number: c_uint) => pass();
        // --- what processes share ----------------------------------------------------------------
        cuIpcGetEventHandle(handle: *mut CUipcEventHandle, event: CUevent) => pass();
        cuIpcOpenEventHandle(event: *mut CUevent, handle: CUipcEventHandle) => pass();
        cuMemImportFromShareableHandle(handle: *mut CUmemGenericAllocationHandle, shareable: *mut c_void, kind: CUmemAllocationHandleType) => pass();
        // --- words for errors --------------------------------------------------------------------
        cuGetErrorName(error: CUresult, text: *mut *const c_char) => pass();
        cuGetErrorString(error: CUresult, text: *mut *const c_char) => pass();
    } };
}
