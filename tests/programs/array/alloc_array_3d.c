// An array of three dimensions, layered too, is filled and read by 3D copies.
#include "common.h"

enum { W = 32, H = 16, D = 8 };

int main(void) {
  static unsigned in[D][H][W], out[D][H][W];
  begin();
  for (int i = 0; i < W * H * D; i++) ((unsigned *)in)[i] = i * 3 + 1;
  unsigned kinds[] = {0, CUDA_ARRAY3D_LAYERED, CUDA_ARRAY3D_SURFACE_LDST};
  for (size_t kind = 0; kind < COUNT(kinds); kind++) {
    CUarray array;
    CUDA_ARRAY3D_DESCRIPTOR d = {.Width = W, .Height = H, .Depth = D, .Format = CU_AD_FORMAT_UNSIGNED_INT32,
                                 .NumChannels = 1, .Flags = kinds[kind]};
    DO(cuArray3DCreate(&array, &d));
    CUDA_MEMCPY3D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = in, .srcPitch = 4 * W, .srcHeight = H,
                          .dstMemoryType = CU_MEMORYTYPE_ARRAY, .dstArray = array,
                          .WidthInBytes = 4 * W, .Height = H, .Depth = D};
    DO(cuMemcpy3D(&copy));
    copy = (CUDA_MEMCPY3D){.srcMemoryType = CU_MEMORYTYPE_ARRAY, .srcArray = array,
                           .dstMemoryType = CU_MEMORYTYPE_HOST, .dstHost = out, .dstPitch = 4 * W, .dstHeight = H,
                           .WidthInBytes = 4 * W, .Height = H, .Depth = D};
    memset(out, 0, sizeof out);
    DO(cuMemcpy3D(&copy));
    expect(memcmp(in, out, sizeof in) == 0, "flags %u: the host reads what it wrote", kinds[kind]);
    memset(&d, 0, sizeof d);
    DO(cuArray3DGetDescriptor(&d, array));
    printf("%zu x %zu x %zu, flags %u\n", d.Width, d.Height, d.Depth, d.Flags);
    DO(cuArrayDestroy(array));
  }
  return finish();
}
