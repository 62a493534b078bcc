// Memory of a created context is shared while work on it runs; the context then goes with all it has, and others' memory stays.
#include "common.h"

int main(void) {
  int to_child[2];
  CUipcMemHandle handle;
  CUcontext made;
  CUdeviceptr p, mate, large, kept;
  size_t n = MIB;
  if (pipe(to_child)) return 1;
  pid_t child = fork();
  begin();
  load_kernels();
  if (child == 0) {
    close(to_child[1]);
    for (int round = 0; round < 2; round++) {
      if (read(to_child[0], &handle, sizeof handle) != sizeof handle) exit(UNSUPPORTED);
      DO(cuIpcOpenMemHandle(&p, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
      check_words("in the child", p, n, 60 + round);
      DO(cuIpcCloseMemHandle(p));
    }
    return finish();
  }
  close(to_child[0]);
  DO(cuMemAlloc(&kept, 4 * n));
  DO(fill(0, kept, 5, n));
  DO(cuCtxSynchronize());
  DO(cuCtxCreate(&made, NULL, 0, device));
  DO(cuMemAlloc(&mate, 4 * n));
  DO(cuMemAlloc(&p, 4 * n));
  DO(cuMemAlloc(&large, 40 * MIB));
  DO(fill(0, mate, 9, n));
  DO(fill(0, p, 10, n));
  DO(fill(0, large, 61, n));
  for (int round = 0; round < 50; round++) DO(add_one(0, p, n));
  DO(cuIpcGetMemHandle(&handle, p));
  DO(cuCtxSynchronize());
  if (write(to_child[1], &handle, sizeof handle) < 0) return 1;
  DO(cuIpcGetMemHandle(&handle, large));
  if (write(to_child[1], &handle, sizeof handle) < 0) return 1;
  check_child("the child", child, 0);
  check_words("what was shared", p, n, 60);
  check_words("its neighbour", mate, n, 9);
  SAY(cuMemFree(p));
  DO(cuMemAlloc(&p, 4 * n));
  DO(fill(0, p, 1, n));
  check_words("what is allocated then", p, n, 1);
  DO(cuCtxDestroy(made));
  DO(cuCtxSetCurrent(context));
  SAY(cuMemFree(mate));
  SAY(cuMemFree(large));
  check_words("another context's", kept, n, 5);
  SAY(cuMemFree(kept));
  return finish();
}
