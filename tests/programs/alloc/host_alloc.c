// Page-locked host memory of every kind: kernels write it by its device address, copies are asynchronous.
#include "common.h"

int main(void) {
  unsigned flags[] = {0, CU_MEMHOSTALLOC_PORTABLE, CU_MEMHOSTALLOC_DEVICEMAP, CU_MEMHOSTALLOC_WRITECOMBINED};
  size_t n = MIB / 4;
  CUdeviceptr p, at;
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4 * n));
  for (size_t i = 0; i < COUNT(flags); i++) {
    unsigned *words, said = 99;
    DO(cuMemHostAlloc((void **)&words, 4 * n, flags[i]));
    DO(cuMemHostGetDevicePointer(&at, words, 0));
    DO(fill(0, at, 10 + i, n));
    DO(cuCtxSynchronize());
    expect(count_wrong(words, n, 10 + i) == 0, "flags %u: a kernel writes it", flags[i]);
    DO(cuMemcpyHtoDAsync(p, words, 4 * n, 0));
    DO(add_one(0, p, n));
    DO(cuMemcpyDtoHAsync(words, p, 4 * n, 0));
    DO(cuStreamSynchronize(0));
    expect(count_wrong(words, n, 11 + i) == 0, "flags %u: copied in and out", flags[i]);
    DO(cuMemHostGetFlags(&said, words));
    printf("flags %u\n", said);
    DO(cuMemFreeHost(words));
    SAY(cuMemFreeHost(words));
  }
  SAY(cuMemHostAlloc((void **)&at, 0, 0));
  SAY(cuMemFree(p));
  return finish();
}
