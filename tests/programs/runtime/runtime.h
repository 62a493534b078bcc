// What the programs of the runtime API share. Exit codes and lines are as in common.h.
#pragma once
#include <cuda_runtime.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <vector>

static int failures;

static void must(cudaError_t result, const char *call, int line) {
  if (result == cudaSuccess) return;
  bool cannot = result == cudaErrorNotSupported;
  printf(cannot ? "unsupported: %s\n" : "%s: error %d, line %d\n", call, (int)result, line);
  exit(cannot ? 77 : 1);
}
#define DO(call) must((call), #call, __LINE__)
#define SAY(call) printf("%s: %d\n", #call, (int)(call))

static void expect(bool holds, const char *what) {
  printf("%s: %s\n", what, holds ? "yes" : "NO");
  failures += !holds;
}

__global__ void fill(unsigned *p, unsigned value, size_t n) {
  for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += gridDim.x * (size_t)blockDim.x) p[i] = value;
}
__global__ void add_one(unsigned *p, size_t n) {
  for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += gridDim.x * (size_t)blockDim.x) p[i] += 1;
}

static void check_words(const char *what, const unsigned *p, size_t n, unsigned expected) {
  std::vector<unsigned> words(n, ~expected);
  DO(cudaMemcpy(words.data(), p, 4 * n, cudaMemcpyDeviceToHost));
  size_t wrong = 0;
  for (unsigned word : words) wrong += word != expected;
  expect(wrong == 0, what);
}
