// A process that never makes a context makes memory, maps it, asks about it and shares it.
#include "vmm.h"

int main(void) {
  CUmemAllocationProp properties = on_device(), told;
  CUmemAccessDesc access = {.location = properties.location, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  CUmemGenericAllocationHandle handle, imported, again;
  CUcontext current;
  CUdeviceptr at, other, base = 0;
  unsigned long long flags = 0;
  unsigned type = 0, words[4];
  size_t size = 0, range = 0, free, total;
  int fd = -1, ordinal = -1, active = -1;
  CUpointer_attribute attributes[] = {CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_RANGE_SIZE};
  DO(cuInit(0));
  DO(cuDeviceGet(&device, 0));
  size_t bytes = granule();
  properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  SAY(cuMemCreate(&handle, bytes, &properties, 0));
  SAY(cuMemGetAllocationPropertiesFromHandle(&told, handle));
  TELL(told.requestedHandleTypes == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, "the kind of handle is told");
  SAY(cuMemAddressReserve(&at, bytes, 0, 0, 0));
  SAY(cuMemAddressReserve(&other, bytes, 0, 0, 0));
  SAY(cuMemMap(at, bytes, 0, handle, 0));
  SAY(cuMemSetAccess(at, bytes, &access, 1));
  SAY(cuMemGetAccess(&flags, &access.location, at));
  TELL(flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE, "it may be read and written");
  SAY(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, at));
  TELL(type == CU_MEMORYTYPE_DEVICE, "it is a device's");
  SAY(cuPointerGetAttributes(2, attributes, (void *[]){&ordinal, &size}, at));
  TELL(ordinal == 0 && size == bytes, "which one, and how much");
  SAY(cuMemGetAddressRange(&base, &range, at));
  TELL(base == at && range == bytes, "its range");
  SAY(cuMemRetainAllocationHandle(&again, (void *)at));
  SAY(cuMemExportToShareableHandle(&fd, again, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
  SAY(cuMemImportFromShareableHandle(&imported, (void *)(intptr_t)fd, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
  SAY(cuMemMap(other, bytes, 0, imported, 0));
  SAY(cuMemSetAccess(other, bytes, &access, 1));
  SAY(cuMemGetInfo(&free, &total));
  SAY(cuMemcpyDtoH(words, at, sizeof words));
  SAY(cuCtxGetCurrent(&current));
  SAY(cuDevicePrimaryCtxGetState(device, (unsigned *)&type, &active));
  expect(current == NULL && active == 0, "there is no context");
  SAY(cuMemUnmap(other, bytes));
  SAY(cuMemRelease(imported));
  SAY(cuMemUnmap(at, bytes));
  SAY(cuMemRelease(again));
  SAY(cuMemRelease(handle));
  SAY(cuMemAddressFree(other, bytes));
  SAY(cuMemAddressFree(at, bytes));
  return finish();
}
