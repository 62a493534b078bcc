// A child's stream waits for its parent's event through an IPC handle.
#include "common.h"

int main(void) {
  int to_child[2];
  struct { CUipcMemHandle memory; CUipcEventHandle event; } handles;
  CUdeviceptr p;
  CUevent event;
  size_t n = MIB;
  if (pipe(to_child)) return 1;
  pid_t child = fork();
  begin();
  load_kernels();
  if (child == 0) {
    close(to_child[1]);
    if (read(to_child[0], &handles, sizeof handles) != sizeof handles) exit(UNSUPPORTED);
    DO(cuIpcOpenEventHandle(&event, handles.event));
    DO(cuIpcOpenMemHandle(&p, handles.memory, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
    DO(cuStreamWaitEvent(0, event, 0));
    DO(add_one(0, p, n));
    check_words("in the child, after the event", p, n, 1001);
    DO(cuIpcCloseMemHandle(p));
    DO(cuEventDestroy(event));
    return finish();
  }
  close(to_child[0]);
  DO(cuMemAlloc(&p, 4 * n));
  DO(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS));
  DO(cuIpcGetEventHandle(&handles.event, event));
  DO(cuIpcGetMemHandle(&handles.memory, p));
  DO(spin(0, 50000000));
  DO(fill(0, p, 1000, n));
  DO(cuEventRecord(event, 0));
  if (write(to_child[1], &handles, sizeof handles) < 0) return 1;
  check_child("the child", child, 0);
  check_words("back in the parent", p, n, 1001);
  return finish();
}
