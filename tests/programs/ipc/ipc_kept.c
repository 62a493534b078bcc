// Memory keeps its words, and its neighbour its own, when other processes may open it; also when that is refused.
#include "common.h"

int main(void) {
  CUipcMemHandle handle;
  CUdeviceptr p, neighbour, large;
  size_t n = MIB;
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4 * n));
  DO(cuMemAlloc(&neighbour, 4 * n));
  DO(cuMemAlloc(&large, 48 * MIB));
  DO(fill(0, p, 7, n));
  DO(fill(0, neighbour, 8, n));
  DO(fill(0, large, 9, 12 * n));
  DO(cuCtxSynchronize());
  printf("of one: %d\n", cuIpcGetMemHandle(&handle, p));
  printf("of a large one: %d\n", cuIpcGetMemHandle(&handle, large));
  DO(add_one(0, p, n));
  DO(add_one(0, large, 12 * n));
  check_words("the one", p, n, 8);
  check_words("its neighbour", neighbour, n, 8);
  check_words("the large one", large, 12 * n, 10);
  SAY(cuMemFree(p));
  SAY(cuMemFree(neighbour));
  SAY(cuMemFree(large));
  return finish();
}
