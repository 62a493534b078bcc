// A pool that the driver does not destroy, a device's first one, still knows what was taken of it.
#include "common.h"

int main(void) {
  CUmemoryPool pool;
  CUdeviceptr p;
  cuuint64_t used = 0;
  begin();
  DO(cuDeviceGetDefaultMemPool(&pool, device));
  DO(cuMemAllocAsync(&p, 8 * MIB, 0));
  DO(cuStreamSynchronize(0));
  expect(cuMemPoolDestroy(pool) != CUDA_SUCCESS, "it is refused");
  DO(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
  expect(used == 8 * MIB, "what is used is known");
  DO(cuMemFreeAsync(p, 0));
  DO(cuStreamSynchronize(0));
  DO(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
  expect(used == 0, "nothing is used at the end");
  return finish();
}
