// The primary context is reset while it has memory; then there is a new one, as good as the first.
#include "common.h"

int main(void) {
  CUdeviceptr p;
  begin();
  for (unsigned life = 0; life < 5; life++) {
    load_kernels();
    DO(cuMemAlloc(&p, 8 * MIB));
    DO(fill(0, p, life, 2 * MIB));
    check_words("in this life", p, 2 * MIB, life);
    SAY(cuDevicePrimaryCtxReset(device));
    SAY(cuMemcpyDtoH(&life, p, 0));
    DO(cuDevicePrimaryCtxRetain(&context, device));
    DO(cuCtxSetCurrent(context));
    DO(cuMemAlloc(&p, 8 * MIB));
    DO(cuMemsetD32(p, 5, 2 * MIB));
    check_words("after the reset", p, 2 * MIB, 5);
    DO(cuMemFree(p));
  }
  return finish();
}
