// Managed memory attached to the host, then to a stream.
#include "common.h"

int main(void) {
  CUdeviceptr p;
  CUstream stream;
  size_t n = MIB;
  begin();
  load_kernels();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuMemAllocManaged(&p, 4 * n, CU_MEM_ATTACH_HOST));
  unsigned *words = (unsigned *)(uintptr_t)p;
  for (size_t i = 0; i < n; i++) words[i] = 30;
  SAY(cuStreamAttachMemAsync(stream, p, 0, CU_MEM_ATTACH_SINGLE));
  DO(cuStreamSynchronize(stream));
  DO(add_one(stream, p, n));
  DO(cuStreamSynchronize(stream));
  expect(count_wrong(words, n, 31) == 0, "the host sees what the stream has written");
  SAY(cuStreamAttachMemAsync(stream, p, 0, CU_MEM_ATTACH_HOST));
  DO(cuStreamSynchronize(stream));
  expect(count_wrong(words, n, 31) == 0, "and again");
  SAY(cuMemFree(p));
  return finish();
}
