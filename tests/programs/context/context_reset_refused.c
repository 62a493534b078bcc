// A reset of the device that the driver refuses costs nothing.
// card: FAKECUDA_FAIL=cuDevicePrimaryCtxReset:1:708
#include "common.h"

int main(void) {
  CUdeviceptr p, q;
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 8 * MIB));
  DO(cuMemAllocAsync(&q, 8 * MIB, 0));
  DO(fill(0, p, 3, 2 * MIB));
  DO(fill(0, q, 4, 2 * MIB));
  DO(cuCtxSynchronize());
  CUresult refused = cuDevicePrimaryCtxReset(device);
  printf("cuDevicePrimaryCtxReset: %d\n", refused);
  if (refused == CUDA_SUCCESS) return finish();  // A real driver does it.
  DO(add_one(0, p, 2 * MIB));
  DO(add_one(0, q, 2 * MIB));
  check_words("plain memory is there", p, 2 * MIB, 4);
  check_words("a pool's memory is there", q, 2 * MIB, 5);
  SAY(cuMemFreeAsync(q, 0));
  SAY(cuMemFree(p));
  SAY(cuMemFree(p));
  return finish();
}
