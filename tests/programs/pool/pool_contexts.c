// Memory is allocated and freed in a stream of a context that is not current, and goes with neither context.
#include "common.h"

int main(void) {
  CUcontext made, other;
  CUstream stream;
  size_t n = 4 * MIB;
  begin();
  load_kernels();
  for (unsigned round = 0; round < 3; round++) {
    CUdeviceptr p, q, mine[4];
    DO(cuCtxCreate(&made, NULL, 0, device));
    DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    DO(cuCtxCreate(&other, NULL, 0, device));
    DO(cuMemAllocAsync(&p, 4 * n, stream));
    DO(cuCtxSetCurrent(made));
    DO(spin(stream, 100000000));
    DO(fill(stream, p, 0xbad, n));
    DO(cuCtxSetCurrent(other));
    DO(cuMemFreeAsync(p, stream));
    // The context that was current at the free is not the one whose work is waited for.
    DO(cuCtxDestroy(other));
    DO(cuCtxSetCurrent(context));
    for (unsigned i = 0; i < COUNT(mine); i++) {
      DO(cuMemAllocAsync(&mine[i], 4 * n, 0));
      DO(fill(0, mine[i], round * 10 + i, n));
    }
    DO(cuCtxSetCurrent(made));
    DO(cuStreamSynchronize(stream));
    // In its own stream it may be the same memory again.
    DO(cuMemAllocAsync(&q, 4 * n, stream));
    DO(fill(stream, q, 77, n));
    DO(cuStreamSynchronize(stream));
    check_words("freed and allocated again", q, n, 77);
    DO(cuMemFreeAsync(q, stream));
    DO(cuStreamDestroy(stream));
    DO(cuCtxSetCurrent(context));
    for (unsigned i = 0; i < COUNT(mine); i++) {
      check_words("the others'", mine[i], n, round * 10 + i);
      DO(cuMemFreeAsync(mine[i], 0));
    }
    DO(cuCtxDestroy(made));
    DO(cuCtxSetCurrent(context));
    DO(cuCtxSynchronize());
  }
  return finish();
}
