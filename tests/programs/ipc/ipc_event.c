// A child's stream waits for its parent's event through an IPC handle.
#include "ipc_child.h"

int main(void) {
  struct { CUipcMemHandle memory; CUipcEventHandle event; } both;
  CUdeviceptr p;
  CUevent event;
  size_t n = MIB;
  if (begin_with_child()) {
    receive_handle(&both, sizeof both);
    DO(cuIpcOpenEventHandle(&event, both.event));
    DO(cuIpcOpenMemHandle(&p, both.memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
    DO(cuStreamWaitEvent(0, event, 0));
    DO(add_one(0, p, n));
    check_words("in the child, after the event", p, n, 1001);
    DO(cuIpcCloseMemHandle(p));
    DO(cuEventDestroy(event));
    return finish();
  }
  DO(cuMemAlloc(&p, 4 * n));
  DO(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS));
  DO(cuIpcGetEventHandle(&both.event, event));
  DO(cuIpcGetMemHandle(&both.memory, p));
  DO(spin(0, 50000000));
  DO(fill(0, p, 1000, n));
  DO(cuEventRecord(event, 0));
  send_handle(&both, sizeof both);
  check_child("the child", child, 0);
  check_words("back in the parent", p, n, 1001);
  return finish();
}
