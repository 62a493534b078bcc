// A pool that is destroyed gives back what its threshold had kept; what was taken of it stays.
#include "common.h"

int main(void) {
  CUmemPoolProps properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  CUmemoryPool pool;
  CUstream stream;
  CUdeviceptr freed, left;
  cuuint64_t keep = UINT64_MAX;
  begin();
  load_kernels();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuMemPoolCreate(&pool, &properties));
  DO(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep));
  DO(cuMemAllocFromPoolAsync(&freed, 64 * MIB, pool, stream));
  DO(cuMemAllocFromPoolAsync(&left, 4 * MIB, pool, stream));
  DO(fill(stream, left, 4, MIB));
  DO(cuMemFreeAsync(freed, stream));
  DO(cuStreamSynchronize(stream));
  DO(cuMemPoolDestroy(pool));
  check_words("what is left of the pool", left, MIB, 4);
  DO(cuMemFreeAsync(left, stream));
  DO(cuStreamSynchronize(stream));
  return finish();
}
