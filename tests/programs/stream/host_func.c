// Host functions in a stream that carries no other work, and between kernels, are called in order.
#include "common.h"

static int calls[256], count;
static void CUDA_CB note(void *argument) { calls[count++ % 256] = (int)(intptr_t)argument; }

int main(void) {
  CUstream stream;
  CUdeviceptr p;
  begin();
  load_kernels();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  for (int i = 0; i < 50; i++) DO(cuLaunchHostFunc(stream, note, (void *)(intptr_t)i));
  DO(cuStreamSynchronize(stream));
  expect(count == 50, "50 calls without any kernel");
  DO(cuMemAlloc(&p, MIB));
  for (int i = 50; i < 100; i++) {
    DO(fill(stream, p, i, MIB / 4));
    DO(cuLaunchHostFunc(stream, note, (void *)(intptr_t)i));
    if (i % 10 == 0) DO(cuStreamSynchronize(stream));
  }
  DO(cuStreamSynchronize(stream));
  expect(count == 100, "100 calls");
  for (int i = 0; i < 100; i++) failures += calls[i] != i;
  expect(failures == 0, "in order");
  return finish();
}
