// A segment that grows piece by piece, loses pieces in its middle and gets them back, as PyTorch's do.
#include "vmm.h"

enum { PIECES = 12 };

int main(void) {
  CUdeviceptr at;
  CUmemGenericAllocationHandle handles[PIECES];
  CUstream stream;
  begin();
  load_kernels();
  size_t piece = granule(), n = piece / 4;
  DO(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  DO(cuMemAddressReserve(&at, (size_t)1 << 32, 0, 0, 0));
  for (unsigned i = 0; i < PIECES; i++) {
    handles[i] = map_new(at + i * piece, piece);
    DO(fill(stream, at + i * piece, 100, n));
    DO(add_one(stream, at, (i + 1) * n));
    DO(cuStreamSynchronize(stream));
  }
  for (unsigned i = 0; i < PIECES; i++) check_words("a piece", at + i * piece, n, 100 + PIECES - i);
  for (unsigned i = 3; i < 9; i += 2) {
    DO(cuMemUnmap(at + i * piece, piece));
    DO(cuMemRelease(handles[i]));
  }
  DO(add_one(stream, at, 3 * n));
  DO(cuStreamSynchronize(stream));
  for (unsigned i = 3; i < 9; i += 2) {
    handles[i] = map_new(at + i * piece, piece);
    DO(fill(stream, at + i * piece, 100 + PIECES - i, n));
  }
  DO(add_one(stream, at + 3 * piece, (PIECES - 3) * n));
  DO(cuStreamSynchronize(stream));
  for (unsigned i = 0; i < PIECES; i++) check_words("a piece", at + i * piece, n, 101 + PIECES - i);
  DO(cuMemUnmap(at, PIECES * piece));
  for (unsigned i = 0; i < PIECES; i++) DO(cuMemRelease(handles[i]));
  SAY(cuMemAddressFree(at, (size_t)1 << 32));
  return finish();
}
