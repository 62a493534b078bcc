// Three vectors, added over and over; every element is checked.
#include "common.h"

int main(void) {
  size_t n = 2 * MIB;
  CUdeviceptr a, b, c;
  float *host = malloc(4 * n);
  begin();
  load_kernels();
  DO(cuMemAlloc(&a, 4 * n));
  DO(cuMemAlloc(&b, 4 * n));
  DO(cuMemAlloc(&c, 4 * n));
  for (size_t i = 0; i < n; i++) host[i] = i % 1000;
  DO(cuMemcpyHtoD(a, host, 4 * n));
  DO(cuMemsetD32(b, 0x3f800000, n)); // 1.0
  for (int round = 0; round < 20; round++) {
    DO(launch(vector_add_kernel, 0, ARGUMENTS(&c, &a, &b, &n)));
    DO(launch(vector_add_kernel, 0, ARGUMENTS(&a, &c, &b, &n)));
    DO(cuCtxSynchronize());
  }
  DO(cuMemcpyDtoH(host, a, 4 * n));
  size_t wrong = 0;
  for (size_t i = 0; i < n; i++) wrong += host[i] != (float)(i % 1000) + 40;
  expect(wrong == 0, "%zu elements are right", n);
  return finish();
}
