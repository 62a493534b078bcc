// Memory of another device's pool lies on that device, whichever context it is asked for in.
// card: FAKECUDA_DEVICES=2
#include "two_devices.h"

int main(void) {
  CUmemoryPool usual, own;
  CUdeviceptr p, q;
  CUdevice on = -1;
  size_t n = MIB;
  begin_on_two();
  DO(cuDeviceGetDefaultMemPool(&usual, 1));
  CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1}};
  DO(cuMemPoolCreate(&own, &props));
  DO(cuMemAllocFromPoolAsync(&p, 4 * n, usual, 0));
  DO(cuMemAllocFromPoolAsync(&q, 4 * n, own, 0));
  DO(cuCtxSynchronize());
  for (int i = 0; i < 2; i++) {
    DO(cuPointerGetAttribute(&on, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, i ? q : p));
    printf("on device %d\n", on);
  }
  DO(cuCtxSetCurrent(other));
  DO(fill(0, p, 1, n));
  DO(fill(0, q, 2, n));
  check_words("of the usual pool", p, n, 1);
  check_words("of its own pool", q, n, 2);
  DO(cuMemFreeAsync(p, 0));
  DO(cuMemFreeAsync(q, 0));
  SAY(cuMemPoolDestroy(own));
  DO(cuCtxSynchronize());
  return finish();
}
