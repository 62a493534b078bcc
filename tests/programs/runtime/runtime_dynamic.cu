// Dynamic parallelism: kernels that launch kernels.
// build: -rdc=true -lcudadevrt
#include "runtime.h"

__global__ void parent(unsigned *p, size_t n) {
  add_one<<<8, 128, 0, cudaStreamFireAndForget>>>(p + blockIdx.x * n, n);
}

int main() {
  const size_t n = 1 << 16;
  unsigned *p;
  DO(cudaMalloc(&p, 4 * 16 * n));
  DO(cudaMemset(p, 0, 4 * 16 * n));
  for (int round = 0; round < 50; round++) {
    parent<<<16, 1>>>(p, n);
    DO(cudaGetLastError());
    DO(cudaDeviceSynchronize());
  }
  check_words("fifty children for each part", p, 16 * n, 50);
  return failures != 0;
}
