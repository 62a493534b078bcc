// alone: they are large. Arrays go with a reset of the device, again and again.
#include "common.h"

int main(void) {
  begin();
  for (int round = 0; round < 40; round++) {
    CUarray array;
    CUmipmappedArray levels;
    CUDA_ARRAY3D_DESCRIPTOR d = {.Width = 1024, .Height = 16 * 1024, .Format = CU_AD_FORMAT_UNSIGNED_INT32, .NumChannels = 1};
    DO(cuArray3DCreate(&array, &d));
    d.Height = 1024;
    DO(cuMipmappedArrayCreate(&levels, &d, 3));
    DO(cuDevicePrimaryCtxReset(device));
    DO(cuDevicePrimaryCtxRetain(&context, device));
    DO(cuCtxSetCurrent(context));
  }
  printf("40 rounds\n");
  return finish();
}
