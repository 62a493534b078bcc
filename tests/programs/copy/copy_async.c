// Asynchronous copies in, within and out, from page-locked memory, on two streams.
#include "common.h"

int main(void) {
  CUstream a, b;
  CUevent in;
  CUdeviceptr p, q;
  unsigned *from, *to;
  size_t n = 2 * MIB;
  begin();
  load_kernels();
  DO(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
  DO(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
  DO(cuEventCreate(&in, CU_EVENT_DISABLE_TIMING));
  DO(cuMemAlloc(&p, 4 * n));
  DO(cuMemAlloc(&q, 4 * n));
  DO(cuMemAllocHost((void **)&from, 4 * n));
  DO(cuMemAllocHost((void **)&to, 4 * n));
  for (unsigned round = 0; round < 20; round++) {
    for (size_t i = 0; i < n; i++) from[i] = round * 100;
    DO(cuMemcpyHtoDAsync(p, from, 4 * n, a));
    DO(add_one(a, p, n));
    DO(cuEventRecord(in, a));
    DO(cuStreamWaitEvent(b, in, 0));
    DO(cuMemcpyDtoDAsync(q, p, 4 * n, b));
    DO(cuMemcpyAsync((CUdeviceptr)(uintptr_t)to, q, 4 * n, b));
    DO(cuStreamSynchronize(b));
    expect(count_wrong(to, n, round * 100 + 1) == 0, "round %u", round);
  }
  return finish();
}
