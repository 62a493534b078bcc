// cuGetProcAddress by version, by default stream, and for what is not there; its answers beside dlsym's.
#include "common.h"
#include <dlfcn.h>

static void *ask(const char *name, int version, cuuint64_t flags) {
  void *found = (void *)1;
  CUdriverProcAddressQueryResult status = 99;
  CUresult result = cuGetProcAddress(name, &found, version, flags, &status);
  printf("%s %d %d: %d, status %d, %s\n", name, version, (int)flags, result, status,
         found == (void *)1 ? "nothing written" : found ? "an address" : "null");
  return found;
}

int main(void) {
  DO(cuInit(0));
  void *one = ask("cuMemAlloc", 2000, 0), *two = ask("cuMemAlloc", 12000, 0);
  TELL(one == two, "both versions are one function");
  TELL(two == dlsym(RTLD_DEFAULT, "cuMemAlloc_v2"), "the newer is cuMemAlloc_v2 by dlsym");
  TELL(one == dlsym(RTLD_DEFAULT, "cuMemAlloc"), "the older is cuMemAlloc by dlsym");
  one = ask("cuLaunchKernel", 12000, CU_GET_PROC_ADDRESS_LEGACY_STREAM);
  two = ask("cuLaunchKernel", 12000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
  TELL(one == two, "both default streams are one function");
  TELL(two == dlsym(RTLD_DEFAULT, "cuLaunchKernel_ptsz"), "the second is cuLaunchKernel_ptsz by dlsym");
  ask("cuNoSuchFunction", 12000, 0);
  ask("cuMemAllocAsync", 11000, 0);
  ask("cuMemAlloc_v2", 12000, 0);
  ask("", 12000, 0);
  ask("cuGetProcAddress", 11030, 0);
  ask("cuGetProcAddress", 12000, 0);
  TELL((void *)cuMemAlloc == dlsym(RTLD_DEFAULT, "cuMemAlloc_v2"), "what is linked is what dlsym says");
  return finish();
}
