// Launches that the driver refuses are refused with the same error, and the next one runs.
#include "common.h"

int main(void) {
  CUdeviceptr p;
  size_t n = 1000;
  unsigned value = 6;
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4 * n));
  SAY(cuLaunchKernel(fill_kernel, 0, 1, 1, 32, 1, 1, 0, 0, ARGUMENTS(&p, &value, &n), NULL));
  SAY(cuLaunchKernel(fill_kernel, 1, 1, 1, 0, 1, 1, 0, 0, ARGUMENTS(&p, &value, &n), NULL));
  SAY(cuMemsetD32(p + 2, 1, 10));
  SAY(cuMemcpyDtoH(&value, p, 0));
  SAY(cuMemsetD8(p, 1, 0));
  DO(fill(0, p, 6, n));
  check_words("the next launch", p, n, 6);
  return finish();
}
