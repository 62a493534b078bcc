// Memory created on the host's node 0 is mapped for the device and for the host.
#include "vmm.h"

int main(void) {
  CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                    .location = {.type = CU_MEM_LOCATION_TYPE_HOST_NUMA, .id = 0}};
  CUmemAccessDesc access[2] = {{.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                                .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE},
                               {.location = properties.location, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE}};
  CUmemGenericAllocationHandle handle;
  CUdeviceptr at;
  size_t bytes = 0;
  begin();
  load_kernels();
  DO(cuMemGetAllocationGranularity(&bytes, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  DO(cuMemCreate(&handle, bytes, &properties, 0));
  DO(cuMemAddressReserve(&at, bytes, 0, 0, 0));
  DO(cuMemMap(at, bytes, 0, handle, 0));
  DO(cuMemSetAccess(at, bytes, access, 2));
  DO(fill(0, at, 33, bytes / 4));
  DO(cuCtxSynchronize());
  expect(count_wrong((unsigned *)(uintptr_t)at, bytes / 4, 33) == 0, "the host reads what the device wrote");
  SAY(cuMemUnmap(at, bytes));
  SAY(cuMemRelease(handle));
  SAY(cuMemAddressFree(at, bytes));
  return finish();
}
