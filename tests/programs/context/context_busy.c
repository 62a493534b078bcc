// A context is destroyed while its kernels still run: nothing of its memory is another's before they have ended.
#include "common.h"

static CUdeviceptr of_it[2];
static size_t sizes[] = {4 * MIB, 36 * MIB};
static volatile int go, wrong;

// In the primary context: allocates what it can get meanwhile, writes to it and looks whether it stays.
static void *meanwhile(void *unused) {
  (void)unused;
  CUdeviceptr mine[20];
  DO(cuCtxSetCurrent(context));
  while (!go) usleep(100);
  for (unsigned i = 0; i < COUNT(mine); i++) {
    DO(cuMemAlloc(&mine[i], sizes[0]));
    DO(cuMemsetD32(mine[i], i, MIB));
    usleep(1000);
  }
  DO(cuCtxSynchronize());
  usleep(50000);
  unsigned *words = malloc(4 * MIB);
  for (unsigned i = 0; i < COUNT(mine); i++) {
    DO(cuMemcpyDtoH(words, mine[i], 4 * MIB));
    wrong += count_wrong(words, MIB, i) != 0;
    DO(cuMemFree(mine[i]));
  }
  free(words);
  return NULL;
}

int main(void) {
  begin();
  load_kernels();
  for (int round = 0; round < 2; round++) {
    CUcontext made;
    CUstream stream;
    pthread_t thread;
    go = 0;
    pthread_create(&thread, NULL, meanwhile, NULL);
    DO(cuCtxCreate(&made, NULL, 0, device));
    DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (int i = 0; i < 2; i++) DO(cuMemAlloc(&of_it[i], sizes[i]));
    DO(spin(stream, 200000000));
    for (int i = 0; i < 2; i++) DO(fill(stream, of_it[i], 0xbad, sizes[i] / 4));
    go = 1;
    SAY(cuCtxDestroy(made));
    pthread_join(thread, NULL);
    DO(cuCtxSetCurrent(context));
    expect(!wrong, "nobody writes to the others' memory");
  }
  return finish();
}
