// A kernel of one device works on another's plain memory while that was enabled, and only then.
// card: FAKECUDA_DEVICES=2
#include "common.h"

static CUcontext other;

// Both devices' primary contexts; the second's is current.
static void begin_both(void) {
  begin();
  load_kernels();
  DO(cuDevicePrimaryCtxRetain(&other, 1));
}
static CUresult add_from_the_other(CUdeviceptr p, size_t n) {
  DO(cuCtxSetCurrent(other));
  CUresult result = add_one(0, p, n);
  if (result == CUDA_SUCCESS) result = cuCtxSynchronize();
  cuCtxSetCurrent(context);
  return result;
}
// In a process of its own, for the error is for ever.
static void alone(const char *what, int enable_first) {
  pid_t child = fork();
  if (child) return check_child(what, child, 0);
  CUdeviceptr p;
  begin_both();
  DO(cuMemAlloc(&p, MIB));
  DO(fill(0, p, 1, MIB / 4));
  DO(cuCtxSynchronize());
  DO(cuCtxSetCurrent(other));
  if (enable_first) {
    DO(cuCtxEnablePeerAccess(context, 0));
    DO(add_from_the_other(p, MIB / 4));
    DO(cuCtxSetCurrent(other));
    DO(cuCtxDisablePeerAccess(context));
  }
  printf("%s: %d\n", what, add_from_the_other(p, MIB / 4));
  _exit(0);
}

int main(void) {
  int count = 0, can = 0;
  CUdeviceptr small, large, later;
  size_t n = 9 * MIB;
  if (fork() == 0) {  // CUDA is not initialised here before the children of `alone` are made.
    DO(cuInit(0));
    DO(cuDeviceGetCount(&count));
    if (count > 1) DO(cuDeviceCanAccessPeer(&can, 1, 0));
    _exit(can ? 0 : 3);
  }
  int status;
  wait(&status);
  if (WEXITSTATUS(status) == 3) {
    printf("no two devices that reach each other\n");
    return 0;
  }
  alone("never enabled", 0);
  alone("disabled again", 1);
  begin_both();
  DO(cuMemAlloc(&small, MIB));
  DO(cuMemAlloc(&large, 4 * n));
  DO(fill(0, small, 5, MIB / 4));
  DO(fill(0, large, 50, n));
  DO(cuCtxSynchronize());
  DO(cuCtxSetCurrent(other));
  SAY(cuCtxEnablePeerAccess(other, 0));
  SAY(cuCtxEnablePeerAccess(context, 0));
  SAY(cuCtxEnablePeerAccess(context, 0));
  DO(cuCtxSetCurrent(context));
  DO(cuMemAlloc(&later, 4 * n));
  DO(fill(0, later, 500, n));
  DO(cuCtxSynchronize());
  for (int round = 0; round < 6; round++) {
    DO(add_from_the_other(small, MIB / 4));
    DO(add_from_the_other(large, n));
    DO(add_from_the_other(later, n));
  }
  check_words("small", small, MIB / 4, 11);
  check_words("large", large, n, 56);
  check_words("allocated afterwards", later, n, 506);
  DO(cuMemFree(large));
  DO(cuCtxSetCurrent(other));
  SAY(cuCtxDisablePeerAccess(context));
  SAY(cuCtxDisablePeerAccess(context));
  return finish();
}
