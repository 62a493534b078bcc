// Arrays of one and two dimensions hold what is copied into them, and tell their descriptors.
#include "common.h"

int main(void) {
  CUarray line, plane;
  CUDA_ARRAY_DESCRIPTOR d = {.Width = 1024, .Height = 0, .Format = CU_AD_FORMAT_UNSIGNED_INT32, .NumChannels = 1};
  static unsigned in[64][128], out[64][128];
  CUdeviceptr p;
  begin();
  for (int i = 0; i < 64 * 128; i++) in[i / 128][i % 128] = i * 7;
  DO(cuArrayCreate(&line, &d));
  DO(cuMemcpyHtoA(line, 0, in, 4096));
  DO(cuMemcpyAtoH(out, line, 0, 4096));
  expect(memcmp(in, out, 4096) == 0, "1D: the host reads what it wrote");
  d = (CUDA_ARRAY_DESCRIPTOR){.Width = 128, .Height = 64, .Format = CU_AD_FORMAT_UNSIGNED_INT32, .NumChannels = 1};
  DO(cuArrayCreate(&plane, &d));
  memset(&d, 0, sizeof d);
  DO(cuArrayGetDescriptor(&d, plane));
  printf("%zu x %zu, format %d, %u channels\n", d.Width, d.Height, d.Format, d.NumChannels);
  DO(cuMemAlloc(&p, sizeof in));
  DO(cuMemcpyHtoD(p, in, sizeof in));
  CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = p, .srcPitch = 512,
                        .dstMemoryType = CU_MEMORYTYPE_ARRAY, .dstArray = plane, .WidthInBytes = 512, .Height = 64};
  DO(cuMemcpy2D(&copy));
  copy = (CUDA_MEMCPY2D){.srcMemoryType = CU_MEMORYTYPE_ARRAY, .srcArray = plane,
                         .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = out, .dstPitch = 512,
                         .WidthInBytes = 512, .Height = 64};
  memset(out, 0, sizeof out);
  DO(cuMemcpy2D(&copy));
  expect(memcmp(in, out, sizeof in) == 0, "2D: device to array to host");
  SAY(cuArrayDestroy(line));
  SAY(cuArrayDestroy(plane));
  d.Width = 0;
  SAY(cuArrayCreate(&plane, &d));
  return finish();
}
