// Eight threads launch on streams of their own at the same time; every word is right.
#include "common.h"

enum { THREADS = 8, ROUNDS = 50, WORDS = 65536 };
static CUdeviceptr at[THREADS];

static void *work(void *argument) {
  size_t me = (size_t)argument;
  CUstream stream;
  DO(cuCtxSetCurrent(context));
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(fill(stream, at[me], 10 * me, WORDS));
  for (int round = 0; round < ROUNDS; round++) {
    DO(add_one(stream, at[me], WORDS));
    if (round % 10 == 0) DO(cuStreamSynchronize(stream));
  }
  DO(cuStreamSynchronize(stream));
  DO(cuStreamDestroy(stream));
  return NULL;
}

int main(void) {
  pthread_t threads[THREADS];
  begin();
  load_kernels();
  for (size_t i = 0; i < THREADS; i++) DO(cuMemAlloc(&at[i], 4 * WORDS));
  for (size_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, (void *)i);
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (size_t i = 0; i < THREADS; i++) check_words("a thread's memory", at[i], WORDS, 10 * i + ROUNDS);
  return finish();
}
