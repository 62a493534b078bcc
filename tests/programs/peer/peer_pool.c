// A pool's memory is used by a kernel of another device, which was given access to the pool.
// card: FAKECUDA_DEVICES=2
#include "common.h"

int main(void) {
  CUcontext other;
  CUmemoryPool pool;
  CUdeviceptr before, after;
  CUmemAccess_flags flags = 0;
  size_t n = 3 * MIB;
  int count, can = 0;
  begin();
  load_kernels();
  DO(cuDeviceGetCount(&count));
  if (count > 1) DO(cuDeviceCanAccessPeer(&can, 1, 0));
  if (!can) {
    printf("no two devices that reach each other\n");
    return 0;
  }
  DO(cuDevicePrimaryCtxRetain(&other, 1));
  DO(cuDeviceGetDefaultMemPool(&pool, 0));
  CUmemLocation second = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1};
  CUmemAccessDesc access = {.location = second, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  DO(cuMemPoolGetAccess(&flags, pool, &second));
  printf("at first %d\n", flags);
  DO(cuMemAllocAsync(&before, 4 * n, 0));
  DO(fill(0, before, 5, n));
  SAY(cuMemPoolSetAccess(pool, &access, 1));
  DO(cuMemPoolGetAccess(&flags, pool, &second));
  printf("then %d\n", flags);
  DO(cuMemAllocAsync(&after, 4 * n, 0));
  DO(fill(0, after, 50, n));
  DO(cuCtxSynchronize());
  DO(cuCtxSetCurrent(other));
  for (int round = 0; round < 6; round++) {
    DO(add_one(0, before, n));
    DO(add_one(0, after, n));
    DO(cuCtxSynchronize());
  }
  DO(cuCtxSetCurrent(context));
  check_words("allocated before", before, n, 11);
  check_words("allocated after", after, n, 56);
  DO(cuMemFreeAsync(before, 0));
  DO(cuMemFreeAsync(after, 0));
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
  SAY(cuMemPoolSetAccess(pool, &access, 1));
  DO(cuMemPoolGetAccess(&flags, pool, &second));
  printf("at last %d\n", flags);
  return finish();
}
