// A mipmapped array: each level is an array of half the size.
#include "common.h"

int main(void) {
  CUmipmappedArray mipmap;
  CUDA_ARRAY3D_DESCRIPTOR d = {.Width = 64, .Height = 64, .Depth = 0, .Format = CU_AD_FORMAT_UNSIGNED_INT32,
                               .NumChannels = 1};
  static unsigned in[64 * 64], out[64 * 64];
  begin();
  for (int i = 0; i < 64 * 64; i++) in[i] = ~i;
  DO(cuMipmappedArrayCreate(&mipmap, &d, 4));
  for (unsigned level = 0; level < 4; level++) {
    CUarray array;
    size_t side = 64 >> level;
    DO(cuMipmappedArrayGetLevel(&array, mipmap, level));
    DO(cuArray3DGetDescriptor(&d, array));
    printf("level %u: %zu x %zu\n", level, d.Width, d.Height);
    CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = in, .srcPitch = 4 * side,
                          .dstMemoryType = CU_MEMORYTYPE_ARRAY, .dstArray = array,
                          .WidthInBytes = 4 * side, .Height = side};
    DO(cuMemcpy2D(&copy));
    copy = (CUDA_MEMCPY2D){.srcMemoryType = CU_MEMORYTYPE_ARRAY, .srcArray = array,
                           .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = out, .dstPitch = 4 * side,
                           .WidthInBytes = 4 * side, .Height = side};
    memset(out, 0, sizeof out);
    DO(cuMemcpy2D(&copy));
    expect(memcmp(in, out, 4 * side * side) == 0, "level %u holds its data", level);
  }
  CUarray array;
  SAY(cuMipmappedArrayGetLevel(&array, mipmap, 9));
  SAY(cuMipmappedArrayDestroy(mipmap));
  return finish();
}
