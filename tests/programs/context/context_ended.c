// What allocates, and what tells of memory, in a primary context that has ended and is still current.
#include "common.h"

int main(void) {
  CUdeviceptr p;
  CUarray array;
  CUDA_ARRAY_DESCRIPTOR d = {.Width = 64, .Height = 64, .Format = CU_AD_FORMAT_UNSIGNED_INT32, .NumChannels = 1};
  void *host;
  size_t pitch, free, total;
  for (int life = 0; life < 3; life++) {
    begin();
    DO(cuMemAlloc(&p, 4 * MIB));
    DO(cuMemsetD32(p, life, MIB));
    check_words("in this life", p, MIB, life);
    SAY(cuDevicePrimaryCtxRelease(device));
    SAY(cuMemAlloc(&p, 4096));
    SAY(cuMemAlloc(&p, 64 * MIB));
    SAY(cuMemAllocPitch(&p, &pitch, 1024, 1024, 4));
    SAY(cuMemAllocManaged(&p, 4096, CU_MEM_ATTACH_GLOBAL));
    SAY(cuMemAllocAsync(&p, 4096, 0));
    SAY(cuArrayCreate(&array, &d));
    SAY(cuMemHostAlloc(&host, 4096, 0));
    SAY(cuMemGetInfo(&free, &total));
  }
  return finish();
}
