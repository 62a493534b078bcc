// Memory is created and mapped by a thread without a current context, and used by one with it.
#include "vmm.h"

static CUdeviceptr at;
static size_t bytes;

static void *without(void *argument) {
  CUcontext current;
  DO(cuCtxGetCurrent(&current));
  expect(current == NULL, "a new thread has no context");
  *(CUmemGenericAllocationHandle *)argument = map_new(at, bytes);
  return NULL;
}

int main(void) {
  CUmemGenericAllocationHandle handle;
  pthread_t thread;
  begin();
  load_kernels();
  bytes = granule();
  DO(cuMemAddressReserve(&at, bytes, 0, 0, 0));
  pthread_create(&thread, NULL, without, &handle);
  pthread_join(thread, NULL);
  DO(fill(0, at, 21, bytes / 4));
  check_words("mapped by the other thread", at, bytes / 4, 21);
  SAY(cuMemUnmap(at, bytes));
  SAY(cuMemRelease(handle));
  return finish();
}
