// alone: free memory is what the whole card has. Each kind of device memory makes free memory fall; page-locked
// host memory does not.
#include "vmm.h"

static const size_t whole = 128 * MIB, slack = 8 * MIB;
static size_t before;

static void tell(const char *kind, size_t bytes) {
  size_t free, total;
  DO(cuCtxSynchronize());
  DO(cuMemGetInfo(&free, &total));
  size_t fallen = before > free ? before - free : 0;
  expect(fallen + slack >= bytes && fallen <= bytes + slack, "%s: free memory has fallen by %zu MiB", kind, bytes >> 20);
}

int main(void) {
  CUdeviceptr p;
  size_t pitch, total;
  void *host;
  CUmemoryPool pool;
  begin();
  DO(cuMemAllocAsync(&p, MIB, 0));
  DO(cuMemFreeAsync(p, 0));
  DO(cuCtxSynchronize());
  DO(cuDeviceGetDefaultMemPool(&pool, device));
  DO(cuMemPoolTrimTo(pool, 0));
  DO(cuMemGetInfo(&before, &total));
  DO(cuMemAllocPitch(&p, &pitch, MIB, 128, 4));
  tell("pitched", whole);
  DO(cuMemFree(p));
  tell("freed", 0);
  DO(cuMemAllocAsync(&p, whole, 0));
  tell("from the pool", whole);
  DO(cuMemFreeAsync(p, 0));
  DO(cuCtxSynchronize());
  DO(cuMemPoolTrimTo(pool, 0));
  tell("freed and trimmed", 0);
  DO(cuMemAddressReserve(&p, whole, 0, 0, 0));
  tell("reserved addresses", 0);
  CUmemGenericAllocationHandle handle = map_new(p, whole);
  tell("created and mapped", whole);
  DO(cuMemUnmap(p, whole));
  tell("unmapped only", whole);
  DO(cuMemRelease(handle));
  tell("released", 0);
  CUarray array;
  CUDA_ARRAY_DESCRIPTOR d = {.Width = 8192, .Height = 4096, .Format = CU_AD_FORMAT_UNSIGNED_INT32, .NumChannels = 1};
  DO(cuArrayCreate(&array, &d));
  tell("an array", whole);
  DO(cuArrayDestroy(array));
  tell("destroyed", 0);
  DO(cuMemHostAlloc(&host, whole, 0));
  tell("host memory", 0);
  DO(cuMemFreeHost(host));
  return finish();
}
