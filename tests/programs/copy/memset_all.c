// Fills of every width, in one and two dimensions, at once and in a stream.
#include "common.h"

int main(void) {
  static unsigned char out[1 << 16];
  CUdeviceptr p;
  CUstream stream;
  size_t bytes = sizeof out;
  begin();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuMemAlloc(&p, bytes));
#define CHECK(call, at, value)                                                                    \
  do {                                                                                            \
    DO(cuMemsetD8(p, 0, bytes));                                                                  \
    DO(cuCtxSynchronize());                                                                       \
    DO(call);                                                                                     \
    DO(cuStreamSynchronize(stream));                                                              \
    DO(cuMemcpyDtoH(out, p, bytes));                                                              \
    unsigned long long sum = 0;                                                                   \
    for (size_t i = 0; i < bytes; i++) sum += out[i];                                             \
    printf("%s: byte %d is %d, the sum is %llu\n", #call, at, out[at], sum);                      \
    failures += out[at] != value;                                                                 \
  } while (0)
  CHECK(cuMemsetD8(p + 3, 7, 1001), 1003, 7);
  CHECK(cuMemsetD16(p + 4, 0x0101, 500), 1003, 1);
  CHECK(cuMemsetD32(p + 8, 0x02020202, 500), 2007, 2);
  CHECK(cuMemsetD2D8(p, 256, 5, 100, 10), 256 * 9 + 99, 5);
  CHECK(cuMemsetD2D16(p, 256, 0x0606, 100, 10), 256 * 9 + 199, 6);
  CHECK(cuMemsetD2D32(p, 512, 0x08080808, 100, 10), 512 * 9 + 399, 8);
  CHECK(cuMemsetD8Async(p, 7, 1001, stream), 1000, 7);
  CHECK(cuMemsetD16Async(p, 0x0101, 500, stream), 999, 1);
  CHECK(cuMemsetD32Async(p, 0x02020202, 500, stream), 1999, 2);
  CHECK(cuMemsetD2D8Async(p, 256, 5, 100, 10, stream), 256 * 9 + 99, 5);
  CHECK(cuMemsetD2D16Async(p, 256, 0x0606, 100, 10, stream), 256 * 9 + 199, 6);
  CHECK(cuMemsetD2D32Async(p, 512, 0x08080808, 100, 10, stream), 512 * 9 + 399, 8);
  return finish();
}
