// Threads without a current context get the driver's own answers, and a context set later serves them.
#include "common.h"

static CUdeviceptr p;

static void *without(void *argument) {
  CUdeviceptr q = 0;
  size_t free, total;
  unsigned words[4];
  CUcontext current;
  CUstream stream = argument;
  DO(cuCtxGetCurrent(&current));
  expect(current == NULL, "a new thread has no context");
  SAY(cuMemAlloc(&q, 4096));
  SAY(cuMemGetInfo(&free, &total));
  SAY(cuMemcpyDtoH(words, p, sizeof words));
  SAY(cuCtxSynchronize());
  SAY(fill(0, p, 3, 1024));
  SAY(fill(stream, p, 4, 1024));
  SAY(cuStreamSynchronize(stream));
  SAY(cuMemFree(p + 4096));
  DO(cuCtxSetCurrent(context));
  SAY(cuMemAlloc(&q, 4096));
  SAY(fill(0, q, 5, 1024));
  SAY(cuMemFree(q));
  return NULL;
}

int main(void) {
  pthread_t thread;
  CUstream stream;
  begin();
  load_kernels();
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuMemAlloc(&p, 8192));
  DO(fill(0, p, 1, 2048));
  DO(cuCtxSynchronize());
  pthread_create(&thread, NULL, without, stream);
  pthread_join(thread, NULL);
  check_words("the second half", p + 4096, 1024, 1);
  return finish();
}
