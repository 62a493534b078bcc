// A large allocation is opened by another process, all of it.
#include "ipc_child.h"

int main(void) {
  CUipcMemHandle handle;
  CUdeviceptr p;
  size_t n = 50 * MIB;
  if (begin_with_child()) {
    receive_handle(&handle, sizeof handle);
    DO(cuIpcOpenMemHandle(&p, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
    check_words("in the child", p, n, 7);
    DO(add_one(0, p, n));
    DO(cuCtxSynchronize());
    DO(cuIpcCloseMemHandle(p));
    return finish();
  }
  DO(cuMemAlloc(&p, 4 * n));
  DO(fill(0, p, 7, n));
  DO(cuCtxSynchronize());
  DO(cuIpcGetMemHandle(&handle, p));
  send_handle(&handle, sizeof handle);
  check_child("the child", child, 0);
  check_words("back in the parent", p, n, 8);
  return finish();
}
