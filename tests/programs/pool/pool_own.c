// A pool of the program's own: allocations from it, what it says of its use, trimming, its end.
#include "common.h"

static CUmemoryPool pool;

static void used(const char *when) {
  cuuint64_t now = 0, high = 0;
  DO(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &now));
  DO(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &high));
  printf("%s: %llu MiB used, at most %llu\n", when, (unsigned long long)now >> 20, (unsigned long long)high >> 20);
}

int main(void) {
  CUmemPoolProps properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  CUstream stream;
  CUdeviceptr p[4];
  size_t n = MIB;
  begin();
  load_kernels();
  DO(cuStreamCreate(&stream, CU_STREAM_DEFAULT));
  DO(cuMemPoolCreate(&pool, &properties));
  used("empty");
  for (unsigned i = 0; i < 4; i++) {
    DO(cuMemAllocFromPoolAsync(&p[i], 4 * n, pool, stream));
    DO(fill(stream, p[i], 50 + i, n));
  }
  DO(cuStreamSynchronize(stream));
  used("four of 4 MiB");
  for (unsigned i = 0; i < 4; i++) check_words("an allocation", p[i], n, 50 + i);
  DO(cuMemFreeAsync(p[0], stream));
  DO(cuMemFreeAsync(p[1], stream));
  DO(cuStreamSynchronize(stream));
  used("two are freed");
  DO(cuMemPoolTrimTo(pool, 0));
  check_words("what is left after trimming", p[3], n, 53);
  DO(cuMemFreeAsync(p[3], stream));
  DO(cuStreamSynchronize(stream));
  used("three are freed");
  SAY(cuMemFree(p[2]));
  SAY(cuMemPoolDestroy(pool));
  return finish();
}
