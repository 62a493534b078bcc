// Memory of pools belongs to no context: it outlives the one in which it was allocated, and so does everybody else's.
#include "common.h"

int main(void) {
  CUcontext first, second;
  CUdeviceptr p, q, r;
  size_t n = MIB;
  begin();
  load_kernels();
  for (unsigned round = 0; round < 2; round++) {
    DO(cuCtxCreate(&first, NULL, 0, device));
    DO(cuMemAllocAsync(&p, 4 * n, 0));
    DO(fill(0, p, round + 10, n));
    DO(cuCtxSynchronize());
    DO(cuCtxCreate(&second, NULL, 0, device));
    DO(cuMemAllocAsync(&q, 4 * n, 0));
    DO(fill(0, q, round + 20, n));
    DO(cuCtxSynchronize());
    DO(cuCtxDestroy(first));
    DO(cuCtxSetCurrent(context));
    DO(cuMemAllocAsync(&r, 4 * n, 0));
    DO(fill(0, r, round + 30, n));
    DO(cuCtxSynchronize());
    DO(cuCtxSetCurrent(second));
    check_words("of the destroyed context", p, n, round + 10);
    check_words("of the other", q, n, round + 20);
    check_words("of the third", r, n, round + 30);
    SAY(cuMemFree(p));
    SAY(cuMemFreeAsync(q, 0));
    SAY(cuMemFreeAsync(r, 0));
    DO(cuCtxSynchronize());
    DO(cuCtxDestroy(second));
    DO(cuCtxSetCurrent(context));
  }
  return finish();
}
