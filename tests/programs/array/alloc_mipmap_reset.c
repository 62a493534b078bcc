// alone: they are large. Mipmapped arrays go with a reset of the device, again and again.
// crashes the driver: 580.159.04 frees something of a mipmapped array twice when the device is reset, without nvshare too
#include "common.h"

int main(void) {
  for (int round = 0; round < 40; round++) {
    CUmipmappedArray levels;
    begin();
    CUDA_ARRAY3D_DESCRIPTOR d = {.Width = 1024, .Height = 16 * 1024, .Format = CU_AD_FORMAT_UNSIGNED_INT32, .NumChannels = 1};
    DO(cuMipmappedArrayCreate(&levels, &d, 3));
    DO(cuCtxSetCurrent(NULL));
    DO(cuDevicePrimaryCtxReset(device));
    DO(cuDevicePrimaryCtxRelease(device));
  }
  printf("40 rounds\n");
  return finish();
}
