// What the program has not mapped itself has no handles and no mappings; addresses that are in use stay reserved.
#include "vmm.h"

int main(void) {
  CUdeviceptr p, q, at;
  CUmemGenericAllocationHandle handle;
  CUmemAccessDesc access = {.location = on_device().location, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  begin();
  load_kernels();
  size_t piece = granule();
  DO(cuMemAlloc(&p, piece));
  DO(cuMemAlloc(&q, 32 * piece));
  DO(cuMemAddressReserve(&at, piece, 0, 0, 0));
  CUmemGenericAllocationHandle mapped = map_new(at, piece);
  SAY(cuMemRetainAllocationHandle(&handle, (void *)(uintptr_t)p));
  SAY(cuMemRetainAllocationHandle(&handle, (void *)(uintptr_t)q));
  SAY(cuMemSetAccess(q, 32 * piece, &access, 1));
  SAY(cuMemUnmap(q, 32 * piece));
  SAY(cuMemAddressFree(q, 32 * piece));
  SAY(cuMemAddressFree(at, piece));
  DO(fill(0, p, 1, piece / 4));
  DO(fill(0, q, 2, 8 * piece));
  DO(fill(0, at, 3, piece / 4));
  check_words("small", p, piece / 4, 1);
  check_words("large", q, 8 * piece, 2);
  check_words("mapped", at, piece / 4, 3);
  SAY(cuMemUnmap(at, piece));
  SAY(cuMemRelease(mapped));
  SAY(cuMemAddressFree(at, piece));
  SAY(cuMemFree(p));
  SAY(cuMemFree(q));
  return finish();
}
