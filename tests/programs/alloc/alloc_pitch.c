// Pitched memory: rows are at least as wide as asked, aligned, and hold what 2D fills and copies put there.
#include "common.h"

int main(void) {
  CUdeviceptr p = 0;
  size_t pitch = 0, width = 1000, height = 37;
  begin();
  DO(cuMemAllocPitch(&p, &pitch, width, height, 4));
  expect(pitch >= width && pitch % 256 == 0, "the pitch holds a row");
  DO(cuMemsetD2D32(p, pitch, 9, width / 4, height));
  unsigned host[37][250];
  memset(host, 0, sizeof host);
  CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = p, .srcPitch = pitch,
                        .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = host, .dstPitch = width,
                        .WidthInBytes = width, .Height = height};
  DO(cuMemcpy2D(&copy));
  expect(count_wrong(host[0], 37 * 250, 9) == 0, "all rows are right");
  DO(cuMemFree(p));
  SAY(cuMemAllocPitch(&p, &pitch, 0, height, 4));
  SAY(cuMemAllocPitch(&p, &pitch, width, 0, 4));
  SAY(cuMemAllocPitch(&p, &pitch, width, height, 3));
  SAY(cuMemAllocPitch(&p, &pitch, (size_t)1 << 40, (size_t)1 << 20, 4));
  return finish();
}
