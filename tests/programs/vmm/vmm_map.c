// Memory is created, mapped, used, unmapped, released; wrong uses are refused as the driver refuses them.
#include "vmm.h"

int main(void) {
  CUdeviceptr at;
  CUmemGenericAllocationHandle handle, wrong;
  unsigned long long flags = 0;
  begin();
  load_kernels();
  size_t piece = granule(), n = 4 * piece / 4;
  printf("granularity %zu\n", piece);
  DO(cuMemAddressReserve(&at, 8 * piece, 0, 0, 0));
  handle = map_new(at, 4 * piece);
  DO(fill(0, at, 17, n));
  for (int round = 0; round < 20; round++) {
    DO(add_one(0, at, n));
    DO(cuCtxSynchronize());
  }
  check_words("mapped memory", at, n, 37);
  CUmemLocation here = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0};
  DO(cuMemGetAccess(&flags, &here, at));
  printf("access %llu\n", flags);
  CUmemAllocationProp properties = {0};
  DO(cuMemGetAllocationPropertiesFromHandle(&properties, handle));
  printf("type %d on %d %d\n", properties.type, properties.location.type, properties.location.id);
  DO(cuMemRetainAllocationHandle(&wrong, (void *)(uintptr_t)at));
  expect(wrong == handle, "the address knows its handle");
  DO(cuMemRelease(wrong));
  properties = on_device();
  SAY(cuMemCreate(&wrong, piece + 1, &properties, 0));
  SAY(cuMemCreate(&wrong, 0, &properties, 0));
  SAY(cuMemMap(at, 4 * piece, 0, handle, 0));
  SAY(cuMemCreate(&wrong, (size_t)1 << 50, &properties, 0));
  properties.location.id = 99;
  SAY(cuMemCreate(&wrong, piece, &properties, 0));
  SAY(cuMemUnmap(at, 4 * piece));
  SAY(cuMemUnmap(at, 4 * piece));
  SAY(cuMemRelease(handle));
  SAY(cuMemAddressFree(at, 8 * piece));
  return finish();
}
