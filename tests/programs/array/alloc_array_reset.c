// alone: they are large. Arrays go with a reset of the device, again and again.
#include "common.h"

int main(void) {
  for (int round = 0; round < 40; round++) {
    CUarray array;
    begin();
    CUDA_ARRAY3D_DESCRIPTOR d = {.Width = 1024, .Height = 16 * 1024, .Format = CU_AD_FORMAT_UNSIGNED_INT32, .NumChannels = 1};
    DO(cuArray3DCreate(&array, &d));
    DO(cuCtxSetCurrent(NULL));
    DO(cuDevicePrimaryCtxReset(device));
    DO(cuDevicePrimaryCtxRelease(device));
  }
  printf("40 rounds\n");
  return finish();
}
