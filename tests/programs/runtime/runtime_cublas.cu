// cuBLAS: products of small whole numbers, exact, with workspaces of its own.
// build: -lcublas
#include "runtime.h"
#include <cublas_v2.h>

int main() {
  const int n = 1024;
  std::vector<float> a(n * n), c(n * n);
  for (int i = 0; i < n * n; i++) a[i] = i % 7;
  float *x, *y, one = 1, zero = 0;
  cublasHandle_t handle;
  DO(cudaMalloc(&x, 4 * n * n));
  DO(cudaMalloc(&y, 4 * n * n));
  DO(cudaMemcpy(x, a.data(), 4 * n * n, cudaMemcpyHostToDevice));
  expect(cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS, "a handle is made");
  for (int round = 0; round < 50; round++) {
    cublasStatus_t status = cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_T, n, n, n, &one, x, n, x, n, &zero, y, n);
    if (status != CUBLAS_STATUS_SUCCESS) { printf("cublasSgemm: %d\n", status); return 1; }
    if (round % 10 == 0) DO(cudaDeviceSynchronize());
  }
  DO(cudaMemcpy(c.data(), y, 4 * n * n, cudaMemcpyDeviceToHost));
  size_t wrong = 0;
  for (int j = 0; j < n; j += 97)
    for (int i = 0; i < n; i++) {
      float sum = 0;
      for (int k = 0; k < n; k++) sum += a[k * n + i] * a[k * n + j];
      wrong += sum != c[j * n + i];
    }
  expect(wrong == 0, "the product is right");
  cublasDestroy(handle);
  return failures != 0;
}
