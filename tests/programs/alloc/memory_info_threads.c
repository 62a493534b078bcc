// Four threads allocate and free; what is left when all are done is what was there before.
#include "common.h"

static void *work(void *argument) {
  DO(cuCtxSetCurrent(context));
  for (size_t round = 0; round < 40; round++) {
    CUdeviceptr p[4];
    for (size_t i = 0; i < 4; i++) DO(cuMemAlloc(&p[i], (i + 1) * MIB));
    for (size_t i = 0; i < 4; i++) DO(fill(0, p[i], (size_t)argument, MIB / 4));
    for (size_t i = 0; i < 4; i++) DO(cuMemFree(p[i]));
  }
  return NULL;
}

int main(void) {
  pthread_t threads[4];
  CUdeviceptr kept;
  begin();
  load_kernels();
  DO(cuMemAlloc(&kept, 4 * MIB));
  DO(fill(0, kept, 90, MIB));
  for (size_t i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, (void *)i);
  for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  check_words("what nobody has touched", kept, MIB, 90);
  return finish();
}
