// Freeing twice, freeing the middle, freeing null and freeing somebody's address answer as the driver does.
#include "common.h"

int main(void) {
  CUdeviceptr p, q;
  char *mine = malloc(4096);
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4 * MIB));
  DO(cuMemAlloc(&q, 4 * MIB));
  SAY(cuMemFree(0));
  SAY(cuMemFree(p + 4096));
  SAY(cuMemFree((CUdeviceptr)(uintptr_t)mine));
  SAY(cuMemFree(p));
  SAY(cuMemFree(p));
  DO(fill(0, q, 7, MIB));
  check_words("the other allocation", q, MIB, 7);
  SAY(cuMemFree(q));
  return finish();
}
