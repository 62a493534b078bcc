// Plain memory is freed in a stream's order, a pool's memory plainly; nothing is freed twice, nor by another's graph.
#include "common.h"

int main(void) {
  CUstream stream;
  CUgraph graph = NULL;
  CUdeviceptr p, q, pooled;
  size_t n = 9 * MIB;
  begin();
  load_kernels();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  for (int round = 0; round < 5; round++) {
    DO(cuMemAlloc(&p, 4 * n));
    DO(cuMemAlloc(&q, MIB));
    DO(cuMemAllocAsync(&pooled, MIB, stream));
    DO(fill(stream, p, round, n));
    DO(fill(stream, q, round, MIB / 4));
    DO(cuMemFreeAsync(p, stream));
    DO(cuMemFreeAsync(q, stream));
    DO(cuStreamSynchronize(stream));
    DO(cuMemFree(pooled));
  }
  DO(cuMemAllocAsync(&p, MIB, stream));
  DO(spin(stream, 50000000));
  SAY(cuMemFreeAsync(p, stream));
  SAY(cuMemFreeAsync(p, stream));
  SAY(cuMemFree(p));
  DO(cuMemAlloc(&q, MIB));
  DO(cuMemsetD32(q, 7, MIB / 4));
  DO(cuStreamSynchronize(stream));
  DO(cuMemAlloc(&p, MIB));
  DO(cuMemsetD32(p, 8, MIB / 4));
  check_words("nobody else was given it", q, MIB / 4, 7);
  DO(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
  SAY(cuMemFreeAsync(q, stream));
  cuStreamEndCapture(stream, &graph);
  check_words("a capture cannot free it", q, MIB / 4, 7);
  SAY(cuMemFreeAsync(q, stream));
  SAY(cuMemFreeAsync(p, stream));
  SAY(cuStreamSynchronize(stream));
  return finish();
}
