// Streams of every priority come and go with work on them; memory freed while others work waits for its own.
#include "common.h"

int main(void) {
  int least, greatest;
  CUdeviceptr p[16];
  begin();
  load_kernels();
  DO(cuCtxGetStreamPriorityRange(&least, &greatest));
  TELL(greatest <= least, "the greatest priority is the smaller number");
  for (int round = 0; round < 10; round++) {
    CUstream streams[16];
    for (int i = 0; i < 16; i++) {
      DO(cuStreamCreateWithPriority(&streams[i], CU_STREAM_NON_BLOCKING, i % 2 ? least : greatest));
      DO(cuMemAlloc(&p[i], MIB));
      DO(fill(streams[i], p[i], 100 * round + i, MIB / 4));
      DO(add_one(streams[i], p[i], MIB / 4));
    }
    for (int i = 0; i < 16; i += 2) DO(cuStreamDestroy(streams[i]));
    DO(cuCtxSynchronize());
    for (int i = 0; i < 16; i++) check_words("a stream's memory", p[i], MIB / 4, 100 * round + i + 1);
    for (int i = 0; i < 16; i++) DO(cuMemFree(p[i]));
    for (int i = 1; i < 16; i += 2) DO(cuStreamDestroy(streams[i]));
  }
  return finish();
}
