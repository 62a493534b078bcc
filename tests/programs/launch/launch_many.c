// Twenty thousand small launches, with a wait now and then.
#include "common.h"

int main(void) {
  CUdeviceptr p;
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4096));
  DO(fill(0, p, 0, 1024));
  for (int i = 0; i < 20000; i++) {
    DO(add_one(0, p, 1024));
    if (i % 1000 == 0) DO(cuStreamSynchronize(0));
  }
  check_words("after 20000 launches", p, 1024, 20000);
  return finish();
}
