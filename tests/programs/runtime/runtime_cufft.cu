// cuFFT: there and back again gives what was put in.
// build: -lcufft
#include "runtime.h"
#include <cmath>
#include <cufft.h>

int main() {
  const int n = 1 << 20;
  std::vector<cufftComplex> in(n), out(n);
  for (int i = 0; i < n; i++) in[i] = {float(i % 100), float(i % 37)};
  cufftComplex *p;
  cufftHandle plan;
  DO(cudaMalloc(&p, sizeof(cufftComplex) * n));
  expect(cufftPlan1d(&plan, n, CUFFT_C2C, 1) == CUFFT_SUCCESS, "a plan is made");
  for (int round = 0; round < 20; round++) {
    DO(cudaMemcpy(p, in.data(), sizeof(cufftComplex) * n, cudaMemcpyHostToDevice));
    if (cufftExecC2C(plan, p, p, CUFFT_FORWARD) || cufftExecC2C(plan, p, p, CUFFT_INVERSE)) { printf("cufftExecC2C fails\n"); return 1; }
    DO(cudaDeviceSynchronize());
  }
  DO(cudaMemcpy(out.data(), p, sizeof(cufftComplex) * n, cudaMemcpyDeviceToHost));
  size_t wrong = 0;
  for (int i = 0; i < n; i++) wrong += std::fabs(out[i].x / n - in[i].x) > 0.01 || std::fabs(out[i].y / n - in[i].y) > 0.01;
  expect(wrong == 0, "there and back");
  cufftDestroy(plan);
  return failures != 0;
}
