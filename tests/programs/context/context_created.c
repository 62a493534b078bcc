// Created contexts are pushed and popped on several threads; memory of one is used from the other.
#include "common.h"

static CUcontext made[2];
static CUdeviceptr p[2];

static void *work(void *argument) {
  size_t me = (size_t)argument % 2;
  CUcontext popped;
  for (int round = 0; round < 20; round++) {
    DO(cuCtxPushCurrent(made[me]));
    DO(add_one(CU_STREAM_PER_THREAD, p[me] + (size_t)argument / 2 * MIB, MIB / 4));
    DO(cuStreamSynchronize(CU_STREAM_PER_THREAD));
    DO(cuCtxPopCurrent(&popped));
    if (popped != made[me]) exit(1);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[4];
  CUcontext popped;
  DO(cuInit(0));
  load_kernels();
  for (int i = 0; i < 2; i++) {
    DO(cuCtxCreate(&made[i], NULL, 0, 0));
    DO(cuMemAlloc(&p[i], 2 * MIB));
    DO(fill(0, p[i], 10 * i, 2 * MIB / 4));
    DO(cuCtxSynchronize());
    DO(cuCtxPopCurrent(&popped));
    expect(popped == made[i], "what was created was current");
  }
  SAY(cuCtxPopCurrent(&popped));
  for (size_t i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, (void *)i);
  for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  DO(cuCtxPushCurrent(made[0]));
  check_words("the first's memory", p[0], MIB / 2, 20);
  check_words("the second's memory, from the first", p[1], MIB / 2, 30);
  SAY(cuMemFree(p[1]));
  SAY(cuCtxDestroy(made[0]));
  SAY(cuCtxDestroy(made[1]));
  return finish();
}
