// alone: free memory is what the whole card has. A pool's memory is counted while it is allocated, and no longer.
// nvshare: NVSHARE_ENGINE=plain
#include "common.h"

int main(void) {
  CUstream stream;
  CUdeviceptr p;
  size_t n = 9 * MIB, total, before, during, after;
  begin();
  load_kernels();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuMemGetInfo(&before, &total));
  for (int round = 0; round < 36; round++) {
    unsigned word = 0;
    DO(cuMemAllocAsync(&p, 4 * n, stream));
    DO(fill(stream, p, round, n));
    DO(cuMemcpyDtoHAsync(&word, p + 4 * (n - 1), 4, stream));
    DO(cuMemGetInfo(&during, &total));
    if (round % 2) DO(cuMemFreeAsync(p, stream));
    DO(cuStreamSynchronize(stream));
    if (round % 2 == 0) DO(cuMemFree(p));
    failures += word != (unsigned)round || during + 35 * MIB > before;
  }
  DO(cuMemGetInfo(&after, &total));
  expect(after + MIB > before, "all of it is free again");
  SAY(cuMemFreeAsync(p, stream));
  SAY(cuMemAllocAsync(&p, (size_t)1 << 55, stream));
  return finish();
}
