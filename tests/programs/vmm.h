// Virtual memory management on the first device.
#pragma once
#include "common.h"

static inline CUmemAllocationProp on_device(void) {
  return (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
}
// Bytes in which memory is created.
static inline size_t granule(void) {
  CUmemAllocationProp properties = on_device();
  size_t bytes = 0;
  DO(cuMemGetAllocationGranularity(&bytes, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  return bytes;
}
// `bytes` of new memory at a reserved address.
static inline CUmemGenericAllocationHandle map_new(CUdeviceptr at, size_t bytes) {
  CUmemAllocationProp properties = on_device();
  CUmemAccessDesc access = {.location = properties.location, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  CUmemGenericAllocationHandle handle;
  DO(cuMemCreate(&handle, bytes, &properties, 0));
  DO(cuMemMap(at, bytes, 0, handle, 0));
  DO(cuMemSetAccess(at, bytes, &access, 1));
  return handle;
}
