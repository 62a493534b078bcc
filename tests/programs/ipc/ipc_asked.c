// Threads ask about memory while it is shared.
#include "common.h"

static CUdeviceptr memory[8];
static volatile int done;

static void *ask(void *unused) {
  (void)unused;
  unsigned capable;
  DO(cuCtxSetCurrent(context));
  while (!done)
    for (size_t i = 0; i < COUNT(memory); i++)
      DO(cuPointerGetAttribute(&capable, CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, memory[i]));
  return NULL;
}

int main(void) {
  pthread_t threads[2];
  CUipcMemHandle handle;
  unsigned capable = 0;
  begin();
  for (size_t i = 0; i < COUNT(memory); i++) DO(cuMemAlloc(&memory[i], (i + 1) * 33 * MIB / 4));
  for (size_t i = 0; i < COUNT(threads); i++) pthread_create(&threads[i], NULL, ask, NULL);
  for (size_t i = 0; i < COUNT(memory); i++) printf("shared: %d\n", cuIpcGetMemHandle(&handle, memory[i]));
  done = 1;
  for (size_t i = 0; i < COUNT(threads); i++) pthread_join(threads[i], NULL);
  DO(cuPointerGetAttribute(&capable, CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE, memory[0]));
  printf("capable: %u\n", capable);
  for (size_t i = 0; i < COUNT(memory); i++) SAY(cuMemFree(memory[i]));
  return finish();
}
