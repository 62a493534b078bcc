// A pool's attributes are what they were set to; a device's pool can be replaced and asked for.
#include "common.h"

int main(void) {
  CUmemPoolProps properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  CUmemoryPool usual, own, now;
  cuuint64_t threshold = 1, reserved = 0, zero = 0;
  int reuse = -1, off = 0;
  CUdeviceptr p;
  CUstream stream;
  begin();
  load_kernels();
  DO(cuDeviceGetDefaultMemPool(&usual, device));
  DO(cuDeviceGetMemPool(&now, device));
  expect(now == usual, "the default pool is the device's");
  DO(cuMemPoolGetAttribute(usual, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
  printf("threshold %llu\n", (unsigned long long)threshold);
  threshold = UINT64_MAX;
  DO(cuMemPoolSetAttribute(usual, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
  threshold = 0;
  DO(cuMemPoolGetAttribute(usual, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
  expect(threshold == UINT64_MAX, "the threshold is what was set");
  DO(cuMemPoolGetAttribute(usual, CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES, &reuse));
  printf("reuse by event order %d\n", reuse);
  DO(cuMemPoolSetAttribute(usual, CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC, &off));
  DO(cuMemPoolGetAttribute(usual, CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC, &reuse));
  printf("opportunistic reuse %d\n", reuse);
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuMemAllocAsync(&p, 8 * MIB, stream));
  DO(cuMemFreeAsync(p, stream));
  DO(cuStreamSynchronize(stream));
  DO(cuMemPoolGetAttribute(usual, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &reserved));
  expect(reserved >= 8 * MIB, "under the threshold the pool keeps its memory");
  DO(cuMemPoolSetAttribute(usual, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, &zero));
  DO(cuMemPoolTrimTo(usual, 0));
  DO(cuMemPoolGetAttribute(usual, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &reserved));
  expect(reserved == 0, "trimmed it keeps nothing");
  DO(cuMemPoolCreate(&own, &properties));
  DO(cuDeviceSetMemPool(device, own));
  DO(cuDeviceGetMemPool(&now, device));
  expect(now == own, "the device's pool is the one that was set");
  DO(cuMemAllocAsync(&p, 4 * MIB, stream));
  DO(fill(stream, p, 8, MIB));
  DO(cuStreamSynchronize(stream));
  check_words("from the device's pool", p, MIB, 8);
  CUmemoryPool from = NULL;
  DO(cuPointerGetAttribute(&from, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, p));
  expect(from == own, "the address knows its pool");
  DO(cuMemFreeAsync(p, stream));
  DO(cuDeviceSetMemPool(device, usual));
  SAY(cuMemPoolDestroy(own));
  SAY(cuMemPoolDestroy(usual));
  return finish();
}
