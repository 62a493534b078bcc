// Stream-ordered allocation by the runtime API: the default pool with a threshold, and one of the program's own.
#include "runtime.h"

int main() {
  const size_t n = 1 << 20;
  cudaMemPool_t usual, own;
  cudaStream_t stream;
  uint64_t keep = UINT64_MAX;
  DO(cudaStreamCreate(&stream));
  DO(cudaDeviceGetDefaultMemPool(&usual, 0));
  DO(cudaMemPoolSetAttribute(usual, cudaMemPoolAttrReleaseThreshold, &keep));
  cudaMemPoolProps properties = {};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  DO(cudaMemPoolCreate(&own, &properties));
  for (unsigned round = 0; round < 50; round++) {
    unsigned *p, *q;
    DO(cudaMallocAsync(&p, 4 * n, stream));
    DO(cudaMallocFromPoolAsync(&q, 4 * n, own, stream));
    fill<<<64, 128, 0, stream>>>(p, round, n);
    DO(cudaMemcpyAsync(q, p, 4 * n, cudaMemcpyDeviceToDevice, stream));
    add_one<<<64, 128, 0, stream>>>(q, n);
    DO(cudaFreeAsync(p, stream));
    DO(cudaStreamSynchronize(stream));
    check_words("a round", q, n, round + 1);
    DO(cudaFreeAsync(q, stream));
  }
  DO(cudaStreamSynchronize(stream));
  SAY(cudaMemPoolDestroy(own));
  return failures != 0;
}
