// Allocations that the driver refuses are refused with the same error, and the next one is served.
#include "common.h"

int main(void) {
  CUdeviceptr p = 0;
  size_t total;
  SAY(cuMemAlloc(&p, 1024));
  DO(cuInit(0));
  SAY(cuMemAlloc(&p, 1024));
  SAY(cuMemAlloc(&p, 0));
  begin();
  DO(cuDeviceTotalMem(&total, device));
  SAY(cuMemAlloc(&p, 0));
  SAY(cuMemAlloc(NULL, 1024));
  SAY(cuMemAlloc(&p, total + MIB));
  SAY(cuMemAlloc(&p, (size_t)1 << 60));
  SAY(cuMemAlloc(&p, SIZE_MAX));
  expect(p == 0, "nothing was written to the result");
  SAY(cuMemAlloc(&p, 1024));
  SAY(cuMemFree(p));
  return finish();
}
