// The host's memory and the device's are freed by calls of their own.
#include "common.h"

int main(void) {
  CUdeviceptr p;
  void *host;
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4 * MIB));
  DO(cuMemAllocHost(&host, 4096));
  DO(fill(0, p, 5, MIB));
  SAY(cuMemFreeHost((void *)(uintptr_t)p));
  SAY(cuMemFree((CUdeviceptr)(uintptr_t)host));
  check_words("the device's", p, MIB, 5);
  SAY(cuMemFree(p));
  SAY(cuMemFreeHost(host));
  return finish();
}
