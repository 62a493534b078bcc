// cuMemGetAddressRange of plain, pitched, managed and host memory, in the middle and outside.
#include "common.h"

static void tell(const char *kind, CUdeviceptr p, size_t offset) {
  CUdeviceptr base = 0;
  size_t bytes = 0;
  printf("%s\n", kind);
  SAY(cuMemGetAddressRange(&base, &bytes, p + offset));
  printf("base %s, %zu bytes\n", base == p ? "the start" : base ? "another" : "none", bytes);
}

int main(void) {
  CUdeviceptr p;
  size_t pitch;
  void *host;
  int local = 0;
  begin();
  DO(cuMemAlloc(&p, 3 * MIB + 12));
  tell("plain", p, 0);
  tell("plain, its middle", p, MIB + 1);
  tell("plain, its last byte", p, 3 * MIB + 11);
  DO(cuMemFree(p));
  tell("freed", p, 0);
  DO(cuMemAllocPitch(&p, &pitch, 512, 100, 4));
  tell("pitched", p, 512);
  DO(cuMemAllocManaged(&p, MIB, CU_MEM_ATTACH_GLOBAL));
  tell("managed", p, 4);
  DO(cuMemAllocHost(&host, MIB));
  tell("page-locked", (CUdeviceptr)(uintptr_t)host, 4);
  tell("a local", (CUdeviceptr)(uintptr_t)&local, 0);
  return finish();
}
