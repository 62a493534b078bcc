// Every device has a context, memory and work of its own; one thread goes round between them.
#include "common.h"

int main(void) {
  int count;
  begin();
  load_kernels();
  DO(cuDeviceGetCount(&count));
  if (count > 4) count = 4;
  CUcontext contexts[4];
  CUdeviceptr p[4];
  for (int i = 0; i < count; i++) {
    DO(cuDevicePrimaryCtxRetain(&contexts[i], i));
    DO(cuCtxSetCurrent(contexts[i]));
    DO(cuMemAlloc(&p[i], 4 * MIB));
    DO(fill(0, p[i], i, MIB));
  }
  for (int round = 0; round < 20; round++)
    for (int i = 0; i < count; i++) {
      CUdevice on;
      DO(cuCtxSetCurrent(contexts[i]));
      DO(cuCtxGetDevice(&on));
      failures += on != i;
      DO(add_one(0, p[i], MIB));
      DO(cuCtxSynchronize());
    }
  for (int i = 0; i < count; i++) {
    DO(cuCtxSetCurrent(contexts[i]));
    check_words("a device's memory", p[i], MIB, i + 20);
    DO(cuMemFree(p[i]));
    DO(cuDevicePrimaryCtxRelease(i));
  }
  return finish();
}
