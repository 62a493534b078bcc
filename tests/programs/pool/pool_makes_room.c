// What a pool keeps of freed memory makes room for memory of another kind.
// nvshare: NVSHARE_MEM_LIMIT=512MiB
#include "common.h"

int main(void) {
  CUmemAllocationProp properties = {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  CUDA_ARRAY_DESCRIPTOR picture = {.Width = 8192, .Height = 10240, .Format = CU_AD_FORMAT_UNSIGNED_INT32, .NumChannels = 1};
  CUarray array;
  CUmemGenericAllocationHandle handle;
  CUmemoryPool pool;
  CUdeviceptr p;
  cuuint64_t keep = UINT64_MAX;
  begin();
  load_kernels();
  DO(cuDeviceGetDefaultMemPool(&pool, device));
  DO(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep));
  // Often, because the memory is given back by whoever comes first.
  for (int i = 0; i < 10; i++) {
    DO(cuMemAllocAsync(&p, 320 * MIB, 0));
    if (i == 0) DO(fill(0, p, 1, 80 * MIB));
    DO(cuMemFreeAsync(p, 0));
    DO(cuMemCreate(&handle, 320 * MIB, &properties, 0));
    DO(cuMemRelease(handle));
    DO(cuMemAllocAsync(&p, 320 * MIB, 0));
    DO(cuMemFreeAsync(p, 0));
    DO(cuArrayCreate(&array, &picture));
    DO(cuArrayDestroy(array));
  }
  DO(cuMemAllocAsync(&p, 320 * MIB, 0));
  DO(cuMemFreeAsync(p, 0));
  DO(cuMemAlloc(&p, 320 * MIB));
  DO(fill(0, p, 5, 80 * MIB));
  check_words("plain", p, 80 * MIB, 5);
  DO(cuMemFree(p));
  return finish();
}
