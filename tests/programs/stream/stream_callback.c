// Callbacks of the old kind are called with the stream's status, after its work.
#include "common.h"

static unsigned *words;
static int right, calls;
static void CUDA_CB note(CUstream stream, CUresult status, void *argument) {
  (void)stream;
  right += status == CUDA_SUCCESS && words[0] == (unsigned)(uintptr_t)argument;
  calls++;
}

int main(void) {
  CUstream stream;
  CUdeviceptr p;
  begin();
  load_kernels();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuMemAllocHost((void **)&words, MIB));
  DO(cuMemAlloc(&p, MIB));
  for (uintptr_t i = 1; i <= 30; i++) {
    DO(fill(stream, p, i, MIB / 4));
    DO(cuMemcpyDtoHAsync(words, p, MIB, stream));
    DO(cuStreamAddCallback(stream, note, (void *)i, 0));
  }
  DO(cuStreamSynchronize(stream));
  expect(calls == 30 && right == 30, "30 calls, each after its work");
  return finish();
}
