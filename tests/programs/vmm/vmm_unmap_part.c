// Mappings are taken away as a whole: a range that begins or ends within one is refused.
#include "vmm.h"

int main(void) {
  CUdeviceptr at;
  begin();
  load_kernels();
  size_t piece = granule();
  DO(cuMemAddressReserve(&at, 8 * piece, 0, 0, 0));
  CUmemGenericAllocationHandle first = map_new(at, 4 * piece), second = map_new(at + 4 * piece, 2 * piece);
  DO(fill(0, at, 8, 6 * piece / 4));
  DO(cuCtxSynchronize());
  SAY(cuMemUnmap(at, piece));
  SAY(cuMemUnmap(at, 5 * piece));
  SAY(cuMemUnmap(at + piece, piece));
  SAY(cuMemUnmap(at + piece, 5 * piece));
  DO(add_one(0, at, 6 * piece / 4));
  check_words("what is still mapped", at, 6 * piece / 4, 9);
  SAY(cuMemUnmap(at, 6 * piece));
  SAY(cuMemRelease(first));
  SAY(cuMemRelease(second));
  SAY(cuMemAddressFree(at, 8 * piece));
  return finish();
}
