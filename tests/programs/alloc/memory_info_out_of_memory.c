// alone: free memory is what the whole card has. Out of memory comes at the right point, and passes.
// nvshare: NVSHARE_MEM_LIMIT=1GiB
#include "common.h"

int main(void) {
  CUdeviceptr p = 0, q = 0, r = 0;
  size_t free, total;
  begin();
  load_kernels();
  DO(cuMemGetInfo(&free, &total));
  SAY(cuMemAlloc(&p, free + 64 * MIB));
  SAY(cuMemAlloc(&p, free / 2));
  SAY(cuMemAlloc(&q, free / 2 + 64 * MIB));
  SAY(cuMemAlloc(&q, free / 4));
  SAY(cuMemAlloc(&r, free / 4 + 64 * MIB));
  DO(fill(0, q, 12, MIB));
  check_words("the memory that was given", q, MIB, 12);
  SAY(cuMemFree(p));
  SAY(cuMemAlloc(&r, free / 4 + 64 * MIB));
  SAY(cuMemFree(q));
  SAY(cuMemFree(r));
  SAY(cuMemAlloc(&p, free - free / 8));
  SAY(cuMemFree(p));
  return finish();
}
