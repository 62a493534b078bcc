// A pool that may keep what is freed, as PyTorch and CuPy use it: step after step allocates and frees the same sizes.
#include "common.h"
#include <time.h>

#define STEPS 60u

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

int main(void) {
  static const size_t sizes[] = {64 * MIB, 24 * MIB, 40 * MIB, 4 * MIB, 4096, 16 * MIB, 16 * MIB, 1 * MIB};
  enum { COUNT = sizeof sizes / sizeof *sizes };
  CUdeviceptr p[COUNT];
  CUmemoryPool pool;
  CUstream stream;
  cuuint64_t keep = UINT64_MAX, used = 1;
  double calls = 0;
  begin();
  load_kernels();
  DO(cuDeviceGetDefaultMemPool(&pool, device));
  DO(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep));
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  for (unsigned step = 0; step < STEPS; step++) {
    double start = now();
    for (unsigned i = 0; i < COUNT; i++) DO(cuMemAllocAsync(&p[i], sizes[i], stream));
    calls += step < 5 ? 0 : now() - start;
    for (unsigned i = 0; i < COUNT; i++) DO(fill(stream, p[i], step + i, sizes[i] / 4));
    if (step % 20 == 19) {
      DO(cuStreamSynchronize(stream));
      for (unsigned i = 0; i < COUNT; i++) check_words("of this step", p[i], sizes[i] / 4, step + i);
    }
    start = now();
    for (unsigned i = 0; i < COUNT; i++) DO(cuMemFreeAsync(p[i], stream));
    calls += step < 5 ? 0 : now() - start;
    // As a step of a training run whose loss is looked at.
    if (step % 4 == 0) DO(cuStreamSynchronize(stream));
  }
  DO(cuStreamSynchronize(stream));
  DO(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
  printf("used at the end: %llu\n", (unsigned long long)used);
  fprintf(stderr, "%.2f us for an allocation and its free\n", calls / (STEPS - 5) / COUNT * 1e6);
  return finish();
}
