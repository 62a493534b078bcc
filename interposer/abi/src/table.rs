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
        cuCtxCreate_v2(pctx: *mut CUcontext, flags: c_uint, dev: CUdevice) => context_created(pctx, dev);
        cuCtxCreate_v3(pctx: *mut CUcontext, entries: *mut CUexecAffinityParam, count: c_int, flags: c_uint, dev: CUdevice) => context_created(pctx, dev);
        cuCtxCreate_v4(pctx: *mut CUcontext, creation: *mut CUctxCreateParams, flags: c_uint, dev: CUdevice) => context_created(pctx, dev);
        cuCtxDestroy_v2(ctx: CUcontext) => context_destroyed(ctx);
        cuDevicePrimaryCtxRetain(pctx: *mut CUcontext, dev: CUdevice) => primary_retained(pctx, dev);
        cuDevicePrimaryCtxRelease(dev: CUdevice) => primary_released(dev);
        cuDevicePrimaryCtxRelease_v2(dev: CUdevice) => primary_released(dev);
        cuDevicePrimaryCtxReset(dev: CUdevice) => primary_reset(dev);
        cuDevicePrimaryCtxReset_v2(dev: CUdevice) => primary_reset(dev);
        // --- memory: charged to the process, made managed or swappable ---------------------------
        cuMemAlloc_v2(dptr: *mut CUdeviceptr, bytes: usize) => allocate(dptr, bytes);
        cuMemAllocPitch_v2(dptr: *mut CUdeviceptr, pitch: *mut usize, width: usize, height: usize, element: c_uint) => allocate_pitch(dptr, pitch, width, height, element);
        cuMemAllocManaged(dptr: *mut CUdeviceptr, bytes: usize, flags: c_uint) => allocate_managed(dptr, bytes, flags);
        cuMemFree_v2(dptr: CUdeviceptr) => free(dptr);
        // --- work: kernels, graphs, host functions -----------------------------------------------
        cuLaunchKernel(f: CUfunction, gx: c_uint, gy: c_uint, gz: c_uint, bx: c_uint, by: c_uint, bz: c_uint, shared: c_uint, stream: CUstream, params: *mut *mut c_void, extra: *mut *mut c_void) => submit();
        cuLaunchKernel_ptsz(f: CUfunction, gx: c_uint, gy: c_uint, gz: c_uint, bx: c_uint, by: c_uint, bz: c_uint, shared: c_uint, stream: CUstream, params: *mut *mut c_void, extra: *mut *mut c_void) => submit();
        cuLaunchKernelEx(config: *const CUlaunchConfig, f: CUfunction, params: *mut *mut c_void, extra: *mut *mut c_void) => submit();
        cuLaunchKernelEx_ptsz(config: *const CUlaunchConfig, f: CUfunction, params: *mut *mut c_void, extra: *mut *mut c_void) => submit();
        cuLaunchCooperativeKernel(f: CUfunction, gx: c_uint, gy: c_uint, gz: c_uint, bx: c_uint, by: c_uint, bz: c_uint, shared: c_uint, stream: CUstream, params: *mut *mut c_void) => submit();
        cuLaunchCooperativeKernelMultiDevice(launches: *mut CUDA_LAUNCH_PARAMS, devices: c_uint, flags: c_uint) => submit();
        cuLaunchCooperativeKernel_ptsz(f: CUfunction, gx: c_uint, gy: c_uint, gz: c_uint, bx: c_uint, by: c_uint, bz: c_uint, shared: c_uint, stream: CUstream, params: *mut *mut c_void) => submit();
        cuGraphLaunch(graph: CUgraphExec, stream: CUstream) => submit();
        cuGraphLaunch_ptsz(graph: CUgraphExec, stream: CUstream) => submit();
        cuGraphUpload(graph: CUgraphExec, stream: CUstream) => submit();
        cuGraphUpload_ptsz(graph: CUgraphExec, stream: CUstream) => submit();
        cuLaunchHostFunc(stream: CUstream, function: CUhostFn, user_data: *mut c_void) => submit();
        cuLaunchHostFunc_ptsz(stream: CUstream, function: CUhostFn, user_data: *mut c_void) => submit();
        cuLaunch(f: CUfunction) => submit();
        cuLaunchGrid(f: CUfunction, width: c_int, height: c_int) => submit();
        cuLaunchGridAsync(f: CUfunction, width: c_int, height: c_int, stream: CUstream) => submit();
        // --- work: linear copies -----------------------------------------------------------------
        cuMemcpy(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) => submit();
        cuMemcpyAsync(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) => submit();
        cuMemcpyAsync_ptsz(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) => submit();
        cuMemcpy_ptds(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) => submit();
        cuMemcpyPeer(dst: CUdeviceptr, dst_ctx: CUcontext, src: CUdeviceptr, src_ctx: CUcontext, bytes: usize) => submit();
        cuMemcpyPeerAsync(dst: CUdeviceptr, dst_ctx: CUcontext, src: CUdeviceptr, src_ctx: CUcontext, bytes: usize, stream: CUstream) => submit();
        cuMemcpyPeerAsync_ptsz(dst: CUdeviceptr, dst_ctx: CUcontext, src: CUdeviceptr, src_ctx: CUcontext, bytes: usize, stream: CUstream) => submit();
        cuMemcpyPeer_ptds(dst: CUdeviceptr, dst_ctx: CUcontext, src: CUdeviceptr, src_ctx: CUcontext, bytes: usize) => submit();
        cuMemcpyDtoD(dst: CUdeviceptr_v1, src: CUdeviceptr_v1, bytes: c_uint) => submit();
        cuMemcpyDtoDAsync(dst: CUdeviceptr_v1, src: CUdeviceptr_v1, bytes: c_uint, stream: CUstream) => submit();
        cuMemcpyDtoDAsync_v2(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) => submit();
        cuMemcpyDtoDAsync_v2_ptsz(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize, stream: CUstream) => submit();
        cuMemcpyDtoD_v2(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) => submit();
        cuMemcpyDtoD_v2_ptds(dst: CUdeviceptr, src: CUdeviceptr, bytes: usize) => submit();
        cuMemcpyDtoH(dst: *mut c_void, src: CUdeviceptr_v1, bytes: c_uint) => submit();
        cuMemcpyDtoHAsync(dst: *mut c_void, src: CUdeviceptr_v1, bytes: c_uint, stream: CUstream) => submit();
        cuMemcpyDtoHAsync_v2(dst: *mut c_void, src: CUdeviceptr, bytes: usize, stream: CUstream) => submit();
        cuMemcpyDtoHAsync_v2_ptsz(dst: *mut c_void, src: CUdeviceptr, bytes: usize, stream: CUstream) => submit();
        cuMemcpyDtoH_v2(dst: *mut c_void, src: CUdeviceptr, bytes: usize) => submit();
        cuMemcpyDtoH_v2_ptds(dst: *mut c_void, src: CUdeviceptr, bytes: usize) => submit();
        cuMemcpyHtoD(dst: CUdeviceptr_v1, src: *const c_void, bytes: c_uint) => submit();
        cuMemcpyHtoDAsync(dst: CUdeviceptr_v1, src: *const c_void, bytes: c_uint, stream: CUstream) => submit();
        cuMemcpyHtoDAsync_v2(dst: CUdeviceptr, src: *const c_void, bytes: usize, stream: CUstream) => submit();
        cuMemcpyHtoDAsync_v2_ptsz(dst: CUdeviceptr, src: *const c_void, bytes: usize, stream: CUstream) => submit();
        cuMemcpyHtoD_v2(dst: CUdeviceptr, src: *const c_void, bytes: usize) => submit();
        cuMemcpyHtoD_v2_ptds(dst: CUdeviceptr, src: *const c_void, bytes: usize) => submit();
        cuMemcpyBatchAsync(dsts: *mut CUdeviceptr, srcs: *mut CUdeviceptr, sizes: *mut usize, count: usize, attrs: *mut CUmemcpyAttributes, attr_indexes: *mut usize, attr_count: usize, failed: *mut usize, stream: CUstream) => submit();
        cuMemcpyBatchAsync_ptsz(dsts: *mut CUdeviceptr, srcs: *mut CUdeviceptr, sizes: *mut usize, count: usize, attrs: *mut CUmemcpyAttributes, attr_indexes: *mut usize, attr_count: usize, failed: *mut usize, stream: CUstream) => submit();
        cuMemcpyBatchAsync_v2(dsts: *mut CUdeviceptr, srcs: *mut CUdeviceptr, sizes: *mut usize, count: usize, attrs: *mut CUmemcpyAttributes, attr_indexes: *mut usize, attr_count: usize, stream: CUstream) => submit();
        cuMemcpyBatchAsync_v2_ptsz(dsts: *mut CUdeviceptr, srcs: *mut CUdeviceptr, sizes: *mut usize, count: usize, attrs: *mut CUmemcpyAttributes, attr_indexes: *mut usize, attr_count: usize, stream: CUstream) => submit();
        // --- work: copies from and to arrays -----------------------------------------------------
        cuMemcpyAtoA(dst: CUarray, dst_offset: c_uint, src: CUarray, src_offset: c_uint, bytes: c_uint) => submit();
        cuMemcpyAtoA_v2(dst: CUarray, dst_offset: usize, src: CUarray, src_offset: usize, bytes: usize) => submit();
        cuMemcpyAtoA_v2_ptds(dst: CUarray, dst_offset: usize, src: CUarray, src_offset: usize, bytes: usize) => submit();
        cuMemcpyAtoD(dst: CUdeviceptr_v1, src: CUarray, src_offset: c_uint, bytes: c_uint) => submit();
        cuMemcpyAtoD_v2(dst: CUdeviceptr, src: CUarray, src_offset: usize, bytes: usize) => submit();
        cuMemcpyAtoD_v2_ptds(dst: CUdeviceptr, src: CUarray, src_offset: usize, bytes: usize) => submit();
        cuMemcpyAtoH(dst: *mut c_void, src: CUarray, src_offset: c_uint, bytes: c_uint) => submit();
        cuMemcpyAtoHAsync(dst: *mut c_void, src: CUarray, src_offset: c_uint, bytes: c_uint, stream: CUstream) => submit();
        cuMemcpyAtoHAsync_v2(dst: *mut c_void, src: CUarray, src_offset: usize, bytes: usize, stream: CUstream) => submit();
        cuMemcpyAtoHAsync_v2_ptsz(dst: *mut c_void, src: CUarray, src_offset: usize, bytes: usize, stream: CUstream) => submit();
        cuMemcpyAtoH_v2(dst: *mut c_void, src: CUarray, src_offset: usize, bytes: usize) => submit();
        cuMemcpyAtoH_v2_ptds(dst: *mut c_void, src: CUarray, src_offset: usize, bytes: usize) => submit();
        cuMemcpyDtoA(dst: CUarray, dst_offset: c_uint, src: CUdeviceptr_v1, bytes: c_uint) => submit();
        cuMemcpyDtoA_v2(dst: CUarray, dst_offset: usize, src: CUdeviceptr, bytes: usize) => submit();
        cuMemcpyDtoA_v2_ptds(dst: CUarray, dst_offset: usize, src: CUdeviceptr, bytes: usize) => submit();
        cuMemcpyHtoA(dst: CUarray, dst_offset: c_uint, src: *const c_void, bytes: c_uint) => submit();
        cuMemcpyHtoAAsync(dst: CUarray, dst_offset: c_uint, src: *const c_void, bytes: c_uint, stream: CUstream) => submit();
        cuMemcpyHtoAAsync_v2(dst: CUarray, dst_offset: usize, src: *const c_void, bytes: usize, stream: CUstream) => submit();
        cuMemcpyHtoAAsync_v2_ptsz(dst: CUarray, dst_offset: usize, src: *const c_void, bytes: usize, stream: CUstream) => submit();
        cuMemcpyHtoA_v2(dst: CUarray, dst_offset: usize, src: *const c_void, bytes: usize) => submit();
        cuMemcpyHtoA_v2_ptds(dst: CUarray, dst_offset: usize, src: *const c_void, bytes: usize) => submit();
        // --- work: copies in two and three dimensions --------------------------------------------
        cuMemcpy2D(copy: *const CUDA_MEMCPY2D_v1) => submit();
        cuMemcpy2DAsync(copy: *const CUDA_MEMCPY2D_v1, stream: CUstream) => submit();
        cuMemcpy2DAsync_v2(copy: *const CUDA_MEMCPY2D, stream: CUstream) => submit();
        cuMemcpy2DAsync_v2_ptsz(copy: *const CUDA_MEMCPY2D, stream: CUstream) => submit();
        cuMemcpy2DUnaligned(copy: *const CUDA_MEMCPY2D_v1) => submit();
        cuMemcpy2DUnaligned_v2(copy: *const CUDA_MEMCPY2D) => submit();
        cuMemcpy2DUnaligned_v2_ptds(copy: *const CUDA_MEMCPY2D) => submit();
        cuMemcpy2D_v2(copy: *const CUDA_MEMCPY2D) => submit();
        cuMemcpy2D_v2_ptds(copy: *const CUDA_MEMCPY2D) => submit();
        cuMemcpy3D(copy: *const CUDA_MEMCPY3D_v1) => submit();
        cuMemcpy3DAsync(copy: *const CUDA_MEMCPY3D_v1, stream: CUstream) => submit();
        cuMemcpy3DAsync_v2(copy: *const CUDA_MEMCPY3D, stream: CUstream) => submit();
        cuMemcpy3DAsync_v2_ptsz(copy: *const CUDA_MEMCPY3D, stream: CUstream) => submit();
        cuMemcpy3DBatchAsync(count: usize, ops: *mut CUDA_MEMCPY3D_BATCH_OP, failed: *mut usize, flags: c_ulonglong, stream: CUstream) => submit();
        cuMemcpy3DBatchAsync_ptsz(count: usize, ops: *mut CUDA_MEMCPY3D_BATCH_OP, failed: *mut usize, flags: c_ulonglong, stream: CUstream) => submit();
        cuMemcpy3DBatchAsync_v2(count: usize, ops: *mut CUDA_MEMCPY3D_BATCH_OP, flags: c_ulonglong, stream: CUstream) => submit();
        cuMemcpy3DBatchAsync_v2_ptsz(count: usize, ops: *mut CUDA_MEMCPY3D_BATCH_OP, flags: c_ulonglong, stream: CUstream) => submit();
        cuMemcpy3DPeer(copy: *const CUDA_MEMCPY3D_PEER) => submit();
        cuMemcpy3DPeerAsync(copy: *const CUDA_MEMCPY3D_PEER, stream: CUstream) => submit();
        cuMemcpy3DPeerAsync_ptsz(copy: *const CUDA_MEMCPY3D_PEER, stream: CUstream) => submit();
        cuMemcpy3DPeer_ptds(copy: *const CUDA_MEMCPY3D_PEER) => submit();
        cuMemcpy3D_v2(copy: *const CUDA_MEMCPY3D) => submit();
        cuMemcpy3D_v2_ptds(copy: *const CUDA_MEMCPY3D) => submit();
        // --- work: fills -------------------------------------------------------------------------
        cuMemsetD16(dst: CUdeviceptr_v1, value: c_ushort, n: c_uint) => submit();
        cuMemsetD16Async(dst: CUdeviceptr, value: c_ushort, n: usize, stream: CUstream) => submit();
        cuMemsetD16Async_ptsz(dst: CUdeviceptr, value: c_ushort, n: usize, stream: CUstream) => submit();
        cuMemsetD16_v2(dst: CUdeviceptr, value: c_ushort, n: usize) => submit();
        cuMemsetD16_v2_ptds(dst: CUdeviceptr, value: c_ushort, n: usize) => submit();
        cuMemsetD32(dst: CUdeviceptr_v1, value: c_uint, n: c_uint) => submit();
        cuMemsetD32Async(dst: CUdeviceptr, value: c_uint, n: usize, stream: CUstream) => submit();
        cuMemsetD32Async_ptsz(dst: CUdeviceptr, value: c_uint, n: usize, stream: CUstream) => submit();
        cuMemsetD32_v2(dst: CUdeviceptr, value: c_uint, n: usize) => submit();
        cuMemsetD32_v2_ptds(dst: CUdeviceptr, value: c_uint, n: usize) => submit();
        cuMemsetD8(dst: CUdeviceptr_v1, value: c_uchar, n: c_uint) => submit();
        cuMemsetD8Async(dst: CUdeviceptr, value: c_uchar, n: usize, stream: CUstream) => submit();
        cuMemsetD8Async_ptsz(dst: CUdeviceptr, value: c_uchar, n: usize, stream: CUstream) => submit();
        cuMemsetD8_v2(dst: CUdeviceptr, value: c_uchar, n: usize) => submit();
        cuMemsetD8_v2_ptds(dst: CUdeviceptr, value: c_uchar, n: usize) => submit();
        cuMemsetD2D16(dst: CUdeviceptr_v1, pitch: c_uint, value: c_ushort, width: c_uint, height: c_uint) => submit();
        cuMemsetD2D16Async(dst: CUdeviceptr, pitch: usize, value: c_ushort, width: usize, height: usize, stream: CUstream) => submit();
        cuMemsetD2D16Async_ptsz(dst: CUdeviceptr, pitch: usize, value: c_ushort, width: usize, height: usize, stream: CUstream) => submit();
        cuMemsetD2D16_v2(dst: CUdeviceptr, pitch: usize, value: c_ushort, width: usize, height: usize) => submit();
        cuMemsetD2D16_v2_ptds(dst: CUdeviceptr, pitch: usize, value: c_ushort, width: usize, height: usize) => submit();
        cuMemsetD2D32(dst: CUdeviceptr_v1, pitch: c_uint, value: c_uint, width: c_uint, height: c_uint) => submit();
        cuMemsetD2D32Async(dst: CUdeviceptr, pitch: usize, value: c_uint, width: usize, height: usize, stream: CUstream) => submit();
        cuMemsetD2D32Async_ptsz(dst: CUdeviceptr, pitch: usize, value: c_uint, width: usize, height: usize, stream: CUstream) => submit();
        cuMemsetD2D32_v2(dst: CUdeviceptr, pitch: usize, value: c_uint, width: usize, height: usize) => submit();
        cuMemsetD2D32_v2_ptds(dst: CUdeviceptr, pitch: usize, value: c_uint, width: usize, height: usize) => submit();
        cuMemsetD2D8(dst: CUdeviceptr_v1, pitch: c_uint, value: c_uchar, width: c_uint, height: c_uint) => submit();
        cuMemsetD2D8Async(dst: CUdeviceptr, pitch: usize, value: c_uchar, width: usize, height: usize, stream: CUstream) => submit();
        cuMemsetD2D8Async_ptsz(dst: CUdeviceptr, pitch: usize, value: c_uchar, width: usize, height: usize, stream: CUstream) => submit();
        cuMemsetD2D8_v2(dst: CUdeviceptr, pitch: usize, value: c_uchar, width: usize, height: usize) => submit();
        cuMemsetD2D8_v2_ptds(dst: CUdeviceptr, pitch: usize, value: c_uchar, width: usize, height: usize) => submit();
        // --- work: moving managed memory ---------------------------------------------------------
        cuMemPrefetchAsync(dptr: CUdeviceptr, count: usize, dst: CUdevice, stream: CUstream) => submit();
        cuMemPrefetchAsync_ptsz(dptr: CUdeviceptr, count: usize, dst: CUdevice, stream: CUstream) => submit();
        cuMemPrefetchAsync_v2(dptr: CUdeviceptr, count: usize, location: CUmemLocation, flags: c_uint, stream: CUstream) => submit();
        cuMemPrefetchAsync_v2_ptsz(dptr: CUdeviceptr, count: usize, location: CUmemLocation, flags: c_uint, stream: CUstream) => submit();
        cuMemPrefetchBatchAsync(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, locations: *mut CUmemLocation, location_indexes: *mut usize, location_count: usize, flags: c_ulonglong, stream: CUstream) => submit();
        cuMemPrefetchBatchAsync_ptsz(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, locations: *mut CUmemLocation, location_indexes: *mut usize, location_count: usize, flags: c_ulonglong, stream: CUstream) => submit();
        cuMemDiscardAndPrefetchBatchAsync(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, locations: *mut CUmemLocation, location_indexes: *mut usize, location_count: usize, flags: c_ulonglong, stream: CUstream) => submit();
        cuMemDiscardAndPrefetchBatchAsync_ptsz(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, locations: *mut CUmemLocation, location_indexes: *mut usize, location_count: usize, flags: c_ulonglong, stream: CUstream) => submit();
        cuMemDiscardBatchAsync(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, flags: c_ulonglong, stream: CUstream) => submit();
        cuMemDiscardBatchAsync_ptsz(dptrs: *mut CUdeviceptr, sizes: *mut usize, count: usize, flags: c_ulonglong, stream: CUstream) => submit();
        cuMemBatchDecompressAsync(entries: *mut CUmemDecompressParams, count: usize, flags: c_uint, error_index: *mut usize, stream: CUstream) => submit();
        cuMemBatchDecompressAsync_ptsz(entries: *mut CUmemDecompressParams, count: usize, flags: c_uint, error_index: *mut usize, stream: CUstream) => submit();
        // --- work: words written and awaited by a stream -----------------------------------------
        cuStreamWriteValue32(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit();
        cuStreamWriteValue32_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit();
        cuStreamWriteValue32_v2(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit();
        cuStreamWriteValue32_v2_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit();
        cuStreamWriteValue64(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit();
        cuStreamWriteValue64_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit();
        cuStreamWriteValue64_v2(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit();
        cuStreamWriteValue64_v2_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit();
        cuStreamWaitValue32(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit();
        cuStreamWaitValue32_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit();
        cuStreamWaitValue32_v2(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit();
        cuStreamWaitValue32_v2_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint32_t, flags: c_uint) => submit();
        cuStreamWaitValue64(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit();
        cuStreamWaitValue64_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit();
        cuStreamWaitValue64_v2(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit();
        cuStreamWaitValue64_v2_ptsz(stream: CUstream, addr: CUdeviceptr, value: cuuint64_t, flags: c_uint) => submit();
        cuStreamBatchMemOp(stream: CUstream, count: c_uint, ops: *mut CUstreamBatchMemOpParams, flags: c_uint) => submit();
        cuStreamBatchMemOp_ptsz(stream: CUstream, count: c_uint, ops: *mut CUstreamBatchMemOpParams, flags: c_uint) => submit();
        cuStreamBatchMemOp_v2(stream: CUstream, count: c_uint, ops: *mut CUstreamBatchMemOpParams, flags: c_uint) => submit();
        cuStreamBatchMemOp_v2_ptsz(stream: CUstream, count: c_uint, ops: *mut CUstreamBatchMemOpParams, flags: c_uint) => submit();
        cuSignalExternalSemaphoresAsync(semaphores: *const CUexternalSemaphore, entries: *const CUDA_EXTERNAL_SEMAPHORE_SIGNAL_PARAMS, count: c_uint, stream: CUstream) => submit();
        cuSignalExternalSemaphoresAsync_ptsz(semaphores: *const CUexternalSemaphore, entries: *const CUDA_EXTERNAL_SEMAPHORE_SIGNAL_PARAMS, count: c_uint, stream: CUstream) => submit();
        cuWaitExternalSemaphoresAsync(semaphores: *const CUexternalSemaphore, entries: *const CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS, count: c_uint, stream: CUstream) => submit();
        cuWaitExternalSemaphoresAsync_ptsz(semaphores: *const CUexternalSemaphore, entries: *const CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS, count: c_uint, stream: CUstream) => submit();
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
        cuDevicePrimaryCtxGetState(dev: CUdevice, flags: *mut c_uint, active: *mut c_int) => pass();
        // --- contexts ----------------------------------------------------------------------------
        cuCtxGetCurrent(pctx: *mut CUcontext) => pass();
        cuCtxSetCurrent(ctx: CUcontext) => pass();
        cuCtxPushCurrent_v2(ctx: CUcontext) => pass();
        cuCtxPopCurrent_v2(pctx: *mut CUcontext) => pass();
        cuCtxGetDevice(device: *mut CUdevice) => pass();
        cuCtxGetApiVersion(ctx: CUcontext, version: *mut c_uint) => pass();
        cuCtxGetFlags(flags: *mut c_uint) => pass();
        cuCtxGetStreamPriorityRange(leastPriority: *mut c_int, greatestPriority: *mut c_int) => pass();
        // --- streams and events ------------------------------------------------------------------
        cuStreamCreate(pstream: *mut CUstream, flags: c_uint) => pass();
        cuStreamCreateWithPriority(pstream: *mut CUstream, flags: c_uint, priority: c_int) => pass();
        cuStreamDestroy_v2(stream: CUstream) => pass();
        cuStreamQuery(stream: CUstream) => pass();
        cuStreamQuery_ptsz(stream: CUstream) => pass();
        cuStreamWaitEvent(stream: CUstream, event: CUevent, flags: c_uint) => pass();
        cuStreamWaitEvent_ptsz(stream: CUstream, event: CUevent, flags: c_uint) => pass();
        cuStreamGetCtx(stream: CUstream, pctx: *mut CUcontext) => pass();
        cuStreamGetCtx_ptsz(stream: CUstream, pctx: *mut CUcontext) => pass();
        cuEventCreate(pevent: *mut CUevent, flags: c_uint) => pass();
        cuEventDestroy_v2(event: CUevent) => pass();
        cuEventRecord(event: CUevent, stream: CUstream) => pass();
        cuEventRecord_ptsz(event: CUevent, stream: CUstream) => pass();
        cuEventRecordWithFlags(event: CUevent, stream: CUstream, flags: c_uint) => pass();
        cuEventRecordWithFlags_ptsz(event: CUevent, stream: CUstream, flags: c_uint) => pass();
        cuEventQuery(event: CUevent) => pass();
        cuEventElapsedTime(milliseconds: *mut c_float, start: CUevent, end: CUevent) => pass();
        cuEventElapsedTime_v2(milliseconds: *mut c_float, start: CUevent, end: CUevent) => pass();
        // --- capture and graphs ------------------------------------------------------------------
        cuThreadExchangeStreamCaptureMode(mode: *mut CUstreamCaptureMode) => pass();
        cuStreamBeginCapture_v2(stream: CUstream, mode: CUstreamCaptureMode) => pass();
        cuStreamBeginCapture_v2_ptsz(stream: CUstream, mode: CUstreamCaptureMode) => pass();
        cuStreamEndCapture(stream: CUstream, graph: *mut CUgraph) => pass();
        cuStreamEndCapture_ptsz(stream: CUstream, graph: *mut CUgraph) => pass();
        cuStreamIsCapturing(stream: CUstream, capturing: *mut CUstreamCaptureStatus) => pass();
        cuStreamIsCapturing_ptsz(stream: CUstream, capturing: *mut CUstreamCaptureStatus) => pass();
        cuGraphInstantiateWithFlags(exec: *mut CUgraphExec, graph: CUgraph, flags: c_ulonglong) => pass();
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
        cuMemHostAlloc(pp: *mut *mut c_void, bytes: usize, flags: c_uint) => pass();
        cuMemAllocHost_v2(pp: *mut *mut c_void, bytes: usize) => pass();
        cuMemFreeHost(p: *mut c_void) => pass();
        cuMemHostRegister_v2(p: *mut c_void, bytes: usize, flags: c_uint) => pass();
        cuMemHostUnregister(p: *mut c_void) => pass();
        cuMemHostGetDevicePointer_v2(dptr: *mut CUdeviceptr, p: *mut c_void, flags: c_uint) => pass();
        cuPointerGetAttribute(data: *mut c_void, attribute: CUpointer_attribute, ptr: CUdeviceptr) => pass();
        cuPointerGetAttributes(count: c_uint, attributes: *mut CUpointer_attribute, data: *mut *mut c_void, ptr: CUdeviceptr) => pass();
        cuMemGetAddressRange_v2(base: *mut CUdeviceptr, size: *mut usize, dptr: CUdeviceptr) => pass();
        cuMemAdvise(dptr: CUdeviceptr, count: usize, advice: CUmem_advise, device: CUdevice) => pass();
        cuMemAdvise_v2(dptr: CUdeviceptr, count: usize, advice: CUmem_advise, location: CUmemLocation) => pass();
        cuMemRangeGetAttribute(data: *mut c_void, size: usize, attribute: CUmem_range_attribute, dptr: CUdeviceptr, count: usize) => pass();
        // --- words for errors --------------------------------------------------------------------
        cuGetErrorName(error: CUresult, text: *mut *const c_char) => pass();
        cuGetErrorString(error: CUresult, text: *mut *const c_char) => pass();
    } };
}
