// One memory at two addresses; its data survives being unmapped and mapped elsewhere, and its handle's release.
#include "vmm.h"

int main(void) {
  CUdeviceptr one, other;
  CUmemAccessDesc access = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                            .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  begin();
  load_kernels();
  size_t bytes = 2 * granule(), n = bytes / 4;
  DO(cuMemAddressReserve(&one, bytes, 0, 0, 0));
  DO(cuMemAddressReserve(&other, bytes, 0, 0, 0));
  CUmemGenericAllocationHandle handle = map_new(one, bytes);
  DO(cuMemMap(other, bytes, 0, handle, 0));
  DO(cuMemSetAccess(other, bytes, &access, 1));
  DO(fill(0, one, 60, n));
  DO(cuCtxSynchronize());
  check_words("by the other address", other, n, 60);
  DO(cuMemUnmap(one, bytes));
  DO(add_one(0, other, n));
  DO(cuCtxSynchronize());
  DO(cuMemUnmap(other, bytes));
  DO(cuMemMap(one, bytes, 0, handle, 0));
  DO(cuMemSetAccess(one, bytes, &access, 1));
  check_words("mapped again", one, n, 61);
  DO(cuMemRelease(handle));
  DO(add_one(0, one, n));
  DO(cuCtxSynchronize());
  check_words("after the handle's release", one, n, 62);
  SAY(cuMemUnmap(one, bytes));
  SAY(cuMemAddressFree(one, bytes));
  SAY(cuMemAddressFree(other, bytes));
  return finish();
}
