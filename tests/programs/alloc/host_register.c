// The program's own memory is registered: kernels and copies use it; it is refused twice.
#include "common.h"

int main(void) {
  size_t n = MIB;
  unsigned *words = aligned_alloc(4096, 4 * n);
  CUdeviceptr at, p;
  begin();
  load_kernels();
  for (size_t i = 0; i < n; i++) words[i] = 80;
  SAY(cuMemHostUnregister(words));
  DO(cuMemHostRegister(words, 4 * n, CU_MEMHOSTREGISTER_DEVICEMAP));
  SAY(cuMemHostRegister(words, 4 * n, CU_MEMHOSTREGISTER_DEVICEMAP));
  DO(cuMemHostGetDevicePointer(&at, words, 0));
  for (int round = 0; round < 20; round++) {
    DO(add_one(0, at, n));
    DO(cuCtxSynchronize());
  }
  expect(count_wrong(words, n, 100) == 0, "kernels write it");
  DO(cuMemAlloc(&p, 4 * n));
  DO(cuMemcpyHtoDAsync(p, words, 4 * n, 0));
  DO(cuCtxSynchronize());
  check_words("copied from it", p, n, 100);
  SAY(cuMemHostUnregister(words));
  SAY(cuMemHostUnregister(words));
  SAY(cuMemFree(p));
  return finish();
}
