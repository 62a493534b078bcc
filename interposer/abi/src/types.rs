//! The types that occur in the table.
//!
//! Handles and structures of CUDA 10.2 come from `cuda-driver-sys`. Enumerations are plain integers here, for
//! the same reason as [`CUresult`](crate::CUresult): the application or a newer driver may pass values that
//! CUDA 10.2 did not have. What only passes through us behind a pointer is opaque.
#![allow(non_camel_case_types, non_snake_case)] // NVIDIA's names

pub use core::ffi::{c_char, c_float, c_int, c_longlong, c_uchar, c_uint, c_ulonglong, c_ushort, c_void};

pub use cuda_driver_sys::{
    CUDA_ARRAY_DESCRIPTOR, CUDA_ARRAY3D_DESCRIPTOR, CUDA_EXTERNAL_SEMAPHORE_SIGNAL_PARAMS,
    CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS, CUDA_KERNEL_NODE_PARAMS, CUDA_LAUNCH_PARAMS, CUDA_MEMCPY2D,
    CUDA_MEMCPY3D, CUDA_MEMCPY3D_PEER, CUDA_MEMSET_NODE_PARAMS, CUDA_RESOURCE_DESC, CUDA_RESOURCE_VIEW_DESC,
    CUDA_TEXTURE_DESC, CUarray, CUcontext, CUdevice, CUdeviceptr, CUevent, CUexternalSemaphore, CUfunction,
    CUgraph, CUgraphExec, CUgraphNode, CUhostFn, CUipcEventHandle, CUipcMemHandle,
    CUmemGenericAllocationHandle, CUmipmappedArray, CUmodule, CUstream, CUstreamBatchMemOpParams,
    CUtexObject, CUtexref, CUuuid, cuuint32_t, cuuint64_t,
};

macro_rules! enumerations {
    ($($name:ident),* $(,)?) => {$(
        #[doc = concat!("`", stringify!($name), "` of `cuda.h`: an enumeration, carried as its integer.")]
        pub type $name = c_uint;
    )*};
}
enumerations! {
    CUdevice_attribute, CUdriverProcAddressQueryResult, CUjit_option, CUlibraryOption, CUmem_advise,
    CUmem_range_attribute, CUmemLocationType, CUmemcpySrcAccessOrder, CUpointer_attribute, CUstreamCaptureMode,
    CUstreamCaptureStatus, CUmemAllocationHandleType, CUmemAllocationType, CUmemAllocationGranularity_flags,
    CUmemAccess_flags, CUmemPool_attribute, CUmemRangeHandleType, CUgraphExecUpdateResult,
}

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[repr(C)]
        pub struct $name { _opaque: [u8; 0] }
    )*};
}
opaque! {
    /// What stands behind a [`CUgreenCtx`].
    CUgreenCtx_st,
    /// What stands behind a [`CUmemoryPool`].
    CUmemPoolHandle_st,
    /// What another process needs to find an allocation of a shared pool.
    CUmemPoolPtrExportData,
    /// What an edge of a graph carries (CUDA 12.3).
    CUgraphEdgeData,
    /// A 2D copy with 32-bit addresses (before CUDA 3.2).
    CUDA_MEMCPY2D_v1,
    /// A 3D copy with 32-bit addresses (before CUDA 3.2).
    CUDA_MEMCPY3D_v1,
    /// One operation of `cuMemcpy3DBatchAsync` (CUDA 12.8).
    CUDA_MEMCPY3D_BATCH_OP,
    /// How a context is to be created (CUDA 12.5).
    CUctxCreateParams,
    /// Which multiprocessors a context may use (CUDA 11.4).
    CUexecAffinityParam,
    /// One operation of `cuMemBatchDecompressAsync` (CUDA 12.8).
    CUmemDecompressParams,
    /// What stands behind a [`CUkernel`].
    CUkern_st,
    /// What stands behind a [`CUlibrary`].
    CUlib_st,
    /// What a node of a graph does (CUDA 12.2).
    CUgraphNodeParams,
    /// How a graph is instantiated (CUDA 12.0).
    CUDA_GRAPH_INSTANTIATE_PARAMS,
    /// What came of an update of a graph (CUDA 12.0).
    CUgraphExecUpdateResultInfo,
    /// The stream memory operations of a node of a graph (CUDA 11.7).
    CUDA_BATCH_MEM_OP_NODE_PARAMS,
    /// A launch attribute (CUDA 11.8).
    CUlaunchAttribute,
}

/// A kernel of a library (CUDA 12.0).
pub type CUkernel = *mut CUkern_st;
/// A library of kernels, not bound to a context (CUDA 12.0).
pub type CUlibrary = *mut CUlib_st;
/// A context with a part of the device's multiprocessors (CUDA 12.4).
pub type CUgreenCtx = *mut CUgreenCtx_st;
/// A pool of stream-ordered memory (CUDA 11.2).
pub type CUmemoryPool = *mut CUmemPoolHandle_st;
/// A host function of the old kind. `cuda-driver-sys` has it with a status that is an `enum`.
pub type CUstreamCallback =
    Option<unsafe extern "C" fn(stream: CUstream, status: crate::CUresult, data: *mut c_void)>;
/// A device address before CUDA 3.2.
pub type CUdeviceptr_v1 = c_uint;

/// A place where memory can live (CUDA 10.2; by value in `cuMemPrefetchAsync_v2`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CUmemLocation {
    /// One of the `CU_MEM_LOCATION_TYPE_*`.
    pub r#type: CUmemLocationType,
    /// The device's ordinal or the NUMA node, by type.
    pub id: c_int,
}

/// What physical memory is asked for (CUDA 10.2; `usage` since 11.1).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CUmemAllocationProp {
    /// `CU_MEM_ALLOCATION_TYPE_PINNED`, or what a newer driver allows.
    pub r#type: CUmemAllocationType,
    /// A set of the kinds of handle by which it may be shared; 0: none.
    pub requestedHandleTypes: CUmemAllocationHandleType,
    /// Where it lies.
    pub location: CUmemLocation,
    /// For Windows: a pointer.
    pub win32HandleMetaData: usize,
    /// More wishes.
    pub allocFlags: CUmemAllocationFlags,
}

/// A part of [`CUmemAllocationProp`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CUmemAllocationFlags {
    /// Whether it may be compressible.
    pub compressionType: c_uchar,
    /// Whether other devices on the bus may write to it.
    pub gpuDirectRDMACapable: c_uchar,
    /// A set of uses.
    pub usage: c_ushort,
    /// Zero.
    pub reserved: [c_uchar; 4],
}

/// Who may access a range of addresses, and how.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CUmemAccessDesc {
    /// A device, or the host.
    pub location: CUmemLocation,
    /// One of the `CU_MEM_ACCESS_FLAGS_*`.
    pub flags: CUmemAccess_flags,
}

/// What a pool is made with (CUDA 11.2; `maxSize` since 12.2).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CUmemPoolProps {
    /// `CU_MEM_ALLOCATION_TYPE_PINNED`, or what a newer driver allows.
    pub allocType: CUmemAllocationType,
    /// A set of the kinds of handle by which it may be shared; 0: none.
    pub handleTypes: CUmemAllocationHandleType,
    /// Where it lies.
    pub location: CUmemLocation,
    /// For Windows: a pointer.
    pub win32SecurityAttributes: usize,
    /// The most that it may hold, bytes; 0: as the driver likes.
    pub maxSize: usize,
    /// A set of uses.
    pub usage: c_ushort,
    /// Zero.
    pub reserved: [c_uchar; 54],
}

/// Shape and stream of a `cuLaunchKernelEx` (CUDA 11.8).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CUlaunchConfig {
    /// Blocks in x.
    pub gridDimX: c_uint,
    /// Blocks in y.
    pub gridDimY: c_uint,
    /// Blocks in z.
    pub gridDimZ: c_uint,
    /// Threads of a block in x.
    pub blockDimX: c_uint,
    /// Threads of a block in y.
    pub blockDimY: c_uint,
    /// Threads of a block in z.
    pub blockDimZ: c_uint,
    /// Dynamic shared memory of a block, bytes.
    pub sharedMemBytes: c_uint,
    /// The stream to launch into.
    pub hStream: CUstream,
    /// `numAttrs` launch attributes.
    pub attrs: *mut CUlaunchAttribute,
    /// How many attributes there are.
    pub numAttrs: c_uint,
}

/// What a batch of copies is told about its operands (CUDA 12.8).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CUmemcpyAttributes {
    /// In which order the sources are read.
    pub srcAccessOrder: CUmemcpySrcAccessOrder,
    /// Where the source is likely to be.
    pub srcLocHint: CUmemLocation,
    /// Where the destination is likely to be.
    pub dstLocHint: CUmemLocation,
    /// Flags.
    pub flags: c_uint,
}

macro_rules! constants {
    ($($name:ident: $ty:ty = $value:literal;)*) => {
        $(#[doc = concat!("`", stringify!($name), "` of `cuda.h`.")] pub const $name: $ty = $value;)*

        /// Every named constant below, for those who check them against `cuda.h`.
        pub const CONSTANTS: &[(&str, i64)] = &[$((stringify!($name), $value as i64)),*];
    };
}
constants! {
    CU_MEM_LOCATION_TYPE_DEVICE: CUmemLocationType = 1;
    CU_MEM_LOCATION_TYPE_HOST: CUmemLocationType = 2;
    CU_MEM_ATTACH_GLOBAL: c_uint = 1;
    CU_MEM_ATTACH_HOST: c_uint = 2;
    CU_STREAM_DEFAULT: c_uint = 0;
    CU_STREAM_NON_BLOCKING: c_uint = 1;
    CU_EVENT_DEFAULT: c_uint = 0;
    CU_EVENT_BLOCKING_SYNC: c_uint = 1;
    CU_EVENT_DISABLE_TIMING: c_uint = 2;
    CU_EVENT_INTERPROCESS: c_uint = 4;
    CU_STREAM_CAPTURE_MODE_GLOBAL: CUstreamCaptureMode = 0;
    CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: CUstreamCaptureMode = 1;
    CU_STREAM_CAPTURE_MODE_RELAXED: CUstreamCaptureMode = 2;
    CU_STREAM_CAPTURE_STATUS_NONE: CUstreamCaptureStatus = 0;
    CU_STREAM_CAPTURE_STATUS_ACTIVE: CUstreamCaptureStatus = 1;
    CU_STREAM_CAPTURE_STATUS_INVALIDATED: CUstreamCaptureStatus = 2;
    CU_GET_PROC_ADDRESS_SUCCESS: CUdriverProcAddressQueryResult = 0;
    CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND: CUdriverProcAddressQueryResult = 1;
    CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT: CUdriverProcAddressQueryResult = 2;
    CU_GET_PROC_ADDRESS_DEFAULT: cuuint64_t = 0;
    CU_GET_PROC_ADDRESS_LEGACY_STREAM: cuuint64_t = 1;
    CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM: cuuint64_t = 2;
    CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: CUdevice_attribute = 16;
    CU_DEVICE_ATTRIBUTE_INTEGRATED: CUdevice_attribute = 18;
    CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING: CUdevice_attribute = 41;
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: CUdevice_attribute = 75;
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: CUdevice_attribute = 76;
    CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY: CUdevice_attribute = 83;
    CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS: CUdevice_attribute = 88;
    CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS: CUdevice_attribute = 89;
    CU_POINTER_ATTRIBUTE_CONTEXT: CUpointer_attribute = 1;
    CU_POINTER_ATTRIBUTE_MEMORY_TYPE: CUpointer_attribute = 2;
    CU_POINTER_ATTRIBUTE_DEVICE_POINTER: CUpointer_attribute = 3;
    CU_POINTER_ATTRIBUTE_HOST_POINTER: CUpointer_attribute = 4;
    CU_POINTER_ATTRIBUTE_IS_MANAGED: CUpointer_attribute = 8;
    CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: CUpointer_attribute = 9;
    CU_MEM_ADVISE_SET_READ_MOSTLY: CUmem_advise = 1;
    CU_MEM_ADVISE_SET_PREFERRED_LOCATION: CUmem_advise = 3;
    CU_MEM_ADVISE_SET_ACCESSED_BY: CUmem_advise = 5;
    CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED: CUdevice_attribute = 102;
    CU_POINTER_ATTRIBUTE_SYNC_MEMOPS: CUpointer_attribute = 6;
    CU_POINTER_ATTRIBUTE_BUFFER_ID: CUpointer_attribute = 7;
    CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE: CUpointer_attribute = 10;
    CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: CUpointer_attribute = 11;
    CU_POINTER_ATTRIBUTE_RANGE_SIZE: CUpointer_attribute = 12;
    CU_POINTER_ATTRIBUTE_MAPPED: CUpointer_attribute = 13;
    CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES: CUpointer_attribute = 14;
    CU_POINTER_ATTRIBUTE_ACCESS_FLAGS: CUpointer_attribute = 16;
    CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE: CUpointer_attribute = 17;
    CU_MEMHOSTREGISTER_PORTABLE: c_uint = 1;
    CU_MEMHOSTALLOC_DEVICEMAP: c_uint = 2;
    CU_MEMORYTYPE_DEVICE: c_uint = 2;
    CU_MEM_ALLOCATION_TYPE_PINNED: CUmemAllocationType = 1;
    CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR: CUmemAllocationHandleType = 1;
    CU_MEM_ACCESS_FLAGS_PROT_READWRITE: CUmemAccess_flags = 3;
    CU_MEM_ALLOC_GRANULARITY_MINIMUM: CUmemAllocationGranularity_flags = 0;
    CU_MEMPOOL_ATTR_RELEASE_THRESHOLD: CUmemPool_attribute = 4;
    CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT: CUmemPool_attribute = 5;
    CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH: CUmemPool_attribute = 6;
    CU_MEMPOOL_ATTR_USED_MEM_CURRENT: CUmemPool_attribute = 7;
    CU_MEMPOOL_ATTR_USED_MEM_HIGH: CUmemPool_attribute = 8;
    CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION: CUmem_range_attribute = 4;
}

/// In place of a device: the host (`CU_DEVICE_CPU`).
pub const CU_DEVICE_CPU: CUdevice = -1;
/// In place of a stream handle: the calling thread's default stream (`CU_STREAM_PER_THREAD`).
pub const CU_STREAM_PER_THREAD: usize = 2;
