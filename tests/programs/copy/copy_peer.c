// Copies between two devices, or within the one that there is, and what is said of peer access.
#include "common.h"

int main(void) {
  int count, can = 0;
  CUcontext other;
  CUdeviceptr p, q;
  size_t n = MIB;
  begin();
  load_kernels();
  DO(cuDeviceGetCount(&count));
  CUdevice second = count > 1;
  DO(cuDevicePrimaryCtxRetain(&other, second));
  DO(cuMemAlloc(&p, 4 * n));
  DO(fill(0, p, 3, n));
  DO(cuCtxSynchronize());
  DO(cuCtxPushCurrent(other));
  DO(cuMemAlloc(&q, 4 * n));
  DO(cuMemsetD32(q, 0, n));
  DO(cuCtxSynchronize());
  for (int round = 0; round < 10; round++) {
    DO(cuMemcpyPeer(q, other, p, context, 4 * n));
    DO(add_one(0, q, n));
    DO(cuCtxSynchronize());
    DO(cuMemcpyPeerAsync(p, context, q, other, 4 * n, 0));
    DO(cuCtxSynchronize());
  }
  check_words("back and forth", q, n, 13);
  if (count > 1) {
    DO(cuDeviceCanAccessPeer(&can, second, device));
    TELL(can, "the second can read the first");
    if (can) {
      SAY(cuCtxEnablePeerAccess(context, 0));
      DO(add_one(0, p, n));
      DO(cuCtxSynchronize());
      check_words("added to from the other device", p, n, 14);
      SAY(cuCtxDisablePeerAccess(context));
    }
  }
  return finish();
}
