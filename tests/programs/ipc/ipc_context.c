// Memory of a created context is shared while work on it runs; the context then goes with all it has, and others' memory stays.
#include "ipc_child.h"

int main(void) {
  CUipcMemHandle handle;
  CUcontext made;
  CUdeviceptr p, mate, large, kept;
  size_t n = MIB;
  if (begin_with_child()) {
    for (int round = 0; round < 2; round++) {
      receive_handle(&handle, sizeof handle);
      DO(cuIpcOpenMemHandle(&p, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
      check_words("in the child", p, n, 60 + round);
      DO(cuIpcCloseMemHandle(p));
    }
    return finish();
  }
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
  send_handle(&handle, sizeof handle);
  DO(cuIpcGetMemHandle(&handle, large));
  send_handle(&handle, sizeof handle);
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
