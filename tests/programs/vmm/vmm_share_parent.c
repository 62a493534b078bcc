// A process that never makes a context makes memory and shares it by a descriptor: with a child of fork, a child of
// exec, and one that has no context either and passes it on.
#include "descriptors.h"
#include "vmm.h"

static const CUmemAllocationHandleType kind = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;

static int export_of(CUmemGenericAllocationHandle handle) {
  int fd = -1;
  DO(cuMemExportToShareableHandle(&fd, handle, kind, 0));
  return fd;
}

static int taken(int socket) {
  char byte;
  int fd = take_descriptor(socket, &byte, 1);
  if (fd < 0) exit(UNSUPPORTED);
  return fd;
}

static CUmemGenericAllocationHandle import(int fd) {
  CUmemGenericAllocationHandle handle;
  DO(cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fd, kind));
  return handle;
}

// The descriptor is closed.
static void pass_on(int socket, int fd) {
  char byte = 0;
  give_descriptor(socket, fd, &byte, 1);
  close(fd);
}

static CUdeviceptr map(CUmemGenericAllocationHandle handle, size_t bytes) {
  CUmemAccessDesc access = {.location = on_device().location, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  CUdeviceptr at;
  DO(cuMemAddressReserve(&at, bytes, 0, 0, 0));
  DO(cuMemMap(at, bytes, 0, handle, 0));
  DO(cuMemSetAccess(at, bytes, &access, 1));
  return at;
}

static int use(const char *who, int socket, unsigned found) {
  DO(cuInit(0));
  size_t bytes = granule(), n = bytes / 4;
  int fd = taken(socket);
  CUmemGenericAllocationHandle handle = import(fd);
  close(fd);
  CUdeviceptr at = map(handle, bytes);
  begin();
  load_kernels();
  if (found == 0) DO(fill(0, at, 40, n));
  else check_words(who, at, n, found);
  DO(add_one(0, at, n));
  DO(cuCtxSynchronize());
  DO(cuMemUnmap(at, bytes));
  DO(cuMemRelease(handle));
  DO(cuMemAddressFree(at, bytes));
  return finish();
}

static int courier(int socket) {
  DO(cuInit(0));
  int fd = taken(socket), none = -1;
  CUmemGenericAllocationHandle handle = import(fd);
  size_t bytes = granule();
  CUdeviceptr at = map(handle, bytes);
  // What was imported is not exported again: its descriptor is handed on.
  expect(cuMemExportToShareableHandle(&none, handle, kind, 0) == CUDA_ERROR_INVALID_VALUE, "what was imported is not exported");
  pass_on(socket, fd);
  DO(cuMemUnmap(at, bytes));
  DO(cuMemAddressFree(at, bytes));
  DO(cuMemRelease(handle));
  return finish();
}

int main(int argc, char **argv) {
  if (argc > 1) return use("in the child of exec", atoi(argv[1]), 41);
  int sockets[4][2];
  pid_t children[4];
  for (int i = 0; i < 4; i++) socketpair(AF_UNIX, SOCK_STREAM, 0, sockets[i]);
  // Children of fork begin before their parent has initialised CUDA, as they must.
  for (int i = 0; i < 3; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      for (int j = 0; j < 4; j++) close(sockets[j][0]);
      _exit(i == 0 ? use("in the child of fork", sockets[0][1], 0) : i == 1 ? courier(sockets[1][1]) : use("by the courier", sockets[2][1], 42));
    }
  }
  DO(cuInit(0));
  DO(cuDeviceGet(&device, 0));
  CUmemAllocationProp properties = on_device();
  properties.requestedHandleTypes = kind;
  CUmemGenericAllocationHandle handle, again;
  size_t bytes = granule();
  DO(cuMemCreate(&handle, bytes, &properties, 0));
  pass_on(sockets[0][0], export_of(handle));
  check_child("the child of fork", children[0], 0);
  children[3] = fork();
  if (children[3] == 0) {
    char number[12];
    snprintf(number, sizeof number, "%d", sockets[3][1]);
    for (int j = 0; j < 4; j++) close(sockets[j][0]);
    execl("/proc/self/exe", argv[0], number, NULL);
    _exit(1);
  }
  pass_on(sockets[3][0], export_of(handle));
  check_child("the child of exec", children[3], 0);
  pass_on(sockets[1][0], export_of(handle));
  int fd = taken(sockets[1][0]);
  again = import(fd);
  check_child("the courier", children[1], 0);
  pass_on(sockets[2][0], fd);
  check_child("who gets it by the courier", children[2], 0);
  SAY(cuMemRelease(again));
  SAY(cuMemRelease(handle));
  return finish();
}
