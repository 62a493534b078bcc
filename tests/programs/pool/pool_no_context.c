// A process that never makes a context makes a pool, asks about it, chooses it for the device and shares it.
#include "common.h"

int main(void) {
  CUmemPoolProps properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  CUmemAccessDesc access = {.location = properties.location, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  CUmemoryPool pool, plain, usual, current, imported;
  CUmemAccess_flags flags = 0;
  CUdeviceptr p;
  cuuint64_t keep = 64 * MIB, told = 0;
  int fd = -1;
  DO(cuInit(0));
  DO(cuDeviceGet(&device, 0));
  SAY(cuDeviceGetDefaultMemPool(&usual, device));
  SAY(cuDeviceGetMemPool(&current, device));
  TELL(usual == current, "the first pool is the current one");
  SAY(cuMemPoolCreate(&pool, &properties));
  properties.handleTypes = CU_MEM_HANDLE_TYPE_NONE;
  SAY(cuMemPoolCreate(&plain, &properties));
  SAY(cuMemPoolSetAttribute(plain, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep));
  SAY(cuMemPoolGetAttribute(plain, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &told));
  TELL(told == keep, "what it keeps");
  SAY(cuMemPoolSetAttribute(usual, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep));
  SAY(cuMemPoolGetAttribute(plain, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &told));
  TELL(told == 0, "nothing is used");
  SAY(cuMemPoolSetAccess(plain, &access, 1));
  SAY(cuMemPoolGetAccess(&flags, plain, &access.location));
  TELL(flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE, "it may be read and written");
  SAY(cuDeviceSetMemPool(device, plain));
  SAY(cuDeviceGetMemPool(&current, device));
  TELL(current == plain, "it is the current one");
  SAY(cuMemAllocAsync(&p, MIB, 0));
  SAY(cuMemAllocFromPoolAsync(&p, MIB, plain, 0));
  SAY(cuMemPoolExportToShareableHandle(&fd, pool, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
  SAY(cuMemPoolImportFromShareableHandle(&imported, (void *)(intptr_t)fd, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
  SAY(cuMemPoolDestroy(imported));
  SAY(cuMemPoolTrimTo(plain, 0));
  SAY(cuMemPoolDestroy(plain));
  SAY(cuMemPoolDestroy(pool));
  SAY(cuDeviceGetMemPool(&current, device));
  TELL(usual == current, "the first pool is the current one again");
  return finish();
}
