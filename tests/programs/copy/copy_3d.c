// A box is copied out of a larger one, device to device and to the host.
#include "common.h"

enum { W = 64, H = 32, D = 16 };

int main(void) {
  static unsigned in[D][H][W], out[D][H][W];
  CUdeviceptr p, q;
  begin();
  for (unsigned i = 0; i < W * H * D; i++) ((unsigned *)in)[i] = i;
  DO(cuMemAlloc(&p, sizeof in));
  DO(cuMemAlloc(&q, sizeof in));
  DO(cuMemcpyHtoD(p, in, sizeof in));
  DO(cuMemsetD32(q, 0, W * H * D));
  CUDA_MEMCPY3D copy = {.srcMemoryType = CU_MEMORYTYPE_DEVICE, .srcDevice = p, .srcPitch = 4 * W, .srcHeight = H,
                        .srcXInBytes = 4 * 8, .srcY = 4, .srcZ = 2,
                        .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = q, .dstPitch = 4 * W, .dstHeight = H,
                        .WidthInBytes = 4 * 16, .Height = 8, .Depth = 4};
  DO(cuMemcpy3DAsync(&copy, 0));
  DO(cuMemcpyDtoH(out, q, sizeof out));
  size_t wrong = 0;
  for (unsigned z = 0; z < D; z++)
    for (unsigned y = 0; y < H; y++)
      for (unsigned x = 0; x < W; x++) {
        unsigned inside = z < 4 && y < 8 && x < 16;
        wrong += out[z][y][x] != (inside ? in[z + 2][y + 4][x + 8] : 0);
      }
  expect(wrong == 0, "the box is in its place and nothing else was written");
  return finish();
}
