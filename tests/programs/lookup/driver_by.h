// The same small piece of work by whatever way a program finds the driver's functions.
#pragma once
#include "common.h"
#include <dlfcn.h>

// The address of an exported symbol (with its suffix), or null.
static void *find(const char *symbol);

// Allocates, fills, adds, copies back, frees; the functions are asked for by name.
static inline void work_by_name(void) {
// A local of the symbol's name and type takes the declared function's place.
#define GET(name) __typeof__(name) *name = find(#name); expect(name != NULL, "%s is found", #name); if (!name) exit(1)
  GET(cuInit);
  GET(cuDevicePrimaryCtxRetain);
  GET(cuCtxSetCurrent);
  GET(cuMemAlloc_v2);
  GET(cuMemFree_v2);
  GET(cuMemcpyDtoH_v2);
  GET(cuModuleLoadData);
  GET(cuModuleGetFunction);
  GET(cuModuleUnload);
  GET(cuLaunchKernel);
  GET(cuCtxSynchronize);
  GET(cuDevicePrimaryCtxRelease_v2);
#undef GET
  CUmodule module;
  CUfunction fill, add_one;
  CUdeviceptr p;
  unsigned value = 41, words[1000];
  size_t n = 1000;
  DO(cuInit(0));
  DO(cuDevicePrimaryCtxRetain(&context, 0));
  DO(cuCtxSetCurrent(context));
  DO(cuModuleLoadData(&module, kernels_ptx));
  DO(cuModuleGetFunction(&fill, module, "fill"));
  DO(cuModuleGetFunction(&add_one, module, "add_one"));
  SAY(cuModuleGetFunction(&add_one, module, "add_one"));
  DO(cuMemAlloc_v2(&p, 4 * n));
  DO(cuLaunchKernel(fill, 8, 1, 1, 128, 1, 1, 0, 0, ARGUMENTS(&p, &value, &n), NULL));
  DO(cuLaunchKernel(add_one, 8, 1, 1, 128, 1, 1, 0, 0, ARGUMENTS(&p, &n), NULL));
  DO(cuCtxSynchronize());
  DO(cuMemcpyDtoH_v2(words, p, 4 * n));
  expect(count_wrong(words, n, 42) == 0, "1000 words are 42");
  DO(cuMemFree_v2(p));
  DO(cuModuleUnload(module));
  SAY(cuDevicePrimaryCtxRelease_v2(0));
}
