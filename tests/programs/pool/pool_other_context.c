// Memory for a stream of one context, taken while another is current that then ends: the first one's memory stays.
#include "common.h"

int main(void) {
  CUcontext made;
  CUstream stream;
  CUdeviceptr pooled, plain;
  size_t n = 1000;
  begin();
  load_kernels();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuCtxCreate(&made, NULL, 0, device));
  DO(cuMemAllocAsync(&pooled, 4 * n, stream));
  DO(cuCtxSetCurrent(context));
  DO(cuMemAlloc(&plain, 4 * n));
  DO(fill(0, plain, 7, n));
  DO(fill(stream, pooled, 8, n));
  DO(cuStreamSynchronize(stream));
  DO(cuCtxDestroy(made));
  DO(cuCtxSetCurrent(context));
  check_words("allocated", plain, n, 7);
  check_words("taken of the pool", pooled, n, 8);
  SAY(cuMemFree(plain));
  SAY(cuMemFreeAsync(pooled, stream));
  return finish();
}
