// The primary context is retained, asked for, released to its end, and comes to life again.
#include "common.h"

static void state(const char *when) {
  unsigned flags;
  int active;
  DO(cuDevicePrimaryCtxGetState(device, &flags, &active));
  printf("%s: %s\n", when, active ? "active" : "inactive");
}

int main(void) {
  CUcontext again;
  CUdeviceptr p;
  DO(cuInit(0));
  DO(cuDeviceGet(&device, 0));
  state("at first");
  for (unsigned life = 0; life < 3; life++) {
    begin();
    load_kernels();
    state("retained");
    DO(cuDevicePrimaryCtxRetain(&again, device));
    expect(again == context, "retained again it is the same");
    DO(cuMemAlloc(&p, 4 * MIB));
    DO(fill(0, p, life, MIB));
    check_words("in this life", p, MIB, life);
    SAY(cuDevicePrimaryCtxRelease(device));
    state("released once");
    check_words("still", p, MIB, life);
    SAY(cuDevicePrimaryCtxRelease(device));
    state("released twice");
    SAY(cuCtxSynchronize());
    SAY(cuMemAlloc(&p, 4096));
  }
  return finish();
}
