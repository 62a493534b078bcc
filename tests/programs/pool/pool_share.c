// A pool that another process maps: exported as a descriptor, its allocation as a handle, over a fork before init.
#include "common.h"
#include "descriptors.h"

int main(void) {
  size_t n = MIB;
  int sockets[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
  pid_t child = fork();
  begin();
  load_kernels();
  if (child == 0) {
    close(sockets[0]);
    CUmemPoolPtrExportData data;
    CUmemoryPool pool;
    CUdeviceptr p;
    int fd = take_descriptor(sockets[1], &data, sizeof data);
    if (fd < 0) exit(UNSUPPORTED);
    DO(cuMemPoolImportFromShareableHandle(&pool, (void *)(intptr_t)fd, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    DO(cuMemPoolImportPointer(&p, pool, &data));
    check_words("in the child", p, n, 5);
    DO(add_one(0, p, n));
    DO(cuCtxSynchronize());
    DO(cuMemFree(p));
    return finish();
  }
  CUmemPoolProps properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                               .handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
                               .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
  CUmemoryPool pool;
  CUmemPoolPtrExportData data;
  CUdeviceptr p;
  int fd;
  close(sockets[1]);
  DO(cuMemPoolCreate(&pool, &properties));
  DO(cuMemAllocFromPoolAsync(&p, 4 * n, pool, 0));
  DO(fill(0, p, 5, n));
  DO(cuCtxSynchronize());
  DO(cuMemPoolExportToShareableHandle(&fd, pool, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
  DO(cuMemPoolExportPointer(&data, p));
  give_descriptor(sockets[0], fd, &data, sizeof data);
  check_child("the child", child, 0);
  check_words("back in the parent", p, n, 6);
  DO(cuMemFreeAsync(p, 0));
  SAY(cuMemPoolDestroy(pool));
  return finish();
}
