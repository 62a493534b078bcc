// A small piece of work in a context of its own process.
#pragma once
#include "common.h"

// Initialises, allocates, works for `rounds`, checks, frees.
static inline void work(const char *who, unsigned seed, unsigned rounds) {
  CUdeviceptr p;
  size_t n = MIB;
  begin();
  load_kernels();
  DO(cuMemAlloc(&p, 4 * n));
  DO(fill(0, p, seed, n));
  for (unsigned i = 0; i < rounds; i++) {
    DO(add_one(0, p, n));
    DO(cuCtxSynchronize());
  }
  check_words(who, p, n, seed + rounds);
  DO(cuMemFree(p));
}
