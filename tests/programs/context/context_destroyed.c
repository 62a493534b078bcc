// alone: free memory is what the whole card has. A context that is destroyed gives its memory back.
#include "common.h"

int main(void) {
  size_t before, after, total;
  begin();
  load_kernels();
  DO(cuMemGetInfo(&before, &total));
  for (unsigned round = 0; round < 4; round++) {
    CUcontext made;
    CUdeviceptr p;
    DO(cuCtxCreate(&made, NULL, 0, device));
    DO(cuMemAlloc(&p, 256 * MIB));
    DO(fill(0, p, round, MIB));
    check_words("in the created context", p, MIB, round);
    DO(cuCtxDestroy(made));
    DO(cuCtxSetCurrent(context));
    SAY(cuMemFree(p));
    DO(cuMemGetInfo(&after, &total));
    expect(before < after + 64 * MIB, "its memory is back");
  }
  return finish();
}
