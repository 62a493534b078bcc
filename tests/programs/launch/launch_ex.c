// Launches by cuLaunchKernelEx, with attributes and without.
#include "common.h"

int main(void) {
  CUdeviceptr p;
  size_t n = MIB;
  CUstream stream;
  begin();
  load_kernels();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuMemAlloc(&p, 4 * n));
  CUlaunchConfig config = {.gridDimX = 64, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 128, .blockDimY = 1, .blockDimZ = 1,
                           .hStream = stream};
  unsigned value = 9;
  DO(cuLaunchKernelEx(&config, fill_kernel, ARGUMENTS(&p, &value, &n), NULL));
  CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_PRIORITY, .value = {.priority = 0}};
  config.attrs = &attribute;
  config.numAttrs = 1;
  for (int round = 0; round < 30; round++) {
    DO(cuLaunchKernelEx(&config, add_one_kernel, ARGUMENTS(&p, &n), NULL));
    if (round % 3 == 0) DO(cuStreamSynchronize(stream));
  }
  DO(cuStreamSynchronize(stream));
  check_words("after 30 launches", p, n, 39);
  SAY(cuLaunchKernelEx(NULL, add_one_kernel, ARGUMENTS(&p, &n), NULL));
  return finish();
}
