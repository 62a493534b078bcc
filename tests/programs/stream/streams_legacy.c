// What the default stream orders: blocking streams, non-blocking ones, other threads.
#include "common.h"

static CUdeviceptr p;
enum { N = 1 << 18 };

static void *launches(void *argument) {
  DO(cuCtxSetCurrent(context));
  for (int i = 0; i < 50; i++) DO(add_one(0, p + (uintptr_t)argument * 4 * N, N));
  DO(cuStreamSynchronize(0));
  return NULL;
}

int main(void) {
  CUstream blocking;
  pthread_t threads[4];
  begin();
  load_kernels();
  DO(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
  DO(cuMemAlloc(&p, 16 * N));
  DO(cuMemsetD32(p, 0, 4 * N));
  for (int i = 0; i < 20; i++) {
    DO(add_one(CU_STREAM_LEGACY, p, N));
    DO(add_one(blocking, p, N));
  }
  DO(cuStreamSynchronize(blocking));
  DO(cuStreamSynchronize(CU_STREAM_LEGACY));
  check_words("the default stream and a blocking one in turns", p, N, 40);
  DO(add_one(CU_STREAM_PER_THREAD, p, N));
  DO(cuStreamSynchronize(CU_STREAM_PER_THREAD));
  check_words("the thread's own stream", p, N, 41);
  DO(cuMemsetD32(p, 0, 4 * N));
  DO(cuCtxSynchronize());
  for (uintptr_t i = 0; i < 4; i++) pthread_create(&threads[i], NULL, launches, (void *)i);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  check_words("four threads on stream 0", p, 4 * N, 50);
  return finish();
}
