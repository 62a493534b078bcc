// A program that is linked with libcuda.
#include "common.h"

int main(void) {
  CUmodule module;
  CUfunction function;
  CUdeviceptr p;
  size_t n = 1000;
  unsigned value = 42;
  begin();
  DO(cuModuleLoadData(&module, kernels_ptx));
  DO(cuModuleGetFunction(&function, module, "fill"));
  SAY(cuModuleGetFunction(&function, module, "no_such_kernel"));
  DO(cuModuleGetFunction(&function, module, "fill"));
  DO(cuMemAlloc(&p, 4 * n));
  DO(launch(function, 0, ARGUMENTS(&p, &value, &n)));
  check_words("after fill", p, n, 42);
  DO(cuMemFree(p));
  DO(cuModuleUnload(module));
  return finish();
}
