// The program ends while four threads launch: its exit code is its own and nothing hangs.
#include "common.h"

static pthread_barrier_t begun;

static void *launches(void *argument) {
  CUdeviceptr p = *(CUdeviceptr *)argument;
  cuCtxSetCurrent(context);
  for (int i = 0;; i++) {
    // Any answer will do: the driver goes away under these threads.
    if (add_one(0, p, MIB) == CUDA_SUCCESS && i == 10) pthread_barrier_wait(&begun);
    if (i % 10 == 0) cuStreamSynchronize(0);
  }
  return NULL;
}

int main(void) {
  pthread_t thread;
  CUdeviceptr p;
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4 * MIB));
  pthread_barrier_init(&begun, NULL, 5);
  for (int i = 0; i < 4; i++) pthread_create(&thread, NULL, launches, &p);
  pthread_barrier_wait(&begun);
  printf("ends now\n");
  exit(0);
}
