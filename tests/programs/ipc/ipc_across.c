// Memory that is shared is copied to and from another device, without peer access.
// card: FAKECUDA_DEVICES=2
#include "two_devices.h"

int main(void) {
  CUipcMemHandle handle;
  CUdeviceptr p, q;
  size_t n = 9 * MIB;
  begin_on_two();
  DO(cuMemAlloc(&p, 4 * n));
  DO(fill(0, p, 3, n));
  DO(cuCtxSynchronize());
  DO(cuIpcGetMemHandle(&handle, p));
  DO(cuCtxSetCurrent(other));
  DO(cuMemAlloc(&q, 4 * n));
  SAY(cuMemcpyDtoD(q, p, 4 * n));
  DO(cuCtxSynchronize());
  check_words("there", q, n, 3);
  DO(fill(0, q, 4, n));
  DO(cuCtxSynchronize());
  SAY(cuMemcpyDtoD(p, q, 4 * n));
  DO(cuCtxSetCurrent(context));
  check_words("and back", p, n, 4);
  return finish();
}
