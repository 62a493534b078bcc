// Memory with a shareable handle goes to another process as a descriptor; both see each other's words.
#include "descriptors.h"
#include "vmm.h"

int main(void) {
  int sockets[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
  pid_t child = fork();
  begin();
  load_kernels();
  size_t bytes = granule(), n = bytes / 4;
  CUmemAllocationProp properties = on_device();
  CUmemAccessDesc access = {.location = properties.location, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  CUmemGenericAllocationHandle handle;
  CUdeviceptr at;
  char byte = 0;
  DO(cuMemAddressReserve(&at, bytes, 0, 0, 0));
  if (child == 0) {
    close(sockets[0]);
    int fd = take_descriptor(sockets[1], &byte, 1);
    if (fd < 0) exit(UNSUPPORTED);
    DO(cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fd, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
    DO(cuMemMap(at, bytes, 0, handle, 0));
    DO(cuMemSetAccess(at, bytes, &access, 1));
    check_words("in the child", at, n, 70);
    DO(add_one(0, at, n));
    DO(cuCtxSynchronize());
    DO(cuMemUnmap(at, bytes));
    DO(cuMemRelease(handle));
    return finish();
  }
  int fd;
  close(sockets[1]);
  properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  DO(cuMemCreate(&handle, bytes, &properties, 0));
  DO(cuMemMap(at, bytes, 0, handle, 0));
  DO(cuMemSetAccess(at, bytes, &access, 1));
  DO(fill(0, at, 70, n));
  DO(cuCtxSynchronize());
  DO(cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
  give_descriptor(sockets[0], fd, &byte, 1);
  check_child("the child", child, 0);
  check_words("back in the parent", at, n, 71);
  DO(cuMemUnmap(at, bytes));
  SAY(cuMemRelease(handle));
  return finish();
}
