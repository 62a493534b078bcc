// Cooperative launches on a stream, between others.
#include "common.h"

int main(void) {
  CUdeviceptr p;
  size_t n = MIB;
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4 * n));
  DO(fill(0, p, 0, n));
  for (int round = 0; round < 30; round++) {
    DO(cuLaunchCooperativeKernel(add_one_kernel, 8, 1, 1, 128, 1, 1, 0, 0, ARGUMENTS(&p, &n)));
    if (round % 3 == 0) DO(cuCtxSynchronize());
  }
  check_words("after 30 launches", p, n, 30);
  return finish();
}
