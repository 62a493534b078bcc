// One of several small allocations is opened twice through its handle, and not at all where it was made.
#include "ipc_child.h"

int main(void) {
  int to_parent[2];
  CUipcMemHandle handle, again;
  CUdeviceptr before, p, other, base;
  size_t n = 1000, bytes;
  char byte = 0;
  if (pipe(to_parent)) return 1;
  if (begin_with_child()) {
    receive_handle(&handle, sizeof handle);
    DO(cuIpcOpenMemHandle(&p, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
    DO(cuIpcOpenMemHandle(&other, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
    TELL(p == other, "opened twice, it has one address");
    DO(cuMemGetAddressRange(&base, &bytes, p + 4));
    printf("it has %zu bytes\n", bytes);
    TELL(base == p, "and begins where it was opened");
    check_words("in the child", p, n, 7);
    DO(cuIpcCloseMemHandle(p));
    DO(add_one(0, p, n));
    DO(cuCtxSynchronize());
    check_words("in the child, once closed", p, n, 8);
    DO(cuIpcCloseMemHandle(p));
    SAY(cuIpcCloseMemHandle(p));
    if (write(to_parent[1], &byte, 1) != 1) return 1;
    return finish();
  }
  close(to_parent[1]);
  DO(cuMemAlloc(&before, 4 * n));
  DO(cuMemAlloc(&p, 4 * n));
  DO(fill(0, before, 1, n));
  DO(fill(0, p, 7, n));
  DO(cuCtxSynchronize());
  DO(cuIpcGetMemHandle(&handle, p));
  DO(cuIpcGetMemHandle(&again, p));
  TELL(!memcmp(&handle, &again, sizeof handle), "asked twice, it has one handle");
  SAY(cuIpcOpenMemHandle(&other, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
  send_handle(&handle, sizeof handle);
  if (read(to_parent[0], &byte, 1) != 1) return 1;
  check_child("the child", child, 0);
  check_words("back in the parent", p, n, 8);
  check_words("and its neighbour", before, n, 1);
  SAY(cuMemFree(p));
  SAY(cuIpcGetMemHandle(&again, p));
  return finish();
}
