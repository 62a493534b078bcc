// A large allocation is opened by another process, all of it.
#include "common.h"

int main(void) {
  int to_child[2];
  CUipcMemHandle handle;
  CUdeviceptr p;
  size_t n = 50 * MIB;
  if (pipe(to_child)) return 1;
  pid_t child = fork();
  begin();
  load_kernels();
  if (child == 0) {
    close(to_child[1]);
    if (read(to_child[0], &handle, sizeof handle) != sizeof handle) exit(UNSUPPORTED);
    DO(cuIpcOpenMemHandle(&p, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
    check_words("in the child", p, n, 7);
    DO(add_one(0, p, n));
    DO(cuCtxSynchronize());
    DO(cuIpcCloseMemHandle(p));
    return finish();
  }
  close(to_child[0]);
  DO(cuMemAlloc(&p, 4 * n));
  DO(fill(0, p, 7, n));
  DO(cuCtxSynchronize());
  DO(cuIpcGetMemHandle(&handle, p));
  if (write(to_child[1], &handle, sizeof handle) < 0) return 1;
  check_child("the child", child, 0);
  check_words("back in the parent", p, n, 8);
  return finish();
}
