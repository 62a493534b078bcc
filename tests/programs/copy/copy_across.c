// Plain memory is copied between devices by calls that name no context, without peer access.
// card: FAKECUDA_DEVICES=2
#include "two_devices.h"

int main(void) {
  CUdeviceptr p, q;
  CUstream stream;
  size_t n = 9 * MIB;
  begin_on_two();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuMemAlloc(&p, 4 * n));
  DO(cuCtxSetCurrent(other));
  DO(cuMemAlloc(&q, 4 * n));
  DO(cuMemsetD32(q, 0, n));
  DO(cuCtxSynchronize());
  for (unsigned round = 0; round < 3; round++) {
    DO(cuCtxSetCurrent(context));
    DO(fill(stream, p, 10 * round, n));
    DO(cuMemcpyDtoDAsync(q, p, 4 * n, stream));
    DO(cuStreamSynchronize(stream));
    DO(cuCtxSetCurrent(other));
    DO(add_one(0, q, n));
    DO(cuMemcpyDtoD(p, q, 4 * n));
    DO(cuCtxSynchronize());
    DO(cuCtxSetCurrent(context));
    DO(add_one(0, p, n));
    DO(cuMemcpy(q, p, 4 * n));
    DO(cuCtxSynchronize());
    DO(cuMemcpyAsync(p, q, 2 * n, stream));
    DO(cuStreamSynchronize(stream));
    check_words("there and back", p, n, 10 * round + 2);
    DO(cuCtxSetCurrent(other));
    check_words("there", q, n, 10 * round + 2);
  }
  return finish();
}
