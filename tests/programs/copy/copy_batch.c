// A batch of copies in one call.
#include "common.h"

int main(void) {
  enum { COPIES = 6 };
  CUdeviceptr from[COPIES], to[COPIES];
  size_t sizes[COPIES], first = 0;
  CUstream stream;
  begin();
  load_kernels();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  for (unsigned i = 0; i < COPIES; i++) {
    sizes[i] = (i + 1) * MIB;
    DO(cuMemAlloc(&from[i], sizes[i]));
    DO(cuMemAlloc(&to[i], sizes[i]));
    DO(fill(stream, from[i], 200 + i, sizes[i] / 4));
  }
  CUmemcpyAttributes attributes = {.srcAccessOrder = CU_MEMCPY_SRC_ACCESS_ORDER_STREAM};
  for (int round = 0; round < 10; round++) {
    DO(cuMemcpyBatchAsync(to, from, sizes, COPIES, &attributes, &first, 1, stream));
    DO(cuStreamSynchronize(stream));
  }
  for (unsigned i = 0; i < COPIES; i++) check_words("a copy", to[i], sizes[i] / 4, 200 + i);
  return finish();
}
