// Memory of the default pool, allocated and freed in a stream's order, over and over.
#include "common.h"

int main(void) {
  CUstream stream;
  CUdeviceptr p;
  size_t n = MIB;
  begin();
  load_kernels();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  for (int round = 0; round < 30; round++) {
    unsigned word = 0;
    DO(cuMemAllocAsync(&p, 4 * n, stream));
    DO(fill(stream, p, round, n));
    DO(add_one(stream, p, n));
    DO(cuMemcpyDtoHAsync(&word, p + 4 * (n - 1), 4, stream));
    DO(cuMemFreeAsync(p, stream));
    DO(cuStreamSynchronize(stream));
    expect(word == (unsigned)round + 1, "round %d", round);
  }
  DO(cuMemAllocAsync(&p, 4 * n, 0));
  DO(fill(0, p, 77, n));
  check_words("on the default stream", p, n, 77);
  SAY(cuMemFree(p));
  SAY(cuMemAllocAsync(&p, 0, stream));
  SAY(cuMemAllocAsync(&p, (size_t)1 << 55, stream));
  SAY(cuMemFreeAsync(12345, stream));
  SAY(cuStreamSynchronize(stream));
  return finish();
}
