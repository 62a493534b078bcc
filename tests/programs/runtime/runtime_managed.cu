// Managed memory by the runtime API: host and device take turns on it, and a __managed__ variable.
#include "runtime.h"

__managed__ unsigned counter;
__global__ void count() { atomicAdd(&counter, 1); }

int main() {
  const size_t n = 4 << 20;
  unsigned *p;
  DO(cudaMallocManaged(&p, 4 * n));
  for (size_t i = 0; i < n; i++) p[i] = 7;
  for (int round = 0; round < 20; round++) {
    add_one<<<64, 128>>>(p, n);
    count<<<4, 32>>>();
    DO(cudaDeviceSynchronize());
    p[round] += 100;
  }
  size_t wrong = 0;
  for (size_t i = 0; i < n; i++) wrong += p[i] != (i < 20 ? 127u : 27u);
  expect(wrong == 0, "every word is right");
  expect(counter == 20 * 128, "the managed variable is right");
  SAY(cudaFree(p));
  return failures != 0;
}
