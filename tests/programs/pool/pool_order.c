// Stream order: what one stream allocates another uses after an event, and frees in its own order.
#include "common.h"

int main(void) {
  CUstream a, b;
  CUevent ready;
  size_t n = MIB;
  unsigned *words;
  begin();
  load_kernels();
  DO(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
  DO(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
  DO(cuEventCreate(&ready, CU_EVENT_DISABLE_TIMING));
  DO(cuMemAllocHost((void **)&words, 4 * n));
  for (int round = 0; round < 20; round++) {
    CUdeviceptr p, q;
    DO(spin(a, 1000000));
    DO(cuMemAllocAsync(&p, 4 * n, a));
    DO(fill(a, p, round * 10, n));
    DO(cuEventRecord(ready, a));
    DO(cuStreamWaitEvent(b, ready, 0));
    DO(add_one(b, p, n));
    DO(cuMemcpyDtoHAsync(words, p, 4 * n, b));
    DO(cuMemFreeAsync(p, b));
    DO(cuMemAllocAsync(&q, 4 * n, a));
    DO(fill(a, q, 999, n));
    DO(cuMemFreeAsync(q, a));
    DO(cuStreamSynchronize(b));
    expect(count_wrong(words, n, round * 10 + 1) == 0, "round %d", round);
  }
  DO(cuCtxSynchronize());
  return finish();
}
