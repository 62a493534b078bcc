// Memory outlives the contexts that it was used in: while there is none it is asked about and shared.
// card: FAKECUDA_DEVICES=2
#include "vmm.h"

static const CUmemAccessDesc access_here = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
                                            .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};

static void outlives(unsigned word, int reset) {
  CUmemAllocationProp properties = on_device();
  CUmemGenericAllocationHandle handle, imported;
  CUdeviceptr at, other;
  unsigned flags;
  int fd = -1, active = -1, ordinal = -1;
  size_t bytes = granule();
  properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  begin();
  load_kernels();
  DO(cuMemCreate(&handle, bytes, &properties, 0));
  DO(cuMemAddressReserve(&at, bytes, 0, 0, 0));
  DO(cuMemAddressReserve(&other, bytes, 0, 0, 0));
  DO(cuMemMap(at, bytes, 0, handle, 0));
  DO(cuMemSetAccess(at, bytes, &access_here, 1));
  DO(fill(0, at, word, bytes / 4));
  DO(cuCtxSynchronize());
  // Others may have their turns.
  usleep(300000);
  if (reset) SAY(cuDevicePrimaryCtxReset(device));
  DO(cuCtxSetCurrent(NULL));
  SAY(cuDevicePrimaryCtxRelease(device));
  DO(cuDevicePrimaryCtxGetState(device, &flags, &active));
  expect(!active, "there is no context");
  SAY(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, at));
  SAY(cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
  SAY(cuMemImportFromShareableHandle(&imported, (void *)(intptr_t)fd, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
  SAY(cuMemMap(other, bytes, 0, imported, 0));
  SAY(cuMemSetAccess(other, bytes, &access_here, 1));
  begin();
  check_words("where it was", at, bytes / 4, word);
  check_words("by the other handle", other, bytes / 4, word);
  DO(cuMemUnmap(at, bytes));
  DO(cuMemUnmap(other, bytes));
  DO(cuMemRelease(handle));
  DO(cuMemRelease(imported));
  DO(cuDevicePrimaryCtxRelease(device));
}

// Where there is a second device, its context needs nothing of the first.
static void goes_on_elsewhere(void) {
  CUdeviceptr at;
  CUcontext other;
  CUdevice second;
  int count;
  size_t bytes = granule();
  DO(cuDeviceGetCount(&count));
  if (count < 2) return;
  begin();
  DO(cuMemAddressReserve(&at, bytes, 0, 0, 0));
  CUmemGenericAllocationHandle handle = map_new(at, bytes);
  DO(fill(0, at, 3, bytes / 4));
  DO(cuCtxSynchronize());
  usleep(300000);
  DO(cuCtxSetCurrent(NULL));
  DO(cuDevicePrimaryCtxRelease(device));
  DO(cuDeviceGet(&second, 1));
  DO(cuDevicePrimaryCtxRetain(&other, second));
  DO(cuCtxSetCurrent(other));
  CUdeviceptr p;
  DO(cuMemAlloc(&p, 4 * MIB));
  DO(fill(0, p, 4, MIB));
  check_words("on the second device", p, MIB, 4);
  DO(cuMemFree(p));
  begin();
  check_words("on the first again", at, bytes / 4, 3);
  DO(cuMemUnmap(at, bytes));
  DO(cuMemRelease(handle));
}

int main(void) {
  DO(cuInit(0));
  outlives(7, 0);
  outlives(8, 1);
  goes_on_elsewhere();
  return finish();
}
