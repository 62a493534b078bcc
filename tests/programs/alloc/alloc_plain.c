// Plain memory of several sizes is written by kernels, read back right, and freed in any order.
#include "common.h"

int main(void) {
  size_t sizes[] = {4, 1000, 4096, 65536, 2 * MIB, 5 * MIB + 4, 33 * MIB};
  CUdeviceptr at[COUNT(sizes)];
  begin();
  load_kernels();
  for (size_t i = 0; i < COUNT(sizes); i++) {
    DO(cuMemAlloc(&at[i], sizes[i]));
    expect(at[i] % 256 == 0, "%zu bytes are aligned to 256", sizes[i]);
    DO(fill(0, at[i], 100 + i, sizes[i] / 4));
  }
  DO(cuMemFree(at[2]));
  for (size_t i = 0; i < COUNT(sizes); i++)
    if (i != 2) DO(add_one(0, at[i], sizes[i] / 4));
  DO(cuCtxSynchronize());
  for (size_t i = 0; i < COUNT(sizes); i++)
    if (i != 2) check_words("after fill and add_one", at[i], sizes[i] / 4, 101 + i);
  for (size_t i = COUNT(sizes); i-- > 0;)
    if (i != 2) DO(cuMemFree(at[i]));
  return finish();
}
